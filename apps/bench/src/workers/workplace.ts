import { createKernel, type Kernel } from '@varve/kernel'
import { isTerminal, type AppendOptions, type Store } from '@varve/store'
import { createWorker, type Worker } from '@varve/worker'
import { sequenceOf } from '../work/sequence.ts'
import { countingStore, type CallCounts } from './call-counts.ts'
import { machineMs } from './machine-time.ts'

/** Hears of the runs that a worker drives; instants as {@link machineMs} tells them. */
export interface WorkListener {
  /** The handler of a run's first action was called. */
  readonly entered?: (at: number) => void
  /** The end of a run is durable. */
  readonly ended?: (at: number) => void
}

/** Where a worker works on runs of {@link sequenceOf}: in this process, or in another. */
export interface Workplace extends AsyncDisposable {
  /** Who hears of the runs from now on. */
  listen(listener: WorkListener): void
  /** A new worker begins. */
  begin(): Promise<void>
  /** The worker stops. @returns what it asked of its store. */
  rest(): Promise<CallCounts>
  /** Never resolves; rejects when there is nobody any more who could work. */
  readonly lost: Promise<never>
}

/** A worker in this process, and the kernel that it works for. */
export interface OwnWorkplace extends Workplace {
  readonly kernel: Kernel
  readonly sequence: ReturnType<typeof sequenceOf>
}

/** Runs that a worker drives at once: as many as the plain program has in flight. Fewer share less. */
const CONCURRENCY = 500

/** @param store - stays open. */
export function ownWorkplace(store: Store): OwnWorkplace {
  let listener: WorkListener = {}
  const counting = countingStore(store, ({ name, args }) => {
    if (name !== 'events.append') return
    const { run } = args[2] as AppendOptions
    if (isTerminal(run.status)) listener.ended?.(machineMs())
  })
  const sequence = sequenceOf(() => listener.entered?.(machineMs()))
  const kernel = createKernel({ store: counting.store, workflows: [sequence] })
  let worker: Worker | undefined
  return {
    ...{ kernel, sequence },
    listen: (given) => {
      listener = given
    },
    begin: async () => {
      counting.take()
      worker = createWorker({ kernel, concurrency: CONCURRENCY, signals: [] })
      worker.start()
    },
    rest: async () => {
      await worker?.stop()
      return counting.take()
    },
    lost: new Promise(() => undefined),
    [Symbol.asyncDispose]: async () => {
      await worker?.stop()
      await kernel[Symbol.asyncDispose]()
    },
  }
}
