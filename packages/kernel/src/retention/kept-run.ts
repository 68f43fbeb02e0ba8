import { allItems, genesis, isTerminal, type PageRequest, type RunFilter, type RunRow, type Store } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { readLogEvent } from '../log/log-event.ts'
import { derivedRunId } from '../run/request-draft.ts'

/**
 * Why an ended run was kept.
 *
 * `owes`: it has something to tell or to start yet, its successor for example. `leased`: a process is at it. `parent`: the run that
 * started it has not ended, or owes something, and would start it again; where secrets are to be erased, also while one above that has not
 * ended, or one that any of these has passed them on to. `previous`: the run that goes on as it owes its start yet, and would start it
 * again. `successor`, `child`: one that its secrets, or those of a run that it goes on as, were passed on to has not ended; only where they are
 * to be erased.
 * `before`: what was to be done before has failed. `unreadable`: a log is damaged, or of a later release, and does not tell whose secrets
 * the run has, or which.
 */
export type KeptReason = 'owes' | 'leased' | 'parent' | 'previous' | 'successor' | 'child' | 'before' | 'unreadable'

/** What a prune asks of runs besides their rows. */
export interface Kin {
  /** True when the run is there and may do something yet. */
  readonly isAtWork: (runId: string) => Promise<boolean>
  /** True when the run is there and it, one above it, or one that any of these has passed its secrets on to may do something yet. */
  readonly isFamilyAtWork: (runId: string) => Promise<boolean>
  /** True when one that the run has started, or that these have, may do something yet: secrets are passed on down to the last. */
  readonly isAtWorkBelow: (runId: string) => Promise<boolean>
  /** True when one below a run that went on as this one, at once or through others, may do something yet. */
  readonly isAtWorkBefore: (runId: string) => Promise<boolean>
  /** True when the run that this one went on as, one that follows, or one below any of these may do something yet. */
  readonly isAtWorkBehind: (runId: string) => Promise<boolean>
}

/**
 * Remembers what it has found: of a family each run asks about all that are above and below it.
 *
 * What is at rest with all below it stays so, and what has come to rest since it was asked is kept once more: so what was found
 * holds for a whole prune.
 */
export function kinOf(env: Environment): Kin {
  const find = remembering(async (runId) => standingOf(await repeatable(env, () => env.store.runs.find(runId))))
  const kin: Kin = {
    isAtWork: async (runId) => (await find(runId))?.isAtWork ?? false,
    isFamilyAtWork: remembering(async (runId) => {
      const standing = await find(runId)
      if (standing === undefined) return false
      return standing.isAtWork || (await whoNeedsSecrets(standing, kin)) !== undefined
    }),
    isAtWorkBelow: remembering(async (runId) => hasChildAtWork(env, runId, kin)),
    isAtWorkBefore: remembering(async (runId) => {
      const previous = await repeatable(env, () => readPrevious(env.store, runId))
      return previous !== undefined && ((await kin.isAtWorkBelow(previous)) || (await kin.isAtWorkBefore(previous)))
    }),
    isAtWorkBehind: remembering(async (runId) => {
      const successor = await repeatable(env, () => env.store.runs.find(derivedRunId(runId, '\n')))
      if (successor === undefined) return false
      return mayAct(successor) || (await kin.isAtWorkBelow(successor.runId)) || isSuccessorAtWork(successor, kin)
    }),
  }
  return kin
}

/** What is remembered of a run: its row may be large. */
interface Standing extends Pick<RunRow, 'runId' | 'status' | 'parent'> {
  readonly isAtWork: boolean
}

function standingOf(row: RunRow | undefined): Standing | undefined {
  if (row === undefined) return undefined
  const { runId, status, parent } = row
  return { runId, status, ...(parent !== undefined && { parent }), isAtWork: mayAct(row) }
}

function mayAct({ status, owes }: RunRow): boolean {
  return !isTerminal(status) || owes.length > 0
}

