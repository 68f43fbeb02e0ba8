import type { Claim, ReleaseRequest } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { keepLease } from '../driver/lease.ts'
import { isKernelError } from '../errors.ts'

/**
 * Does something under a lease that is renewed meanwhile, and gives the run back: as `act` answers, or as it was found when
 * that throws.
 *
 * @returns false when the lease was lost on the way.
 */
export async function actUnderLease(
  env: Environment,
  claim: Claim,
  askedAt: number,
  act: (claim: Claim) => Promise<ReleaseRequest>,
): Promise<boolean> {
  const nothing = (): void => undefined
  const lease = keepLease(env, claim, askedAt, { onPosts: nothing, onLost: nothing })
  let request: ReleaseRequest = { expectedHead: claim.head, ...(claim.problem && { problem: claim.problem }) }
  try {
    request = await act(claim)
    return true
  } catch (error) {
    if (isKernelError(error, 'LEASE_LOST')) return false
    throw error
  } finally {
    lease.stop()
    // Kept back, it would only end by itself: what was done is done.
    await repeatable(env, () => env.store.runs.release(claim, request)).catch(env.warn)
  }
}
