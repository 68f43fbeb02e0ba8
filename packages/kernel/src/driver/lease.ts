import { isStoreError, type Claim } from '@varve/store'
import type { Timer } from '../clock.ts'
import { KernelError } from '../errors.ts'
import type { Environment } from './environment.ts'

/** A lease that is renewed until it is given up or lost. */
export interface Lease {
  /** The claim as last renewed; its token never changes. */
  claim(): Claim
  /** True while this process may start something under the lease; asked right before a handler is called. */
  isAlive(): boolean
  /** Resolves when it is alive, or given up: with a lease that may have run out unnoticed it waits for a renewal. */
  decided(): Promise<void> | undefined
  /** Renews it when a renewal is due and nobody has let its timer run; otherwise asks nobody. Resolves as {@link decided}. */
  beat(): Promise<void>
  /** Resolves when it was renewed, which makes it durable where it was given without waiting for that, or given up. */
  renew(): Promise<void>
  /** Stops renewing. The lease itself is released by its holder. */
  stop(): void
}

/** What a holder wants to know of its lease. */
export interface LeaseEvents {
  /** A renewal found posts waiting. */
  readonly onPosts: () => void
  /** Somebody else has the run, or it could not be renewed until a quarter of it was left. */
  readonly onLost: () => void
}

/**
 * Renews a lease at every third of its length, and gives it up when a quarter of it is left. Each claim tells the store's time.
 *
 * Where the event loop was blocked until then, nothing is known yet: nobody need have taken the run. Nothing is started, and
 * one renewal decides. Nothing is started either where the machine may have slept since the lease was granted, until it is renewed:
 * its monotonic clock did not tell.
 *
 * @param grantedAt - monotonic time before the claim was asked for, so that our idea of its end is never late.
 */
export function keepLease(env: Environment, first: Claim, grantedAt: number, events: LeaseEvents): Lease {
  return new KeptLease(env, first, grantedAt, events)
}

/** Why a drive has to stop whose lease was given up. */
export function notRenewed(runId: string): KernelError {
  return new KernelError('LEASE_LOST', `the lease on run ${runId} could not be renewed in time`, { runId })
}

class KeptLease implements Lease {
  readonly #env: Pick<Environment, 'clock' | 'leaseMs' | 'store'>
  readonly #events: LeaseEvents
  /** Made for whoever waits for a renewal: most leases are given back before one is due. */
  #over: PromiseWithResolvers<undefined> | undefined
  /** Made for whoever waits until one is granted. */
  #grant: PromiseWithResolvers<undefined> | undefined
  #claim: Claim
  /** Monotonic time from which on nothing may be started. */
  #deadline: number
  /** Monotonic time before the lease was last asked for. */
  #grantedAt: number
  /** When the first renewal was asked for that did not bring the lease further. */
  #askedAt: number | undefined
  /** When the guard first came late since the last renewal. */
  #lateSince: number | undefined
  #renewing: Promise<void> | undefined
  #renewAt = 0
  #next: Timer | undefined
  #guard: Timer | undefined
  #stopped = false

  constructor(env: Environment, claim: Claim, grantedAt: number, events: LeaseEvents) {
    this.#env = env
    this.#events = events
    this.#claim = claim
    this.#deadline = grantedAt + env.leaseMs * 0.75
    this.#grantedAt = grantedAt
    env.clock.noted(claim.leaseUntil - env.leaseMs, grantedAt)
    this.#renewIn(env.leaseMs / 3)
  }

  claim(): Claim {
    return this.#claim
  }

  isAlive(): boolean {
    return !this.#stopped && !this.#isOver && this.#env.clock.setAt() <= this.#grantedAt
  }

