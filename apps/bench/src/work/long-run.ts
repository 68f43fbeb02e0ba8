import { createKernel, defineWorkflow } from '@varve/kernel'
import type { Claim, Store, StoredEvent } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { z } from 'zod'
import type { PlainDatabase } from '../plain/plain-database.ts'
import { benchOwner } from './owner.ts'
import { keyOf, payloadOf, work, type Payload } from './sequence.ts'

/** Events in an append of a log that is copied. */
const CHUNK = 500

/** Does so many steps in sequence, then waits for a signal, does one more, waits for the next. */
export const waiting = defineWorkflow(
  {
    name: 'waiting',
    version: '1',
    input: z.strictObject({ steps: z.int() }),
    actions: { work: { effect: 'pure', run: (input: Payload) => work(input) } },
    signals: { go: z.null() },
    initialState: ({ steps }) => ({ steps, done: 0, signals: 0 }),
  },
  {
    reduce: (state, event) => {
      if (event.type === 'ActionSucceeded') return { ...state, done: state.done + 1 }
      return event.type === 'SignalDelivered' ? { ...state, signals: state.signals + 1 } : state
    },
    step: ({ steps, done, signals }, next) =>
      done < steps + signals
        ? next.run('work', payloadOf(done + 1), { key: keyOf(done + 1) })
        : next.waitFor('go', { key: `go ${signals + 1}` }),
  },
)

/** The log of a run that waits after so many steps, as the kernel writes it; it is kept in memory. */
export async function longLog(runId: string, steps: number): Promise<readonly StoredEvent[]> {
  await using store = memoryStore()
  await using kernel = createKernel({ store, workflows: [waiting] })
  const { status } = await kernel.start(waiting, { steps }, { runId })
  if (status !== 'blocked') throw new Error(`the run of ${steps} steps is ${status}`)
  return await Array.fromAsync(store.events.read(runId))
}

/** Puts such a log into a store, as a run that waits and that nobody drives. */
export async function writeLog(store: Store, log: readonly StoredEvent[]): Promise<void> {
  const lease = { owner: benchOwner(), leaseMs: 60_000 }
  const create = { workflow: 'waiting', version: '1', tags: [], queue: 'default', lease }
  const run = { status: 'blocked', blockedOn: [{ kind: 'wait', key: 'go 1', name: 'go' }], wakeAt: null } as const
  let claim: Claim | undefined
  for (const { runId, expectedHead, events } of chunksOf(log)) {
    const options = {
      expectedHead,
      fencingToken: claim?.token ?? 0,
      run: claim === undefined ? { ...run, create } : run,
    }
    claim = (await store.events.append(runId, events, options)).claim ?? claim
  }
  if (claim !== undefined) await store.runs.release(claim, { expectedHead: log.length })
}

/** Puts such a log into a plain program's database. */
export async function writePlainLog(plain: PlainDatabase, log: readonly StoredEvent[]): Promise<void> {
  for (const chunk of chunksOf(log)) await plain.commit([{ ...chunk, token: 0, status: 'blocked' }])
}

function chunksOf(log: readonly StoredEvent[]) {
  const runId = log[0]?.runId ?? ''
  return Array.from({ length: Math.ceil(log.length / CHUNK) }, (_, chunk) => ({
    ...{ runId, expectedHead: chunk * CHUNK },
    events: log.slice(chunk * CHUNK, (chunk + 1) * CHUNK),
  }))
}
