import { isStoreError, isTerminal, StoreError, type Claim, type ReleaseRequest, type RunRow } from '@varve/store'
import { Drive } from '../driver/drive.ts'
import type { DriveOptions } from '../driver/drive-options.ts'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { endOutcome, type Outcome } from '../driver/outcome.ts'
import { park } from '../driver/park.ts'
import { isKernelError, KernelError } from '../errors.ts'
import { isKnownDead } from '../owner.ts'
import { readEnd } from '../views/read-end.ts'
import type { MoveWaiter } from '../views/watch.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { Changes } from './changes.ts'
import { actUnderLease } from './act-under-lease.ts'
import { isIdle } from './idle.ts'
import type { MoveOptions } from './move-options.ts'
import { giveBack } from './give-back.ts'
import { runNotFound } from './run-not-found.ts'
import { Trailing } from './trailing.ts'
import { WakeUps } from './wake-ups.ts'

/** How often a run that another process drives is looked at, where the store does not notify. */
const POLL_MS = 250

/** One run that this kernel drives or follows. All callers share it: a kernel never competes with itself for a lease. */
interface Slot {
  readonly outcome: Promise<Outcome | undefined>
  drive?: Drive
  /** Settles when the drive is over. */
  driving?: Promise<unknown>
  /** True when something was posted since the run was last looked at. */
  again: boolean
}

/** The drives of one kernel, at most one per run. */
export class Drives {
  readonly #env: Environment
  readonly #slots = new Map<string, Slot>()
  readonly #wakeUps: WakeUps
  /** Runs that nothing drives here for a moment; resolves when they are free again. */
  readonly #held = new Map<string, Promise<void>>()
  readonly #claiming = new Set<Promise<unknown>>()
  readonly #changes: Changes
  /** What drives have left behind: waited for when the kernel is closed. */
  readonly trailing = new Trailing()
  #closed: KernelError | undefined

