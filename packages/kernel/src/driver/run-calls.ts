import { isStoreError, type Claim, type Debt, type Page, type Post, type ReleaseOutcome } from '@varve/store'
import type { RunFold } from '../run/run-fold.ts'
import { leaseLost, repeatable } from './append.ts'
import type { Environment } from './environment.ts'
import { runUpdate } from './turn.ts'

/** Takes the lease on a run in the name of this process. @throws StoreError `RUN_BUSY` | `RUN_TERMINAL` | `RUN_NOT_FOUND`. */
export function acquireRun(env: Environment, runId: string): Promise<Claim> {
  const { owner, leaseMs, store } = env
  return repeatable(env, () => store.runs.acquire(runId, { owner, leaseMs }))
}

/** Takes the lease again on a run that could not be released. @throws KernelError `LEASE_LOST` when somebody else was quicker. */
export async function acquireReleased(env: Environment, runId: string): Promise<Claim> {
  try {
    return await acquireRun(env, runId)
  } catch (error) {
    if (!isStoreError(error, 'RUN_BUSY') && !isStoreError(error, 'RUN_TERMINAL')) throw error
    throw leaseLost(runId, error)
  }
}

/**
 * Gives a run back as it is folded; with these debts from now on, unless the row has them already.
 *
 * @returns what became of it; `lost` is not answered for a release of our own that went well while its answer did not come.
 */
export async function releaseRun(
  env: Environment,
  claim: Claim,
  fold: Pick<RunFold, 'system'>,
  owes: readonly Debt[] | undefined,
): Promise<ReleaseOutcome> {
  const expectedHead = fold.system.end.seq
  const run = { ...runUpdate(fold), ...(owes && { owes }) }
  let uncertain = false as boolean
  const outcome = await repeatable(env, async () => {
    try {
      return await env.store.runs.release(claim, { expectedHead, run })
    } catch (error) {
      uncertain ||= isStoreError(error, 'UNKNOWN_OUTCOME')
      throw error
    }
  })
  return outcome === 'lost' && uncertain ? outcomeOfRelease(env, claim) : outcome
}

async function outcomeOfRelease({ clock, store }: Environment, { runId, token }: Claim): Promise<ReleaseOutcome> {
  const row = await repeatable({ clock }, () => store.runs.find(runId))
  if (row?.token !== token || row.lease !== undefined) return 'lost'
  return row.wakeAt !== null && row.wakeAt <= clock.now() ? 'due' : 'released'
}

/** A store lists no more posts of a run at once, so no more may wait. */
export const LISTED_POSTS = 1000

/** The first posts that wait for a run, as many of them as one append can take. */
export function waitingPosts(env: Environment, runId: string): Promise<Page<Post>> {
  const { limits, store } = env
  return repeatable(env, () => store.inbox.list(runId, { limit: Math.min(limits.appendEvents, LISTED_POSTS) }))
}
