import { isStoreError, type Claim } from '@varve/store'
import type { Timer } from '../clock.ts'
import type { Environment } from './environment.ts'

/** A lease that is renewed until it is given up or lost. */
export interface Lease {
  /** The claim as last renewed. */
  readonly claim: () => Claim
  /** True while this process may start something under the lease; asked right before a handler is called. */
  readonly isAlive: () => boolean
  /** Stops renewing. The lease itself is released by its holder. */
  readonly stop: () => void
}

/** What a holder wants to know of its lease. */
export interface LeaseEvents {
  /** A renewal found posts waiting. */
  readonly onPosts: () => void
  /** Somebody else has the run, or it could not be renewed until a quarter of it was left. */
  readonly onLost: () => void
}

/**
 * Renews a lease at every third of its length. Each claim tells the store's time.
 *
 * @param grantedAt - monotonic time before the claim was asked for, so that our idea of its end is never late.
 */
export function keepLease(env: Environment, first: Claim, grantedAt: number, events: LeaseEvents): Lease {
  const { clock, leaseMs } = env
  clock.noted(first.leaseUntil - leaseMs, grantedAt)
  let claim = first
  let deadline = grantedAt + leaseMs * 0.75
  let stopped = false
  let next: Timer
  let guard: Timer
  const stop = (): void => {
    stopped = true
    next.cancel()
    guard.cancel()
  }
  const lose = (): void => {
    if (stopped) return
    stop()
    events.onLost()
  }
  const renew = async (): Promise<void> => {
    const askedAt = clock.monotonic()
    try {
      const renewed = await env.store.runs.renew(claim, { leaseMs })
      clock.noted(renewed.leaseUntil - leaseMs, askedAt)
      if (stopped) return
      claim = renewed
      deadline = askedAt + leaseMs * 0.75
      guard.cancel()
      guard = later(deadline - clock.monotonic(), lose)
      next = later(leaseMs / 3, () => void renew())
      if (renewed.waiting > 0) events.onPosts()
    } catch (error) {
      if (stopped) return
      if (isStoreError(error, 'FENCED') || isStoreError(error, 'RUN_NOT_FOUND')) lose()
      else next = later(leaseMs / 12, () => void renew())
    }
  }
  const later = (ms: number, fn: () => void): Timer => {
    const timer = clock.schedule(Math.max(0, ms), fn)
    timer.unref?.()
    return timer
  }
  next = later(leaseMs / 3, () => void renew())
  guard = later(deadline - clock.monotonic(), lose)
  return { claim: () => claim, isAlive: () => !stopped && clock.monotonic() < deadline, stop }
}
