import {
  isCodedError,
  isStoreError,
  StoreError,
  type Claim,
  type CodedError,
  type Problem,
  type StoreErrorCode,
} from '@varve/store'
import { KernelError, type KernelErrorCode } from '../errors.ts'
import type { Environment } from './environment.ts'
import { repeatable } from './append.ts'
import type { DriveOptions } from './drive-options.ts'

/** A parked run is looked at again after this time: a deploy may have mended what is wrong. */
const RETRY_MS = 60_000

/**
 * One on which the store failed is left alone for a moment, so that others which are due come first; and for longer when it fails
 * again before anything came of it: what is damaged is of that run alone, it seems.
 */
const FAILED_RETRY_MS = 250
const FAILED_AGAIN_RETRY_MS = 15_000

/** What is wrong with a run, its code or its log, and stays wrong until somebody changes something. */
const PARKS: ReadonlySet<string> = new Set<KernelErrorCode | StoreErrorCode>([
  'CODE_CHANGED',
  'REUSE_GONE',
  'REUSE_IN_DOUBT',
  'NO_PROGRESS',
  'KEY_REUSED',
  'STEP_FAILED',
  'REDUCER_FAILED',
  'NONDETERMINISM',
  'INVALID_STEP',
  'INVALID_DEFINITION',
  'POLICY_FAILED',
  'POISONED',
  'UNKNOWN_ACTION',
  'INVALID_LOG',
  'SECRET_KEY_MISSING',
  'SECRET_CORRUPT',
  'SECRET_UNRESOLVED',
  'LIMIT_EXCEEDED',
  'WORKFLOW_MISSING',
  // The parent's, which is not driven and cannot be told.
  'INBOX_FULL',
  // The successor's: a newer version refuses what the run continues with.
  'INVALID_INPUT',
  'NOT_JSON',
  'INVALID_ARGUMENT',
  'CORRUPT_LOG',
  'NEWER_FORMAT',
])

/**
 * Gives up a run that cannot be driven here and now: with a problem when the run, its code or its log is at fault, or the store
 * failed on it and can still write that; else as it stands, due for whoever comes next. The log is not touched.
 *
 * @param isMendable - true when the run was read and took the posts that waited: one that has come since may mend it.
 * @returns the error that tells the caller.
 */
export async function park(env: Environment, claim: Claim, error: unknown, isMendable = false): Promise<unknown> {
  const problem = problemOf(env, claim, error)
  try {
    // The claim's head may be old; without a row to set it is compared with nothing.
    const request = { expectedHead: claim.head, ...(problem && { problem }) }
    await repeatable(env, () => env.store.runs.release(claim, request))
    // No post mends what a reducer makes of the log: the next drive could not even read it.
    if (isMendable && problem !== undefined && problem.code !== 'REDUCER_FAILED') await reviveForPosts(env, claim)
  } catch (failure) {
    // The lease ends by itself.
    env.warn(failure as Error)
  }
  return error
}

/** A post clears a problem. One that came while the run was being parked is to do so, too: it was there before the problem. */
async function reviveForPosts(env: Environment, { runId, token }: Claim): Promise<void> {
  const row = await repeatable(env, () => env.store.runs.find(runId))
  if (row === undefined || row.waiting === 0 || row.problem === undefined || row.token !== token) return
  const { owner, leaseMs, store } = env
  const claim = await repeatable(env, () => store.runs.acquire(runId, { owner, leaseMs }))
  await repeatable(env, () => store.runs.release(claim, { expectedHead: claim.head }))
  env.moved(runId)
}

/**
 * Refuses a claim on a run that must not be driven. What it owes may be in what cannot be read of its row: it would end without
 * paying. And one whose every driver died before anything came of it is likely to be what killed them, unless somebody says otherwise.
 *
 * @throws StoreError `CORRUPT_LOG`; KernelError `POISONED`.
 */
export function checkClaim(
  { maxRecoveries }: Environment,
  { runId, damage, recoveries }: Claim,
  { revive = false }: Pick<DriveOptions, 'revive'>,
): void {
  if (damage !== undefined) throw new StoreError('CORRUPT_LOG', damage, { runId })
  if (revive || recoveries <= maxRecoveries) return
  const text = `run ${runId} was recovered ${recoveries} times and nothing came of it; mend what kills it, then retry it`
  throw new KernelError('POISONED', text, { runId })
}

/** True for what parks a run. */
export function isParking(error: unknown): error is CodedError<string> {
  return isCodedError(error) && PARKS.has(error.code)
}

function problemOf(env: Environment, claim: Claim, error: unknown): Problem | undefined {
  if (isStoreError(error, 'STORE_FAILED')) {
    const afterMs = claim.problem?.code === 'STORE_FAILED' ? FAILED_AGAIN_RETRY_MS : FAILED_RETRY_MS
    return { code: error.code, message: error.message, retryAt: env.clock.now() + afterMs }
  }
  if (!isParking(error)) return undefined
  // What has killed its drivers again and again is not tried once more by itself.
  const retryAt = error.code === 'POISONED' ? null : env.clock.now() + RETRY_MS
  return { code: error.code, message: error.message, retryAt }
}
