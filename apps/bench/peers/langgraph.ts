import {
  Annotation,
  Command,
  END,
  entrypoint,
  interrupt,
  Send,
  START,
  StateGraph,
  task,
  type BaseCheckpointSaver,
} from '@langchain/langgraph'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import { SqliteSaver } from '@langchain/langgraph-checkpoint-sqlite'
import SQLite from 'better-sqlite3'
import { randomUUID } from 'node:crypto'
import path from 'node:path'
import pg from 'pg'
import { countdown, manyAtOnce, payloadOf, REST, rest, runText, type Location, type Peer } from './peer.ts'

/** Runs under way at once: it has no queue and no workers. */
const CONCURRENCY = 20

/** What a run is given. */
interface Input {
  readonly steps: number
  readonly shape: 'sequence' | 'fan-out' | 'resumed'
}

/** A compiled graph or an entrypoint: both are called alike. */
interface Runnable {
  readonly invoke: (input: never, config: object) => Promise<unknown>
}

let executed: (step: number) => void = () => undefined

function execute(step: number): string {
  executed(step)
  return payloadOf(step).text
}

/** A node per step. Each superstep is durable before the next. */
function graphOn(checkpointer: BaseCheckpointSaver): Runnable {
  const State = Annotation.Root({
    steps: Annotation<number>,
    shape: Annotation<Input['shape']>,
    text: Annotation<string>,
    done: Annotation<number>,
    parts: Annotation<readonly string[]>({ reducer: (all, more) => [...all, ...more], default: () => [] }),
    payload: Annotation<string>,
  })
  type State = typeof State.State
  const next = ({ steps, shape, done }: State) => {
    if (done < steps) return 'step'
    return shape === 'resumed' ? 'gate' : END
  }
  return new StateGraph(State)
    .addNode('step', ({ done }) => ({ done: done + 1, payload: execute(done + 1) }))
    .addNode('part', ({ done }) => ({ parts: [execute(done)] }))
    .addNode('gate', ({ steps }) => {
      interrupt('go')
      return { payload: execute(steps + 1) }
    })
    .addConditionalEdges(
      START,
      (state) =>
        state.shape === 'fan-out'
          ? Array.from({ length: state.steps }, (_, i) => new Send('part', { done: i + 1 }))
          : next(state),
      ['step', 'part', 'gate', END],
    )
    .addConditionalEdges('step', next, ['step', 'gate', END])
    .addEdge('part', END)
    .addEdge('gate', END)
    .compile({ checkpointer }) as unknown as Runnable
}

/** A task per step. Results are written behind the running code: a step may begin before the one before it is durable. */
function tasksOn(checkpointer: BaseCheckpointSaver): Runnable {
  const step = task('step', async (n: number) => ({ step: n, text: execute(n) }))
  return entrypoint({ name: 'work', checkpointer }, async ({ steps, shape }: Input) => {
    const numbers = Array.from({ length: steps }, (_, i) => i + 1)
    if (shape === 'fan-out') await Promise.all(numbers.map((n) => step(n)))
    else for (const n of numbers) await step(n)
    if (shape === 'resumed') {
      interrupt('go')
      await step(steps + 1)
    }
    return steps
  }) as unknown as Runnable
}

/** @param variant - the checkpointer, `postgres` or `sqlite`, and the API: `graph`, or `tasks`. */
export async function open({ url, folder }: Location, variant: string): Promise<Peer> {
  const [database, api] = variant.split(' ')
  const openSaver = async (): Promise<{ saver: BaseCheckpointSaver; close: () => unknown }> => {
    if (database === 'postgres') {
      const pool = new pg.Pool({ connectionString: url, max: CONCURRENCY })
      pool.on('error', () => undefined)
      const saver = new PostgresSaver(pool)
      await saver.setup()
      return { saver, close: () => pool.end() }
    }
    const file = new SQLite(path.join(folder, 'runs.sqlite'))
    // Otherwise better-sqlite3 does not flush every commit in WAL mode, and the others do.
    file.pragma('journal_mode = WAL')
    file.pragma('synchronous = FULL')
    return { saver: new SqliteSaver(file), close: () => file.close() }
  }
  const runnableOn = api === 'tasks' ? tasksOn : graphOn
  const durability = api === 'tasks' ? 'async' : 'sync'
  const configOf = (thread_id: string, steps: number) => ({
    configurable: { thread_id },
    durability,
    recursionLimit: steps + 10,
  })
  const inputOf = (steps: number, shape: Input['shape']) => ({ steps, shape, text: runText, done: 0 }) as never

  const { saver, close } = await openSaver()
  const runnable = runnableOn(saver)
  const timeRun = async (shape: Input['shape'], steps: number): Promise<number> => {
    const startedAt = performance.now()
    await runnable.invoke(inputOf(steps, shape), configOf(randomUUID(), steps))
    return performance.now() - startedAt
  }

  const resume = async (steps: number): Promise<number> => {
    const thread = randomUUID()
    await runnable.invoke(inputOf(steps, 'resumed'), configOf(thread, steps))
    const fresh = await openSaver()
    const resumed = runnableOn(fresh.saver)
    const live = countdown(1)
    executed = (step) => step > steps && live.hit()
    const startedAt = performance.now()
    await resumed.invoke(new Command({ resume: true }) as never, configOf(thread, steps))
    executed = () => undefined
    await fresh.close()
    return (await live.zero) - startedAt
  }

  const directLatencies = async (starts: number): Promise<readonly number[]> => {
    const measured: number[] = []
    for (let start = 0; start < starts; start++) {
      await rest(start, REST)
      const first = countdown(1)
      executed = first.hit
      const startedAt = performance.now()
      await runnable.invoke(inputOf(1, 'sequence'), configOf(randomUUID(), 1))
      measured.push((await first.zero) - startedAt)
    }
    executed = () => undefined
    return measured
  }

  return {
    sequence: (steps) => timeRun('sequence', steps),
    fanOut: (steps) => timeRun('fan-out', steps),
    manyRuns: async ({ runs, steps }) => {
      const startedAt = performance.now()
      await manyAtOnce(runs, CONCURRENCY, () =>
        runnable.invoke(inputOf(steps, 'sequence'), configOf(randomUUID(), steps)),
      )
      return performance.now() - startedAt
    },
    resume,
    directLatencies,
    [Symbol.asyncDispose]: async () => {
      await close()
    },
  }
}
