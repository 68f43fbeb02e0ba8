import { createKernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import { addCounts, countingStore, type CallCounts } from '../workers/call-counts.ts'
import { machineMs } from '../workers/machine-time.ts'
import { CONCURRENCY, type Workplace } from '../workers/workplace.ts'
import { sequenceOf } from './steps.ts'

/** How many runs there are, of how many steps each. */
export interface RunAmounts {
  readonly runs: number
  readonly steps: number
}

/** What it took to drive runs to their ends. */
export interface DrivenRuns {
  readonly ms: number
  /** Of everybody who had to do with them, from the first start to the last end. */
  readonly calls: CallCounts
}

/** Runs that are driven by the `start` that makes them, as many at once as a worker drives. */
export async function timeDirect(store: Store, { runs, steps }: RunAmounts): Promise<DrivenRuns> {
  const counting = countingStore(store)
  const sequence = sequenceOf()
  const kernel = createKernel({ store: counting.store, workflows: [sequence] })
  try {
    const startedAt = machineMs()
    await manyAtOnce(runs, async () => {
      const { status } = await kernel.start(sequence, { steps })
      if (status !== 'completed') throw new Error(`a run of ${steps} steps ended ${status}`)
    })
    return { ms: machineMs() - startedAt, calls: counting.take() }
  } finally {
    await kernel[Symbol.asyncDispose]()
  }
}

/**
 * Runs that are enqueued here and driven by workers.
 *
 * @param enqueued - `before` the workers begin, from which moment on they are timed, or `meanwhile`: timed from the first one.
 */
export async function timeDispatched(
  store: Store,
  workplaces: readonly Workplace[],
  { runs, steps, enqueued }: RunAmounts & { readonly enqueued: 'before' | 'meanwhile' },
): Promise<DrivenRuns> {
  const counting = countingStore(store)
  const sequence = sequenceOf()
  const kernel = createKernel({ store: counting.store, workflows: [sequence] })
  const enqueue = (): Promise<void> =>
    manyAtOnce(runs, async () => {
      await kernel.start(sequence, { steps }, { wait: false })
    })
  const begin = async (): Promise<void> => {
    await Promise.all(workplaces.map((workplace) => workplace.begin()))
  }
  const [first, second] = enqueued === 'before' ? [enqueue, begin] : [begin, enqueue]
  try {
    const lastEnd = lastEndOf(runs, workplaces)
    await first()
    const startedAt = machineMs()
    const [endedAt] = await Promise.all([lastEnd, second()])
    const calls = await Promise.all(workplaces.map((workplace) => workplace.rest()))
    return { ms: endedAt - startedAt, calls: addCounts([counting.take(), ...calls]) }
  } finally {
    await kernel[Symbol.asyncDispose]()
  }
}

function lastEndOf(runs: number, workplaces: readonly Workplace[]): Promise<number> {
  let left = runs
  let last = 0
  const allEnded = new Promise<number>((resolve) => {
    const ended = (at: number): void => {
      last = Math.max(last, at)
      if (--left === 0) resolve(last)
    }
    for (const workplace of workplaces) workplace.listen({ ended })
  })
  return Promise.race([allEnded, ...workplaces.map(({ lost }) => lost)])
}

async function manyAtOnce(count: number, act: () => Promise<void>): Promise<void> {
  let left = count
  const actInTurn = async (): Promise<void> => {
    while (left-- > 0) await act()
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, actInTurn))
}
