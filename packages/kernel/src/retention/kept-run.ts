import { isTerminal, type RunFilter, type RunRow } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { derivedRunId } from '../run/request-draft.ts'

/**
 * Why an ended run was kept.
 *
 * `owes`: it has something to tell or to start yet, its successor for example. `leased`: a process is at it. `parent`: the run that
 * started it has not ended, or owes something, and would start it again. `previous`: so would the run that goes on as it, which owes
 * its start yet. `successor`, `child`: one that its secrets were passed on to has not ended; only where they are to be erased.
 * `before`: what was to be done before has failed.
 */
export type KeptReason = 'owes' | 'leased' | 'parent' | 'previous' | 'successor' | 'child' | 'before'

/** What a prune asks of runs besides their rows. */
export interface Kin {
  /** True when the run is there and may do something yet. */
  readonly isAtWork: (runId: string) => Promise<boolean>
}

/** Remembers what it has found: many runs of a page have one parent. */
export function kinOf(env: Environment): Kin {
  const known = new Map<string, boolean>()
  return {
    isAtWork: async (runId) => {
      const found = known.get(runId)
      if (found !== undefined) return found
      const row = await repeatable(env, () => env.store.runs.find(runId))
      const atWork = row !== undefined && (!isTerminal(row.status) || row.owes.length > 0)
      known.set(runId, atWork)
      return atWork
    },
  }
}

/** Finds the runs that others owe the start of, as they go on as these, when it is first asked. */
export function owedSuccessors(env: Environment): () => Promise<ReadonlySet<string>> {
  let found: Promise<ReadonlySet<string>> | undefined
  return () => (found ??= findOwedSuccessors(env))
}

async function findOwedSuccessors(env: Environment): Promise<ReadonlySet<string>> {
  const owed = new Set<string>()
  let cursor: string | undefined
  do {
    const request = { limit: 100, ...(cursor !== undefined && { cursor }) }
    const filter: RunFilter = { statuses: ['continued'], owing: true }
    const { items, next } = await repeatable(env, () => env.store.runs.list(filter, request))
    for (const { runId } of items) owed.add(derivedRunId(runId, '\n'))
    cursor = next
  } while (cursor !== undefined)
  return owed
}

interface Asking {
  readonly kin: Kin
  /** As {@link owedSuccessors} finds them; what ended before they were looked for may be asked about. */
  readonly owed: () => Promise<ReadonlySet<string>>
  readonly now: number
  readonly erases: boolean
}

/** @returns undefined for a run that may go. */
export async function whyKept(
  env: Environment,
  row: RunRow,
  { kin, owed, now, erases }: Asking,
): Promise<KeptReason | undefined> {
  if (row.lease !== undefined && row.lease.until > now) return 'leased'
  if (row.owes.length > 0) return 'owes'
  if (row.parent !== undefined && (await kin.isAtWork(row.parent))) return 'parent'
  if ((await owed()).has(row.runId)) return 'previous'
  if (!erases) return undefined
  if (row.status === 'continued' && (await holdsSecrets(env, row.runId))) return 'successor'
  return (await hasLivingChild(env, row.runId)) ? 'child' : undefined
}

/** True while one of the runs that a run has started, or that these have, has not ended: secrets are passed on down to the last. */
async function hasLivingChild(env: Environment, parent: string): Promise<boolean> {
  const listed = (request: { readonly limit: number; readonly cursor?: string }, filter: RunFilter) =>
    repeatable(env, () => env.store.runs.list({ parent, ...filter }, request))
  if ((await listed({ limit: 1 }, { statuses: ['running', 'blocked'] })).items.length > 0) return true
  let cursor: string | undefined
  do {
    const { items, next } = await listed({ limit: 100, ...(cursor !== undefined && { cursor }) }, {})
    // One that owes something may have a successor to start.
    for (const { runId, owes } of items) if (owes.length > 0 || (await hasLivingChild(env, runId))) return true
    cursor = next
  } while (cursor !== undefined)
  return false
}

/** A successor that has gone on as another one stands for it until it is gone itself: the newest of a chain goes first. */
async function holdsSecrets(env: Environment, runId: string): Promise<boolean> {
  const successor = await repeatable(env, () => env.store.runs.find(derivedRunId(runId, '\n')))
  return successor !== undefined && (!isTerminal(successor.status) || successor.status === 'continued')
}
