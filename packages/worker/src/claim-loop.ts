import { isKernelError, type DispatchedRun, type Outcome } from '@varve/kernel'
import type { StoreChange } from '@varve/store'
import { setImmediate } from 'node:timers/promises'
import { Occasion } from './occasion.ts'
import type { WorkerSettings } from './options.ts'
import { QueueRotation } from './queue-rotation.ts'

/** A claim asks for at most so many runs. */
const CLAIM_LIMIT = 1000

/** After a failure nothing is claimed for this time, in ms, twice as long after each further one, up to the longest. */
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 15_000

/** Where no time matters the wait has one all the same, in ms: a timer is what keeps the process of a worker from ending. */
const LONG_MS = 3_600_000

/** What a loop has done so far. */
export interface LoopCounts {
  readonly claimed: number
  readonly blocked: number
  readonly ended: number
  /** Given up, lost to another worker, parked, or failed for want of the store. */
  readonly givenUp: number
}

/** What went wrong last, and has not gone well since. */
export interface LoopTrouble {
  readonly error: Error
  /** Unix milliseconds. */
  readonly since: number
}

/**
 * Claims due runs whenever there is room, and waits for the next occasion otherwise: a notification, a time, the end of a
 * run. One claim at a time, so that what comes meanwhile is taken by one more claim, however much it is.
 */
export class ClaimLoop {
  readonly #settings: WorkerSettings
  readonly #occasion: Occasion
  readonly #rotation: QueueRotation
  /** By what was claimed, not by run: after standing still a worker may claim what it has not let go of yet. */
  readonly #driven = new Set<DispatchedRun>()
  /** New runs that are being created, each of which has a place. */
  #beginning = 0
  /** True while nothing is being claimed. */
  #waits = false
  readonly #counts = { claimed: 0, blocked: 0, ended: 0, givenUp: 0 }
  #leaving: 'drain' | 'stop' | undefined
  /** True when something may be due that was not seen yet. */
  #told = true
  /** False once nothing was found any more that dead processes of this machine have left. */
  #adopts = true
  /** Monotonic time of the next look without being told. */
  #lookAt = 0
  /** Monotonic time before which nothing is claimed. */
  #pausedUntil = 0
  #failures = 0
  #trouble: LoopTrouble | undefined

  constructor(settings: WorkerSettings) {
    this.#settings = settings
    this.#occasion = new Occasion(settings.kernel.dispatcher.clock)
    this.#rotation = new QueueRotation(settings.queues)
  }

  get driven(): ReadonlySet<DispatchedRun> {
    return this.#driven
  }

  get counts(): LoopCounts {
    return this.#counts
  }

  get trouble(): LoopTrouble | undefined {
    return this.#trouble
  }

  /** Takes note of what the store tells. */
  hear({ dueInMs }: StoreChange): void {
    if (dueInMs === null) return
    if (dueInMs === 0) this.#told = true
    else this.#lookIn(dueInMs)
    this.#occasion.come()
  }

  /** True when a new run would be claimed at once, and no other one before it, as far as is known. */
  get isFree(): boolean {
    return (
      this.#waits && !this.#told && this.#leaving === undefined && this.#room > 0 && this.#now() >= this.#pausedUntil
    )
  }

  /** Drives a run that its kernel begins to drive at its start, when there is one after all. */
  take(begun: Promise<DispatchedRun | undefined>): void {
    this.#beginning++
    void begun.then((run) => {
      this.#beginning--
      if (run !== undefined) this.#drive(run)
      else this.#occasion.come()
    })
  }

