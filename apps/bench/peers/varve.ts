import { createKernel, defineWorkflow, type Kernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import { createWorker } from '@varve/worker'
import path from 'node:path'
import { z } from 'zod'
import { countdown, manyAtOnce, payloadOf, REST, rest, runText, type Location, type Peer } from './peer.ts'

/** Steps in sequence or all at once; then, if asked for, waits with one step after each. */
function workOf(executed: (step: number) => void) {
  return defineWorkflow(
    {
      name: 'work',
      version: '1',
      input: z.strictObject({
        steps: z.int(),
        shape: z.enum(['sequence', 'fan-out', 'resumed']),
        text: z.string(),
      }),
      actions: {
        noop: {
          effect: 'pure',
          run: ({ step }: { step: number }) => {
            executed(step)
            return payloadOf(step)
          },
        },
      },
      signals: { go: z.null() },
      initialState: ({ steps, shape }) => ({ steps, shape, done: 0, resumed: 0 }),
    },
    {
      reduce: (state, event) => {
        if (event.type === 'ActionSucceeded') return { ...state, done: state.done + 1 }
        return event.type === 'SignalDelivered' ? { ...state, resumed: state.resumed + 1 } : state
      },
      step: ({ steps, shape, done, resumed }, next) => {
        const stepOf = (n: number) => next.run('noop', { step: n }, { key: `step ${n}` })
        if (done < steps) {
          if (shape !== 'fan-out') return stepOf(done + 1)
          return next.all(Array.from({ length: steps }, (_, i) => stepOf(i + 1)))
        }
        if (shape !== 'resumed') return next.complete(done)
        return done < steps + resumed ? stepOf(done + 1) : next.waitFor('go', { key: `go ${resumed + 1}` })
      },
    },
  )
}

/** Our own store on Postgres, or in a SQLite file that flushes every commit. */
export async function open({ url, folder }: Location, variant: string): Promise<Peer> {
  const store: Store =
    variant === 'postgres'
      ? await postgresStore({ url })
      : await sqliteStore({ path: path.join(folder, 'runs.sqlite') }, { synchronous: 'FULL' })
  const here = kernelOn(store)
  /** Runs that wait behind so many recorded steps. */
  const recorded = new Map<number, string>()
  const resumeRun = async (steps: number, build?: string): Promise<number> => {
    const runId = recorded.get(steps) ?? (await recordRun(store, steps))
    recorded.set(steps, runId)
    return timeResume(store, runId, { steps, build })
  }
  return {
    sequence: (steps) => timeRun(here, { steps, shape: 'sequence' }),
    fanOut: (steps) => timeRun(here, { steps, shape: 'fan-out' }),
    manyRuns: (amount) => timeManyRuns(here, amount),
    resume: (steps) => resumeRun(steps),
    resumeFromStart: (steps) => resumeRun(steps, 'another'),
    latencies: (starts) => timeLatencies(here, starts, 'worker'),
    directLatencies: (starts) => timeLatencies(here, starts, 'direct'),
    [Symbol.asyncDispose]: async () => {
      await here.kernel[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}

type Work = ReturnType<typeof workOf>

/** What a process has one of: the kernel, its workflow, and what is told of them to whoever measures. */
interface Here {
  readonly kernel: Kernel
  readonly work: Work
  executed: (step: number) => void
  ended: () => void
}

function kernelOn(store: Store): Here {
  const work = workOf((step) => {
    here.executed(step)
  })
  const kernel = createKernel({
    store,
    workflows: [work],
    onCommitted: (_, events) => {
      for (const { type } of events) if (type === 'Completed') here.ended()
    },
  })
  const here: Here = { kernel, work, executed: () => undefined, ended: () => undefined }
  return here
}

async function timeRun(
  { kernel, work }: Here,
  { steps, shape }: { readonly steps: number; readonly shape: 'sequence' | 'fan-out' },
): Promise<number> {
  const startedAt = performance.now()
  const { status } = await kernel.start(work, { steps, shape, text: runText })
  const elapsedMs = performance.now() - startedAt
  if (status !== 'completed') throw new Error(`the run of ${steps} steps is ${status}`)
  return elapsedMs
}

async function timeManyRuns(
  here: Here,
  { runs, steps }: { readonly runs: number; readonly steps: number },
): Promise<number> {
  const { kernel, work } = here
  const ends = countdown(runs)
  here.ended = ends.hit
  await manyAtOnce(runs, 20, () => startRun(kernel, work, { steps, wait: false }))
  const startedAt = performance.now()
  const worker = createWorker({ kernel, signals: [] })
  worker.start()
  const elapsedMs = (await ends.zero) - startedAt
  await worker.stop()
  here.ended = () => undefined
  return elapsedMs
}

/** @param build - of another build, the code does not use the snapshots of the one that ran before: it reads the whole log. */
async function timeResume(
  store: Store,
  runId: string,
  { steps, build }: { readonly steps: number; readonly build: string | undefined },
): Promise<number> {
  const live = countdown(1)
  const work = workOf((step) => step > steps && live.hit())
  const startedAt = performance.now()
  await using kernel = createKernel({ store, workflows: [work], ...(build !== undefined && { build }) })
  const { status } = await kernel.signal(runId, { name: 'go', value: null })
  if (status !== 'blocked') throw new Error(`the run that was resumed is ${status}`)
  return (await live.zero) - startedAt
}

/** @returns the id of a run that waits behind its steps, and of which nothing is in memory any more: that was its kernel's. */
async function recordRun(store: Store, steps: number): Promise<string> {
  const work = workOf(() => undefined)
  await using kernel = createKernel({ store, workflows: [work] })
  const { runId, status } = await kernel.start(work, { steps, shape: 'resumed', text: runText })
  if (status !== 'blocked') throw new Error(`the run of ${steps} steps is ${status}`)
  return runId
}

async function timeLatencies(here: Here, starts: number, by: 'worker' | 'direct'): Promise<readonly number[]> {
  const { kernel, work } = here
  const worker = createWorker({ kernel, signals: [] })
  if (by === 'worker') worker.start()
  const latencies: number[] = []
  for (let start = 0; start < starts; start++) {
    await rest(start, REST)
    const { promise, resolve } = Promise.withResolvers<number>()
    here.executed = () => {
      resolve(performance.now())
    }
    const startedAt = performance.now()
    await startRun(kernel, work, { steps: 1, wait: by === 'direct' })
    latencies.push((await promise) - startedAt)
  }
  await worker.stop()
  here.executed = () => undefined
  return latencies
}

function startRun(kernel: Kernel, work: Work, { steps, wait }: { readonly steps: number; readonly wait: boolean }) {
  return kernel.start(work, { steps, shape: 'sequence', text: runText }, { wait })
}
