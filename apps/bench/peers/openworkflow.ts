import { OpenWorkflow, type Worker } from 'openworkflow'
import { BackendPostgres } from 'openworkflow/postgres'
import { BackendSqlite } from 'openworkflow/sqlite'
import path from 'node:path'
import { countdown, manyAtOnce, payloadOf, rest, runText, type Location, type Peer } from './peer.ts'

/** Runs that a worker drives at once. Its default, 1, is far slower; for many 200 are no faster, and to take up one takes longer with 100. */
const CONCURRENCY = { many: 100, one: 20 }
/** A worker looks every 0.5 to 1 s when it has been idle for some 1.5 s. */
const IDLE = { restMs: 1_500, spreadMs: 1_000 }
/** At most so many starts, for each takes 2 s. */
const STARTS = 5

/** What a run is given. */
interface Input {
  readonly steps: number
  readonly shape: 'sequence' | 'fan-out' | 'resumed'
  readonly text: string
}

/** OpenWorkflow on Postgres or SQLite, both as it opens them itself. */
export async function open({ url, folder }: Location, variant: string): Promise<Peer> {
  const backend =
    variant === 'postgres'
      ? await BackendPostgres.connect(url)
      : BackendSqlite.connect(path.join(folder, 'runs.sqlite'))
  let ended: () => void = () => undefined
  let executed: (step: number) => void = () => undefined
  // Its own handle polls for the result once a second: the end is taken from the commit itself.
  const complete = backend.completeWorkflowRun.bind(backend)
  backend.completeWorkflowRun = async (params) => {
    const run = await complete(params)
    ended()
    return run
  }
  const client = new OpenWorkflow({ backend })
  const work = client.defineWorkflow<Input, number>({ name: 'work' }, async ({ input, step }) => {
    const stepOf = (n: number) =>
      step.run({ name: `step ${n}` }, async () => {
        executed(n)
        return payloadOf(n)
      })
    const numbers = Array.from({ length: input.steps }, (_, i) => i + 1)
    if (input.shape === 'fan-out') await Promise.all(numbers.map(stepOf))
    else for (const n of numbers) await stepOf(n)
    if (input.shape === 'resumed') {
      await step.waitForSignal({ signal: 'go' })
      executed(input.steps + 1)
    }
    return input.steps
  })
  const withWorker = async <T>(use: (worker: Worker) => Promise<T>, concurrency = CONCURRENCY.one): Promise<T> => {
    const worker = client.newWorker({ concurrency })
    try {
      return await use(worker)
    } finally {
      await worker.stop()
    }
  }

  const timeRuns = async (runs: number, input: Input): Promise<number> => {
    const ends = countdown(runs)
    ended = ends.hit
    await manyAtOnce(runs, CONCURRENCY.one, () => work.run(input))
    const concurrency = runs > 1 ? CONCURRENCY.many : CONCURRENCY.one
    return withWorker(async (worker) => {
      const startedAt = performance.now()
      await worker.start()
      return (await ends.zero) - startedAt
    }, concurrency)
  }

  const resume = async (steps: number): Promise<number> => {
    const parked = Promise.withResolvers<void>()
    const sleep = backend.sleepWorkflowRun.bind(backend)
    backend.sleepWorkflowRun = async (params) => {
      const run = await sleep(params)
      parked.resolve()
      return run
    }
    await work.run({ steps, shape: 'resumed', text: runText })
    await withWorker(async (worker) => {
      await worker.start()
      await parked.promise
    })
    backend.sleepWorkflowRun = sleep
    await backend.sendSignal({ signal: 'go', data: null, idempotencyKey: null })
    const live = countdown(1)
    executed = (step) => step > steps && live.hit()
    const ends = countdown(1)
    ended = ends.hit
    return withWorker(async (worker) => {
      const startedAt = performance.now()
      await worker.start()
      await ends.zero
      return (await live.zero) - startedAt
    })
  }

  const latencies = (starts: number): Promise<readonly number[]> =>
    withWorker(async (worker) => {
      await worker.start()
      const measured: number[] = []
      for (let start = 0; start < Math.min(starts, STARTS); start++) {
        await rest(start, IDLE)
        const first = countdown(1)
        executed = first.hit
        const startedAt = performance.now()
        await work.run({ steps: 1, shape: 'sequence', text: runText })
        measured.push((await first.zero) - startedAt)
      }
      return measured
    })

  return {
    sequence: (steps) => timeRuns(1, { steps, shape: 'sequence', text: runText }),
    manyRuns: ({ runs, steps }) => timeRuns(runs, { steps, shape: 'sequence', text: runText }),
    fanOut: (steps) => timeRuns(1, { steps, shape: 'fan-out', text: runText }),
    resume,
    latencies,
    [Symbol.asyncDispose]: async () => backend.stop(),
  }
}