  /** Claims nothing any more; asks the runs that are driven to leave. */
  leave(how: 'drain' | 'stop'): void {
    // What was to be given up at once does not get more time by being asked again.
    if (this.#leaving !== 'stop') this.#leaving = how
    for (const run of this.#driven) run.leave(this.#leaving)
    this.#occasion.come()
  }

  /** Resolves when the loop was asked to leave and drives nothing any more. */
  async run(): Promise<void> {
    await this.#adopt()
    while (this.#leaving === undefined) {
      if (this.#mayClaim()) await this.#claimTogether()
      else await this.#rest()
    }
    while (this.#driven.size + this.#beginning > 0) await this.#occasion.wait(this.#now() + LONG_MS)
  }

  async #rest(): Promise<void> {
    this.#waits = true
    await this.#occasion.wait(this.#nextLook())
    this.#waits = false
  }

  get #room(): number {
    return this.#settings.concurrency - this.#driven.size - this.#beginning
  }

  #mayClaim(): boolean {
    const now = this.#now()
    return this.#room > 0 && now >= this.#pausedUntil && (this.#told || now >= this.#lookAt)
  }

  /** Without room only the end of a run matters. */
  #nextLook(): number {
    if (this.#room <= 0) return this.#now() + LONG_MS
    return this.#told ? this.#pausedUntil : Math.max(this.#pausedUntil, this.#lookAt)
  }

  /**
   * What a process left that died on this machine need not wait for its leases: most often it is the one that we follow. Looked for
   * again where the store failed, maybe amid it, or no place was left.
   */
  async #adopt(): Promise<void> {
    const { kernel, workflows, queues, leaseMs } = this.#settings
    const request = { queues, ...(workflows && { workflows }), limit: this.#room, leaseMs }
    try {
      const runs = await kernel.dispatcher.adopt(request)
      this.#adopts = runs.length > 0
      for (const run of runs) this.#drive(run)
    } catch (error) {
      this.#missed(error)
    }
  }

  /** Runs that end in one turn of the event loop share a claim: with a store that answers at once each would take its own. */
  async #claimTogether(): Promise<void> {
    if (this.#driven.size > 0) await setImmediate()
    if (this.#leaving === undefined) await this.#claim()
  }

  async #claim(): Promise<void> {
    const { kernel, workflows, leaseMs } = this.#settings
    const queues = this.#rotation.next()
    const request = { queues, ...(workflows && { workflows }) }
    const limit = Math.min(this.#room, CLAIM_LIMIT)
    this.#told = false
    const looks = this.#now() >= this.#lookAt
    try {
      // Asked first: what becomes due in between is claimed.
      if (looks) await this.#planLook(request)
      const runs = await kernel.dispatcher.claim({ ...request, limit, leaseMs })
      // More may be due than there was room for.
      if (runs.length === limit) this.#told = true
      for (const run of runs) this.#drive(run)
      this.#failures = 0
      this.#trouble = undefined
    } catch (error) {
      this.#missed(error)
      return
    }
    // Behind the claim: what keeps a worker from adopting keeps no other run waiting.
    if (looks && this.#adopts && this.#room > 0 && this.#leaving === undefined) await this.#adopt()
  }

  #missed(error: unknown): void {
    if (isKernelError(error, 'KERNEL_CLOSED')) this.leave('stop')
    else this.#pause(error as Error)
  }

  async #planLook(request: Parameters<WorkerSettings['kernel']['dispatcher']['dueIn']>[0]): Promise<void> {
    const { kernel, pollMs } = this.#settings
    // What is told meanwhile may not be in the answer, and counts besides.
    this.#lookAt = Infinity
    let ms = 0
    try {
      ms = Math.min(pollMs, (await kernel.dispatcher.dueIn(request)) ?? pollMs)
    } finally {
      this.#lookIn(ms)
    }
  }

  #drive(run: DispatchedRun): void {
    this.#driven.add(run)
    this.#counts.claimed++
    if (this.#leaving !== undefined) run.leave(this.#leaving)
    run.outcome
      .then(
        (outcome) => {
          this.#came(outcome)
        },
        (error: unknown) => {
          this.#failed(error as Error)
        },
      )
      .finally(() => {
        this.#driven.delete(run)
        if (this.#rotation.isLimited(run.queue)) this.#told = true
        this.#occasion.come()
      })
  }

  #came(outcome: Outcome | undefined): void {
    if (outcome === undefined) this.#counts.givenUp++
    else if (outcome.status === 'blocked') this.#counts.blocked++
    else this.#counts.ended++
    if (outcome?.status !== 'blocked' || outcome.wakeAt === null) return
    const { clock } = this.#settings.kernel.dispatcher
    this.#lookIn(outcome.wakeAt - clock.now())
  }

  /** Looks no later than after this time, in ms. */
  #lookIn(ms: number): void {
    this.#lookAt = Math.min(this.#lookAt, this.#now() + Math.max(0, ms))
  }

  /** A run that was parked is out of the way; what is due at once again must not be claimed in a hot loop. */
  #failed(error: Error): void {
    this.#counts.givenUp++
    if (this.#leaving !== undefined || isKernelError(error, 'KERNEL_CLOSED')) return
    if (isKernelError(error) || this.#settings.kernel.dispatcher.parks(error)) this.#settings.warn(error)
    else this.#pause(error)
  }

  #pause(error: Error): void {
    const { kernel, warn } = this.#settings
    const { clock } = kernel.dispatcher
    this.#told = true
    // What fails meanwhile fails for the same trouble: all that are driven, when the store is away for a moment.
    if (this.#now() >= this.#pausedUntil) {
      this.#pausedUntil = this.#now() + Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS)
      this.#failures++
    }
    this.#trouble = { error, since: this.#trouble?.since ?? clock.now() }
    warn(error)
  }

  #now(): number {
    return this.#settings.kernel.dispatcher.clock.monotonic()
  }
}
