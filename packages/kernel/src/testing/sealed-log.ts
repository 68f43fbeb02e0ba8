import {
  genesis,
  sealEvent,
  type EventDraft,
  type Json,
  type RunStatus,
  type Store,
  type StoredEvent,
} from '@varve/store'
import type { LogDraft } from '../log/log-event.ts'

/** Seals events one behind the other. */
export function sealLog(runId: string, drafts: readonly EventDraft[], at = 1000): StoredEvent[] {
  let end = genesis(runId)
  return drafts.map((draft) => {
    const { stored } = sealEvent(runId, end, draft, at)
    end = { seq: stored.seq, hash: stored.hash }
    return stored
  })
}

/** A run as somebody left it in a store. */
export interface LeftRun {
  readonly workflow: string
  readonly version?: string
  readonly status?: RunStatus
}

/** Writes a run's log to a store as it is, whatever the kernel would have written. */
export async function writeLog(
  store: Store,
  runId: string,
  drafts: readonly (LogDraft | EventDraft)[],
  { workflow, version = '1', status = 'running' }: LeftRun,
): Promise<readonly StoredEvent[]> {
  const events = sealLog(runId, drafts)
  const create = { workflow, version, tags: [], queue: 'default' }
  const run = { status, blockedOn: [], wakeAt: status === 'running' ? 0 : null, create }
  await store.events.append(runId, events, { expectedHead: 0, fencingToken: 0, run })
  return events
}

/** The first event of a run, as `start` writes it. */
export function runStarted(workflow: string, input: unknown = null): EventDraft {
  const data = { workflow, version: '1', input, seed: 'seed', tags: [], queue: 'default' }
  return { type: 'RunStarted', data }
}

/** A run's whole log. */
export async function readLog(store: Store, runId: string): Promise<StoredEvent[]> {
  return Array.fromAsync(store.events.read(runId))
}

/** Types of a run's events, in order. */
export async function typesOf(store: Store, runId: string): Promise<string[]> {
  return (await readLog(store, runId)).map(({ type }) => type)
}

/** Data of a run's events of one type, in order. */
export async function dataOf(store: Store, runId: string, type: string): Promise<Record<string, unknown>[]> {
  const events = (await readLog(store, runId)).filter((event) => event.type === type)
  return events.map(({ body }) => JSON.parse(body) as Record<string, unknown>)
}

/** Hash of a copied prefix, sealed under the genesis of the run that it was taken from. */
export function chainOf(runId: string, copied: readonly StoredEvent[]): string {
  let end = genesis(runId)
  for (const { type, body, at } of copied) {
    const { stored } = sealEvent(runId, end, { type, data: JSON.parse(body) as Json }, at)
    end = { seq: stored.seq, hash: stored.hash }
  }
  return end.hash
}