  constructor(env: Environment) {
    this.#env = env
    this.#wakeUps = new WakeUps(env, {
      move: (runId) => this.move(runId, { follow: false }),
      has: (runId) => this.#slots.has(runId),
    })
    this.#changes = new Changes(env, (news, runId) => {
      const slots = runId === undefined ? [...this.#slots.values()] : [this.#slots.get(runId)]
      return slots.filter((slot) => slot?.drive?.nudge(news)).length > 0
    })
  }

  /**
   * Creates a run and drives it.
   *
   * @returns undefined when another process took it over.
   * @throws StoreError `HEAD_CONFLICT` when it exists.
   */
  create(options: DriveOptions): Promise<Outcome | undefined> {
    const { runId } = options
    return this.#join(runId, (slot) => this.#create(slot, options))
  }

  /**
   * Drives a run to its end or block, or follows it there while another process drives it.
   *
   * @returns undefined when another process drives it and it is not to be followed.
   */
  move(runId: string, options: MoveOptions): Promise<Outcome | undefined> {
    return this.#join(runId, (slot) => this.#move(slot, runId, options))
  }

  /**
   * Drives a run under a lease that a claim has given. A lease on a run that this kernel is at work on already is given back
   * when that is over, unless whoever is at work on it takes it anew.
   *
   * @param env - what the drive works with, in place of what the drives of the kernel's verbs do.
   * @returns undefined when the run was given up, or was moved without this lease.
   */
  async dispatch(env: Environment, claim: Claim, claimedAt: number): Promise<Outcome | undefined> {
    const { runId } = claim
    const busy = this.#held.get(runId) ?? this.#slots.get(runId)?.outcome
    if (busy !== undefined) {
      this.#changes.moved(runId)
      void this.claiming(giveBack(env, claim, busy))
      return undefined
    }
    return this.begin(env, runId, async () => {
      const definition = await this.#codeUnder(claim)
      return { runId, definition, claim, claimedAt }
    })
  }

  /** As {@link dispatch}, for a run that nothing here is at work on: one that is to be created, too. */
  async begin(env: Environment, runId: string, how: () => Promise<DriveOptions>): Promise<Outcome | undefined> {
    let outcome: Outcome | undefined
    await this.#join(runId, async (slot) => {
      outcome = await this.#drive(slot, await how(), env)
      this.#leave(runId, slot)
      // Whoever shares it has posted since: what the drive saw last is not what came of that.
      return outcome?.status === 'blocked' && wasPosted(slot) ? undefined : outcome
    })
    return outcome
  }

  /** Keeps the kernel from being closed before what a claim has leased was given to drives, or back. */
  async claiming<T>(claim: Promise<T>): Promise<T> {
    this.#claiming.add(claim)
    return claim.finally(() => this.#claiming.delete(claim))
  }

  /** Asks the drive of a run to give it up. */
  leave(runId: string, how: 'stop' | 'drain', reason: Error): void {
    this.#slots.get(runId)?.drive?.leave(how, reason)
  }

  /**
   * Does something to a run under a lease of its own, while nothing drives it here. A drive of this kernel gives the run up,
   * and takes it again afterwards; one of another process is waited for.
   *
   * @param act - called with the lease; once more when it throws `LEASE_LOST`. What it answers is what the run is released with.
   * @throws StoreError `RUN_NOT_FOUND` | `RUN_TERMINAL`, or what `act` throws.
   */
  async exclusively(runId: string, act: (claim: Claim) => Promise<ReleaseRequest>): Promise<void> {
    while (this.#held.has(runId)) await this.#held.get(runId)
    let free = (): void => undefined
    this.#held.set(runId, new Promise((resolve) => (free = resolve)))
    const had = { rested: false }
    try {
      while (!(await this.#tryExclusively(runId, act, had))) this.checkOpen()
    } catch (error) {
      // The lease that the drive had is still ours: left alone, nobody would drive the run until it ends.
      if (had.rested) queueMicrotask(() => this.moved(runId))
      throw error
    } finally {
      this.#held.delete(runId)
      free()
    }
  }

  async #tryExclusively(
    runId: string,
    act: (claim: Claim) => Promise<ReleaseRequest>,
    had: { rested: boolean },
  ): Promise<boolean> {
    this.checkOpen()
    const change = this.#changes.of(runId)
    try {
      had.rested = (await this.#rest(runId)) || had.rested
      const row = await repeatable(this.#env, () => this.#env.store.runs.find(runId))
      if (row === undefined) throw runNotFound(runId)
      const askedAt = this.#env.clock.monotonic()
      const claim = await this.#acquire(row)
      if (claim !== undefined) return await actUnderLease(this.#env, claim, askedAt, act)
      if (isTerminal(row.status)) throw new StoreError('RUN_TERMINAL', `run ${runId} has ended`, { runId })
      await change.next(POLL_MS)
      return false
    } finally {
      change.cancel()
    }
  }

  /** Resolves when no drive of this kernel has the run any more: true when one had. */
  async #rest(runId: string): Promise<boolean> {
    const slot = this.#slots.get(runId)
    slot?.drive?.leave('rest', new KernelError('LEASE_LOST', `run ${runId} is held for a moment`, { runId }))
    await slot?.driving
    return slot?.driving !== undefined
  }

  /** Says that something was posted to a run. */
  posted(runId: string): void {
    const slot = this.#slots.get(runId)
    if (slot === undefined) return
    slot.again = true
    slot.drive?.nudge()
  }

  /** Says that something was done to a run that may be driven here: it is, in the background. */
  moved(runId: string): void {
    this.posted(runId)
    if (!this.#slots.has(runId) && this.#closed === undefined) this.#wakeUps.now(runId)
  }

  /** Says that events of a run are durable. */
  committed(runId: string): void {
    this.#changes.moved(runId)
  }

  /** Waits for a run to move, wherever it is driven. */
  waitFor(runId: string): MoveWaiter {
    const change = this.#changes.of(runId)
    return {
      next: async () => {
        await change.next(POLL_MS)
        this.checkOpen()
      },
      cancel: () => {
        change.cancel()
      },
    }
  }

  /** Resolves when this kernel stops moving one of these runs; undefined when it is at work on none of them. */
  moving(runs: ReadonlyMap<string, unknown>): Promise<void> | undefined {
    // Most runs wait for none.
    if (runs.size === 0) return undefined
    const stop = (): void => undefined
    // A run may wait for very many, and a kernel be at work on very many others.
    const [few, many] = runs.size < this.#slots.size ? [runs, this.#slots] : [this.#slots, runs]
    for (const runId of few.keys()) if (many.has(runId)) return this.#slots.get(runId)?.outcome.then(stop, stop)
    return undefined
  }

  /** True when this kernel is at work on the run. */
  has(runId: string): boolean {
    return this.#slots.has(runId)
  }

  /** Drives a run when its time has come, for as long as this kernel lives. */
  wakeAt(runId: string, at: number | null): void {
    this.#wakeUps.at(runId, at)
  }

  /** Aborts all handlers, releases all leases, clears all timers. */
  async close(): Promise<void> {
    this.#closed ??= new KernelError('KERNEL_CLOSED', 'the kernel was disposed')
    this.#wakeUps.close()
    for (const { drive } of this.#slots.values()) drive?.leave('stop', this.#closed)
    // A store that cannot be told any more tells nothing any more either; what is being driven is given back all the same.
    await this.#changes.close().catch(this.#env.warn)
    await Promise.allSettled(this.#claiming)
    await Promise.allSettled([...[...this.#slots.values()].map(({ outcome }) => outcome), ...this.#held.values()])
    await this.trailing.settled()
  }

  /** False once the kernel is being disposed. */
  get isOpen(): boolean {
    return this.#closed === undefined
  }

  /** @throws KernelError `KERNEL_CLOSED`. */
  checkOpen(): void {
    if (this.#closed !== undefined) throw this.#closed
  }

  #join(runId: string, begin: (slot: Slot) => Promise<Outcome | undefined>): Promise<Outcome | undefined> {
    const existing = this.#slots.get(runId)
    if (existing !== undefined) return existing.outcome
    const slot: { -readonly [K in keyof Slot]: Slot[K] } = { outcome: Promise.resolve(undefined), again: false }
    this.#slots.set(runId, slot)
    slot.outcome = begin(slot).finally(() => {
      this.#leave(runId, slot)
    })
    return slot.outcome
  }

  /** In one go with the last look at `slot.again`: a call that comes later must not share an outcome that is older. */
  #leave(runId: string, slot: Slot): void {
    if (this.#slots.get(runId) === slot) this.#slots.delete(runId)
  }

  async #create(slot: Slot, options: DriveOptions): Promise<Outcome | undefined> {
    const { runId } = options
    const outcome = await this.#drive(slot, options)
    if (outcome?.status === 'blocked' && wasPosted(slot)) return this.#move(slot, runId, { follow: true })
    this.#leave(runId, slot)
    return outcome
  }

  async #move(slot: Slot, runId: string, options: MoveOptions): Promise<Outcome | undefined> {
    for (;;) {
      await this.#held.get(runId)
      this.checkOpen()
      slot.again = false
      const change = options.follow ? this.#changes.of(runId) : undefined
      try {
        const outcome = await this.#moveOnce(slot, runId, options)
        const lookAgain = outcome?.status === 'blocked' && wasPosted(slot)
        if (outcome !== undefined && !lookAgain) {
          this.#leave(runId, slot)
          return outcome
        }
        if (outcome === undefined && this.#held.has(runId)) continue
        if (outcome === undefined && !options.follow) return undefined
        if (outcome === undefined) await change?.next(POLL_MS)
      } finally {
        change?.cancel()
      }
    }
  }

  /** @returns undefined when the run is another process's. */
  async #moveOnce(slot: Slot, runId: string, options: MoveOptions): Promise<Outcome | undefined> {
    const { initialState, revive } = options
    const row = await repeatable(this.#env, () => this.#env.store.runs.find(runId))
    if (row === undefined) throw runNotFound(runId)
    const paid = row.owes.length === 0
    if (isTerminal(row.status) && paid) return endOutcome(runId, await readEnd(this.#env.store, row))
    if (await isIdle(this.#env.clock, row)) return this.#blocked(row)
    const definition = await this.#codeOf(row, options.parks === true)
    if (definition === undefined) return undefined
    const claimedAt = this.#env.clock.monotonic()
    const claim = await this.#acquire(row)
    if (claim === undefined) return undefined
    const state = initialState !== undefined && { initialState }
    const drive = { runId, definition, claim, claimedAt, ...state, ...(revive === true && { revive }) }
    return this.#drive(slot, drive)
  }

  /** @returns undefined when another process drives the run, and so has its code. */
  async #codeOf(row: RunRow, parks: boolean): Promise<Definition | undefined> {
    try {
      return this.#env.definitionOf(row)
    } catch (error) {
      if (!parks) throw error
      const claim = await this.#acquire(row)
      if (claim === undefined) return undefined
      return this.#codeUnder(claim)
    }
  }

  /** @throws KernelError `WORKFLOW_MISSING`, for which the run is parked. */
  async #codeUnder(claim: Claim): Promise<Definition> {
    try {
      return this.#env.definitionOf(claim)
    } catch (error) {
      throw await park(this.#env, claim, error)
    }
  }

  async #acquire(row: RunRow): Promise<Claim | undefined> {
    const { owner, leaseMs, store } = this.#env
    const dead = row.lease !== undefined && isKnownDead(row.lease.owner, owner)
    const request = { owner, leaseMs, ...(dead && { takeover: row.token }) }
    try {
      return await repeatable(this.#env, () => store.runs.acquire(row.runId, request))
    } catch (error) {
      if (isStoreError(error, 'RUN_BUSY') || isStoreError(error, 'RUN_TERMINAL')) return undefined
      throw error
    }
  }

  async #drive(slot: Slot, options: DriveOptions, env = this.#env): Promise<Outcome | undefined> {
    this.#changes.driving()
    this.trailing.beginLate()
    const drive = new Drive(env, options)
    slot.drive = drive
    // A lease that was given while the kernel was being disposed has to be given back.
    if (this.#closed !== undefined) drive.leave('stop', this.#closed)
    const running = drive.run()
    slot.driving = running.catch(() => undefined)
    try {
      const outcome = await running
      // Whoever dispatches knows of due runs by itself.
      if (env === this.#env) this.wakeAt(options.runId, outcome.status === 'blocked' ? outcome.wakeAt : null)
      return outcome
    } catch (error) {
      if (!isKernelError(error, 'LEASE_LOST') && !isKernelError(error, 'DRAINED')) throw error
      return undefined
    } finally {
      delete slot.drive
      this.#changes.driven()
    }
  }

  #blocked({ runId, blockedOn, wakeAt }: RunRow): Outcome {
    if (!this.#wakeUps.has(runId)) this.wakeAt(runId, wakeAt)
    return { status: 'blocked', runId, blockedOn, wakeAt }
  }
}

/** Read through a function: the flag is set by other calls while this one waits. */
function wasPosted(slot: Slot): boolean {
  return slot.again
}
