import { isTerminal, type RunFilter, type RunRow } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { derivedRunId } from '../run/request-draft.ts'

/**
 * Why an ended run was kept.
 *
 * `owes`: it has something to tell or to start yet, its successor for example. `leased`: a process is at it. `parent`: the run that
 * started it has not ended, or owes something, and would start it again. `successor`, `child`: one that its secrets were passed on
 * to has not ended; only where they are to be erased. `before`: what was to be done before has failed.
 */
export type KeptReason = 'owes' | 'leased' | 'parent' | 'successor' | 'child' | 'before'

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

/** @returns undefined for a run that may go. */
export async function whyKept(
  env: Environment,
  row: RunRow,
  { kin, now, erases }: { readonly kin: Kin; readonly now: number; readonly erases: boolean },
): Promise<KeptReason | undefined> {
  if (row.lease !== undefined && row.lease.until > now) return 'leased'
  if (row.owes.length > 0) return 'owes'
  if (row.parent !== undefined && (await kin.isAtWork(row.parent))) return 'parent'
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
