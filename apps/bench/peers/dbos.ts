import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk'
import pg from 'pg'
import { countdown, manyAtOnce, payloadOf, REST, rest, runText, type Location, type Peer } from './peer.ts'

const QUEUE = 'bench'
/** How often it looks at its queue; its default is once a second. */
const POLL_MS = 50
const POOL = 20
const APPLICATION = { name: 'bench', applicationVersion: '1', logLevel: 'error', runAdminServer: false }

/** What a run is given. */
interface Input {
  readonly steps: number
  readonly shape: 'sequence' | 'fan-out' | 'resumed'
  readonly text: string
}

let executed: (step: number) => void = () => undefined
let entered: () => void = () => undefined
/** True: a run stands still behind its recorded steps, until it is forgotten. */
let halt = false

const work = DBOS.registerWorkflow(
  async ({ steps, shape }: Input): Promise<number> => {
    entered()
    const stepOf = (n: number) =>
      DBOS.runStep(
        async () => {
          executed(n)
          return payloadOf(n)
        },
        { name: `step ${n}` },
      )
    const numbers = Array.from({ length: steps }, (_, i) => i + 1)
    if (shape === 'fan-out') await Promise.all(numbers.map(stepOf))
    else for (const n of numbers) await stepOf(n)
    if (shape === 'resumed') {
      if (halt) await new Promise(() => executed(steps + 1))
      await stepOf(steps + 1)
    }
    return steps
  },
  { name: 'work' },
)

/** DBOS on Postgres. */
export async function open({ url }: Location): Promise<Peer> {
  const launch = async (): Promise<void> => {
    DBOS.setConfig({ ...APPLICATION, systemDatabaseUrl: url, systemDatabasePoolSize: POOL })
    await DBOS.launch()
  }
  await launch()
  await DBOS.registerQueue(QUEUE, { minPollingIntervalMs: POLL_MS })
  const counter = new pg.Client({ connectionString: url })
  await counter.connect()
  // Ended runs whose end is durable. Its handles would poll for each run by itself.
  const ended = async (): Promise<number> => {
    const { rows } = await counter.query<{ n: number }>(
      `select count(*)::int as n from dbos.workflow_status where status = 'SUCCESS'`,
    )
    return rows[0]?.n ?? 0
  }

  const timeRun = async (shape: Input['shape'], steps: number): Promise<number> => {
    const startedAt = performance.now()
    const handle = await DBOS.startWorkflow(work)({ steps, shape, text: runText })
    await handle.getResult()
    return performance.now() - startedAt
  }

  const manyRuns = async ({ runs, steps }: { readonly runs: number; readonly steps: number }): Promise<number> => {
    const before = await ended()
    await DBOS.shutdown()
    const client = await DBOSClient.create({ systemDatabaseUrl: url, applicationName: APPLICATION.name })
    const enqueue = { queueName: QUEUE, workflowName: 'work', appVersion: APPLICATION.applicationVersion }
    await manyAtOnce(runs, 10, () => client.enqueue(enqueue, { steps, shape: 'sequence', text: runText }))
    await client.destroy()
    await launch()
    const startedAt = performance.now()
    while ((await ended()) < before + runs) await rest(0, { restMs: 5, spreadMs: 0 })
    return performance.now() - startedAt
  }

  const resume = async (steps: number): Promise<number> => {
    halt = true
    const recorded = countdown(1)
    executed = (step) => step > steps && recorded.hit()
    await DBOS.startWorkflow(work)({ steps, shape: 'resumed', text: runText })
    await recorded.zero
    await DBOS.shutdown()
    halt = false
    const live = countdown(1)
    executed = (step) => step > steps && live.hit()
    // It waits up to a second before it takes up what it has found: that is not counted.
    const taken = countdown(1)
    entered = taken.hit
    await launch()
    const elapsedMs = (await live.zero) - (await taken.zero)
    entered = () => undefined
    return elapsedMs
  }

  const timeLatencies = async (starts: number, queueName?: string): Promise<readonly number[]> => {
    const measured: number[] = []
    for (let start = 0; start < starts; start++) {
      await rest(start, queueName === undefined ? REST : { restMs: 2 * POLL_MS, spreadMs: POLL_MS })
      const first = countdown(1)
      executed = first.hit
      const startedAt = performance.now()
      await DBOS.startWorkflow(
        work,
        queueName === undefined ? {} : { queueName },
      )({
        steps: 1,
        shape: 'sequence',
        text: runText,
      })
      measured.push((await first.zero) - startedAt)
    }
    return measured
  }

  return {
    sequence: (steps) => timeRun('sequence', steps),
    fanOut: (steps) => timeRun('fan-out', steps),
    manyRuns,
    resume,
    latencies: (starts) => timeLatencies(Math.min(starts, 30), QUEUE),
    directLatencies: (starts) => timeLatencies(starts),
    [Symbol.asyncDispose]: async () => {
      await DBOS.shutdown()
      await counter.end()
    },
  }
}
