import { genesis, sealEvent, type EventDraft, type LogEnd, type Store, type StoredEvent } from '@varve/store'
import { randomUUID } from 'node:crypto'
import { benchOwner } from '../work/owner.ts'

const running = { status: 'running', blockedOn: [], wakeAt: 0 } as const

/** Appends as a driver makes them: two events each, under a lease. @returns the time that they took, in ms. */
export async function timeAppends(store: Store, appends: number): Promise<number> {
  const runId = `appends-${randomUUID()}`
  // Sealed beforehand: what is measured here is the store.
  const pairs = sealedPairs(runId, appends + 1)
  const lease = { owner: benchOwner(), leaseMs: 60_000 }
  const create = { workflow: 'bench', version: '1', tags: [], queue: 'default', lease }
  const first = { expectedHead: 0, fencingToken: 0, run: { ...running, create } }
  const { claim } = await store.events.append(runId, pairs[0] ?? [], first)
  const fencingToken = claim?.token ?? 1
  const startedAt = performance.now()
  for (let pair = 1; pair <= appends; pair++) {
    await store.events.append(runId, pairs[pair] ?? [], { expectedHead: 2 * pair, fencingToken, run: running })
  }
  return performance.now() - startedAt
}

function sealedPairs(runId: string, count: number): readonly (readonly StoredEvent[])[] {
  let end: LogEnd = genesis(runId)
  const seal = (draft: EventDraft): StoredEvent => {
    const { stored } = sealEvent(runId, end, draft, Date.now())
    end = stored
    return stored
  }
  return Array.from({ length: count }, (_, pair) => [
    seal({ type: 'ActionSucceeded', data: { key: `step ${pair}`, output: null, attempts: 1 } }),
    seal({ type: 'ActionRequested', data: { key: `step ${pair + 1}`, action: 'noop', input: null, effect: 'pure' } }),
  ])
}