/** Of so many runs an answer is remembered, which is some ten megabytes; then all are forgotten. */
const MOST_KNOWN = 100_000

function remembering<T>(ask: (runId: string) => Promise<T>): (runId: string) => Promise<T> {
  const known = new Map<string, T>()
  return async (runId) => {
    if (known.has(runId)) return known.get(runId) as T
    const answer = await ask(runId)
    if (known.size >= MOST_KNOWN) known.clear()
    known.set(runId, answer)
    return answer
  }
}

/** Finds the runs that others owe the start of, as they go on as these, when it is first asked. */
export function owedSuccessors(env: Environment): () => Promise<ReadonlySet<string>> {
  let found: Promise<ReadonlySet<string>> | undefined
  return () => (found ??= findOwedSuccessors(env))
}

async function findOwedSuccessors(env: Environment): Promise<ReadonlySet<string>> {
  const owed = new Set<string>()
  const filter: RunFilter = { statuses: ['continued'], owing: true }
  const owing = allItems((page) => repeatable(env, () => env.store.runs.list(filter, page)))
  for await (const { runId } of owing) owed.add(derivedRunId(runId, '\n'))
  return owed
}

/** What is known of a prune when it asks about a run. */
export interface Asking {
  readonly kin: Kin
  /** As {@link owedSuccessors} finds them; what ended before they were looked for may be asked about. */
  readonly owed: () => Promise<ReadonlySet<string>>
  readonly now: number
  readonly erases: boolean
}

/** @returns undefined for a run that may go. */
export async function whyKept(row: RunRow, { kin, owed, now, erases }: Asking): Promise<KeptReason | undefined> {
  if (row.lease !== undefined && row.lease.until > now) return 'leased'
  if (row.owes.length > 0) return 'owes'
  if (row.parent !== undefined && (await kin.isAtWork(row.parent))) return 'parent'
  if ((await owed()).has(row.runId)) return 'previous'
  return erases ? whoNeedsSecrets(row, kin) : undefined
}

/** Who may need the secrets of an ended run yet. It may have them from those above it, who have passed them on to others, too. */
async function whoNeedsSecrets(
  { runId, status, parent }: Pick<RunRow, 'runId' | 'status' | 'parent'>,
  kin: Kin,
): Promise<KeptReason | undefined> {
  if (await isSuccessorAtWork({ runId, status }, kin)) return 'successor'
  if ((await kin.isAtWorkBelow(runId)) || (await kin.isAtWorkBefore(runId))) return 'child'
  return parent !== undefined && (await kin.isFamilyAtWork(parent)) ? 'parent' : undefined
}

async function hasChildAtWork(env: Environment, parent: string, kin: Kin): Promise<boolean> {
  const listed = (request: PageRequest, filter: RunFilter) =>
    repeatable(env, () => env.store.runs.list({ parent, ...filter }, request))
  if ((await listed({ limit: 1 }, { statuses: ['running', 'blocked'] })).items.length > 0) return true
  for await (const child of allItems((page) => listed(page, {}))) {
    // One that owes something may have a successor to start, and one that had may have started it since, on a page that is read already.
    if (mayAct(child) || (await kin.isAtWorkBelow(child.runId)) || (await isSuccessorAtWork(child, kin))) return true
  }
  return false
}

async function isSuccessorAtWork({ runId, status }: Pick<RunRow, 'runId' | 'status'>, kin: Kin): Promise<boolean> {
  return status === 'continued' && kin.isAtWorkBehind(runId)
}

/** The run that goes on as this one; undefined also where the log is gone. */
async function readPrevious(store: Store, runId: string): Promise<string | undefined> {
  for await (const stored of store.events.read(runId, { from: 1, to: 1 })) {
    const { type, data } = readLogEvent(genesis(runId), stored)
    return type === 'RunStarted' ? data.previous : undefined
  }
  return undefined
}