  get #isOver(): boolean {
    return this.#env.clock.monotonic() >= this.#deadline
  }

  /** Undefined when it is: the loop asks in every turn. */
  decided(): Promise<void> | undefined {
    return this.#stopped || this.isAlive() ? undefined : this.#decided()
  }

  async #decided(): Promise<void> {
    while (!this.#stopped && !this.isAlive()) {
      await this.#renewed()
      // It has time left where the machine slept, and a network may come back later than its machine.
      if (!this.isAlive() && !this.#isOver) await this.#paused(this.#env.leaseMs / 12)
    }
  }

  /** Resolves after this time, or when the lease is given up. */
  async #paused(ms: number): Promise<void> {
    if (this.#stopped) return
    this.#over ??= Promise.withResolvers()
    const passed = Promise.withResolvers<undefined>()
    const timer = this.#env.clock.schedule(ms, () => {
      passed.resolve(undefined)
    })
    await Promise.race([passed.promise, this.#over.promise])
    timer.cancel()
  }

  async beat(): Promise<void> {
    if (this.#stopped) return
    const isDue = this.#env.clock.monotonic() >= this.#renewAt
    if (isDue || this.#renewing !== undefined) await this.#renewed()
    await this.decided()
  }

  async renew(): Promise<void> {
    if (this.#stopped) return
    this.#grant ??= Promise.withResolvers()
    const { promise } = this.#grant
    // One that fails is asked for again in time.
    void this.#renew()
    await promise
  }

  stop(): void {
    this.#stopped = true
    this.#next?.cancel()
    this.#guard?.cancel()
    this.#over?.resolve(undefined)
    this.#grant?.resolve(undefined)
  }

  #lose(): void {
    if (this.#stopped) return
    this.stop()
    this.#events.onLost()
  }

  /** An answer that never comes is waited for until the lease is given up. */
  async #renewed(): Promise<void> {
    this.#over ??= Promise.withResolvers()
    await Promise.race([this.#renew(), this.#over.promise])
  }

  #renew(): Promise<void> {
    this.#renewing ??= this.#ask().finally(() => {
      this.#renewing = undefined
    })
    return this.#renewing
  }

  async #ask(): Promise<void> {
    const { clock, leaseMs, store } = this.#env
    this.#next?.cancel()
    // It comes long after the first renewal is due, so until then it needs no timer.
    if (this.#guard === undefined) this.#guardAt(this.#deadline)
    const askedAt = clock.monotonic()
    this.#askedAt ??= askedAt
    try {
      const renewed = await store.runs.renew(this.#claim, { leaseMs })
      clock.noted(renewed.leaseUntil - leaseMs, askedAt)
      if (!this.#stopped) this.#granted(renewed, askedAt)
    } catch (error) {
      if (this.#stopped) return
      // What was asked before the loop was blocked may have failed for that: one that was asked behind it decides.
      const wasLast = askedAt >= this.#deadline
      if (wasLast || isStoreError(error, 'FENCED') || isStoreError(error, 'RUN_NOT_FOUND')) this.#lose()
      else this.#renewIn(this.#isOver ? 0 : leaseMs / 12)
    }
  }

  #granted(claim: Claim, askedAt: number): void {
    const { leaseMs } = this.#env
    this.#claim = claim
    this.#deadline = askedAt + leaseMs * 0.75
    this.#grantedAt = askedAt
    this.#askedAt = undefined
    this.#lateSince = undefined
    this.#guard?.cancel()
    this.#guard = undefined
    this.#renewIn(leaseMs / 3)
    this.#grant?.resolve(undefined)
    this.#grant = undefined
    if (claim.waiting > 0) this.#events.onPosts()
  }

  /** The lease is given up, unless the loop was blocked so that no renewal had its time to be answered. */
  #expire(due: number): void {
    const { clock, leaseMs } = this.#env
    const now = clock.monotonic()
    const waited = now - (this.#askedAt ?? now)
    const isLate = now - due > leaseMs / 24
    if (isLate) this.#lateSince ??= now
    // Not for ever: a store that is silent may meet a handler that blocks the loop again and again.
    const isBlocked = isLate && now - (this.#lateSince ?? now) < leaseMs
    if (waited < leaseMs / 12 || isBlocked) {
      void this.#renew()
      this.#guardAt(now + leaseMs / 12)
    } else {
      // An answer that is here already is read first.
      this.#guard = this.#later(0, () => {
        this.#lose()
      })
    }
  }

  #renewIn(ms: number): void {
    this.#renewAt = this.#env.clock.monotonic() + ms
    this.#next = this.#later(ms, () => void this.#renew())
  }

  #guardAt(due: number): void {
    this.#guard = this.#later(due - this.#env.clock.monotonic(), () => {
      this.#expire(due)
    })
  }

  #later(ms: number, fn: () => void): Timer {
    const timer = this.#env.clock.schedule(Math.max(0, ms), fn)
    timer.unref?.()
    return timer
  }
}
