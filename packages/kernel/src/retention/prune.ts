import {
  allPages,
  checkList,
  checkRunFilter,
  isStoreError,
  shown,
  type RunFilter,
  type RunRow,
  type TerminalStatus,
} from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { isKernelError, KernelError } from '../errors.ts'
import { exportEvidence, type ExportEvidenceOptions } from '../evidence/export-evidence.ts'
import { eraseSecretsOf } from '../secrets/erase.ts'
import { kinOf, owedSuccessors, whyKept, type Asking, type KeptReason } from './kept-run.ts'
import { sweepArtifacts } from './sweep-artifacts.ts'

/** What is removed, and what is done before. */
export interface PruneOptions {
  /** Runs that ended longer ago than this, in ms of the store's clock. */
  readonly olderThanMs: number
  /** How they have ended. Default: in any way. */
  readonly statuses?: readonly TerminalStatus[]
  readonly workflow?: string
  /** Runs that have all of these. */
  readonly tags?: readonly string[]
  /** At most so many runs in this call, from 1; what is left is told by `more`. Default 1000. */
  readonly limit?: number
  /** False: artifacts stay, also those that nothing refers to any more. Default true. */
  readonly artifacts?: boolean
  /**
   * How long an artifact stays that nothing refers to, since it was last put or touched, in ms. Has to be longer than the longest
   * attempt: what it puts is referred to when it has ended. Default: `olderThanMs`.
   */
  readonly artifactsUnusedMs?: number
  /**
   * Called before a run is removed, for example to export it: `evidence` writes what `kernel.exportEvidence` does. When it throws, the
   * run is kept. May be called again for a run after a crash, and by several processes at once.
   */
  readonly before?: (row: RunRow, evidence: (options?: ExportEvidenceOptions) => AsyncIterable<string>) => Promise<void>
  /**
   * `erase`: every secret that the run's log and posts refer to is erased for good, as `kernel.eraseSecrets` does, also for forks
   * of it. Then a run is kept as long as a child or a successor of it has not ended, or a run above it, or one of theirs. Default `keep`.
   */
  readonly secrets?: 'keep' | 'erase'
}

/** A run that was old enough and is there all the same. */
export interface KeptRun {
  readonly runId: string
  readonly reason: KeptReason
  /** With `before`: what it threw. With `unreadable`: what is wrong with the log. */
  readonly error?: unknown
}

/** What a prune has done. */
export interface PruneReport {
  /** Ids of the runs that it removed. */
  readonly removed: readonly string[]
  /** As many as `limit` of those that were kept. */
  readonly kept: readonly KeptRun[]
  /** All that were kept. */
  readonly keptCount: number
  /** True when the limit was reached and there are more: prune again. */
  readonly more: boolean
  readonly artifacts: { readonly removed: number; readonly bytes: number }
  /** Secrets that were erased. */
  readonly secretsErased: number
}

/**
 * @throws KernelError `INVALID_INPUT` | StoreError `INVALID_ARGUMENT` for options, a workflow or tags that are none; nothing is
 * removed then.
 */
export async function pruneRuns(env: Environment, options: PruneOptions): Promise<PruneReport> {
  checkPrune(options)
  const { olderThanMs, artifactsUnusedMs = olderThanMs, artifacts = true } = options
  const now = await repeatable(env, () => env.store.now())
  const runs = await removeRuns(env, options, now)
  const swept = { removed: 0, bytes: 0 }
  if (!artifacts) return { ...runs, artifacts: swept }
  for await (const { size } of sweepArtifacts(env, { unusedSince: now - artifactsUnusedMs })) {
    swept.removed += 1
    swept.bytes += size
  }
  return { ...runs, artifacts: swept }
}

const STATUSES: readonly TerminalStatus[] = ['completed', 'failed', 'canceled', 'continued']

/** What would be passed over in silence removes more than was meant, for good. */
function checkPrune(options: PruneOptions): void {
  const { olderThanMs, artifactsUnusedMs, limit, artifacts = true, before, secrets } = options
  checkWhole('olderThanMs', olderThanMs, 0)
  if (artifactsUnusedMs !== undefined) checkWhole('artifactsUnusedMs', artifactsUnusedMs, 0)
  if (limit !== undefined) checkWhole('limit', limit, 1)
  if (typeof artifacts !== 'boolean')
    throw invalid(`artifacts of a prune must be true or false, got ${shown(artifacts)}`)
  if (before !== undefined && typeof before !== 'function') {
    throw invalid(`before of a prune must be a function, got ${shown(before)}`)
  }
  // Whoever misspells it would believe that they are gone.
  if (!['keep', 'erase', undefined].includes(secrets)) {
    throw invalid(`secrets of a prune must be keep or erase, got ${shown(secrets)}`)
  }
  const which = whichRuns(options)
  checkList('statuses of a prune', which.statuses)
  const living = which.statuses.find((status) => !STATUSES.includes(status))
  if (living !== undefined) {
    throw invalid(`a prune removes runs that have ended: ${STATUSES.join(', ')}, not ${shown(living)}`)
  }
  checkRunFilter(which, { limit: 1 })
}

function checkWhole(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return
  throw invalid(`${name} of a prune must be a whole number from ${least}, got ${shown(value)}`)
}

function invalid(text: string): KernelError {
  return new KernelError('INVALID_INPUT', text)
}

type WhichRuns = Pick<PruneOptions, 'workflow' | 'tags'> & Required<Pick<PruneOptions, 'statuses'>>

/** Which runs are meant, whenever they ended. */
function whichRuns({ statuses = STATUSES, workflow, tags }: PruneOptions): WhichRuns {
  return { statuses, ...(workflow !== undefined && { workflow }), ...(tags !== undefined && { tags }) }
}

async function removeRuns(
  env: Environment,
  options: PruneOptions,
  now: number,
): Promise<Omit<PruneReport, 'artifacts'>> {
  const { olderThanMs, limit = 1000 } = options
  // What has ended before was created before: a list by creation passes over the others at once.
  const filter = { ...whichRuns(options), endedBefore: now - olderThanMs, createdBefore: now - olderThanMs }
  const report = { removed: [] as string[], kept: [] as KeptRun[], keptCount: 0, more: false, secretsErased: 0 }
  const asking = { kin: kinOf(env), owed: owedSuccessors(env), now, erases: options.secrets === 'erase' }
  for await (const rows of pagesOf(env, filter)) {
    for (const row of rows) {
      if (report.removed.length === limit) return { ...report, more: true }
      const { removed, kept, erased } = await removeUnlessKept(env, row, options, asking)
      report.secretsErased += erased
      if (removed) report.removed.push(row.runId)
      if (kept === undefined) continue
      report.keptCount += 1
      if (report.kept.length < limit) report.kept.push({ runId: row.runId, ...kept })
    }
  }
  return report
}

/** Newest first, so a chain of runs goes from its end, and children before their parents. */
function pagesOf(env: Environment, filter: RunFilter): AsyncGenerator<readonly RunRow[], void, undefined> {
  return allPages((page) => repeatable(env, () => env.store.runs.list(filter, page)))
}

/** What became of one run; neither removed nor kept when another process was first. */
interface Removal {
  readonly removed: boolean
  readonly kept?: Omit<KeptRun, 'runId'>
  /** Secrets. */
  readonly erased: number
}

function keptFor(reason: KeptReason, erased = 0): Removal {
  return { removed: false, kept: { reason }, erased }
}

/** A log that cannot be read keeps its run, and those that are asked about it: secrets that are erased do not come back. */
async function removeUnlessKept(
  env: Environment,
  row: RunRow,
  options: PruneOptions,
  asking: Asking,
): Promise<Removal> {
  try {
    const reason = await whyKept(row, asking)
    return reason === undefined ? await removeRun(env, row, options) : keptFor(reason)
  } catch (error) {
    if (!isUnreadable(error)) throw error
    return { removed: false, kept: { reason: 'unreadable', error }, erased: 0 }
  }
}

function isUnreadable(error: unknown): boolean {
  return (
    isStoreError(error, 'CORRUPT_LOG') || isStoreError(error, 'NEWER_FORMAT') || isKernelError(error, 'INVALID_LOG')
  )
}

async function removeRun(env: Environment, row: RunRow, { before, secrets }: PruneOptions): Promise<Removal> {
  const { store, artifacts, clock } = env
  const { runId } = row
  try {
    await before?.(row, (options = {}) => exportEvidence({ store, artifacts, row, now: () => clock.now() }, options))
  } catch (error) {
    return { removed: false, kept: { reason: 'before', error }, erased: 0 }
  }
  // First: without the log nobody knows which they are.
  const erasing = async (): Promise<readonly string[]> => eraseSecretsOf(store, runId)
  const erased = secrets === 'erase' ? (await repeatable(env, erasing)).length : 0
  try {
    return { removed: await remove(env, runId), erased }
  } catch (error) {
    if (isStoreError(error, 'RUN_BUSY')) return keptFor('leased', erased)
    if (isStoreError(error, 'RUN_NOT_TERMINAL')) return keptFor('owes', erased)
    throw error
  }
}

/** A removal whose answer was lost, and that finds nothing the second time, was ours. */
async function remove(env: Environment, runId: string): Promise<boolean> {
  let uncertain = false
  return repeatable(env, async () => {
    try {
      return (await env.store.runs.remove(runId, { ifTerminal: true })) || uncertain
    } catch (error) {
      uncertain ||= isStoreError(error, 'UNKNOWN_OUTCOME')
      throw error
    }
  })
}
