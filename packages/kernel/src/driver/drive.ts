import { setImmediate } from 'node:timers/promises'
import { isStoreError, type AppendOptions, type Claim, type Json, type RunCreation } from '@varve/store'
import type { Timer } from '../clock.ts'
import { isKernelError, KernelError } from '../errors.ts'
import type { LogDraft } from '../log/log-event.ts'
import type { RunFold } from '../run/run-fold.ts'
import { emptySystem, wakeAt } from '../run/system.ts'
import type { OpenAction } from '../run/item.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { appendSettled, repeatable, type Appended } from './append.ts'
import { runAttempt } from './attempt.ts'
import type { Environment } from './environment.ts'
import { orphanInputs, postInput, retryInputs, type Input } from './inputs.ts'
import { keepLease, type Lease } from './lease.ts'
import { loadForDrive, type LoadedRun } from './load-run.ts'
import { Mailbox } from './mailbox.ts'
import { blockedOutcome, endOutcome, type Outcome } from './outcome.ts'
import { park } from './park.ts'
import { rejectionOf } from './rejection.ts'
import { SnapshotWriter } from './snapshot-writer.ts'
import { runUpdate, takeTurn, UnfoldablePost, type Turn } from './turn.ts'

/** Retries that are due sooner are waited for in process; for others the run blocks durably. */
const IN_PROCESS_WAIT_MS = 5000

/** How long a drive may keep the event loop to itself. */
const BREATHE_MS = 10

/** Which run to drive, and with what. */
export interface DriveOptions {
  readonly runId: string
  readonly definition: Definition
  readonly initialState?: Json
  /** The lease to drive under; without it the run is created. */
  readonly claim?: Claim
  /** Monotonic time before the lease was asked for. */
  readonly claimedAt: number
  /** Present when the run is to be created. */
  readonly create?: { readonly started: LogDraft; readonly row: RunCreation }
}

/**
 * Drives one run until it ends or blocks: read, check, settle orphans, decide, append once per turn, act.
 *
 * Everything it does to a run happens under its lease and through compare-and-append; everything it decides is decided by
 * pure functions of the fold. Used once.
 */
export class Drive {
  readonly #env: Environment
  readonly #options: DriveOptions
  readonly #mailbox = new Mailbox()
  /** Attempts under way, and those whose outcome is not durable yet. */
  readonly #running = new Map<string, AbortController>()
  readonly #rejected = new Map<string, string>()
  #fold!: RunFold
  #snapshots!: SnapshotWriter
  #claim: Claim | undefined
  #lease: Lease | undefined
  #inputs: Input[] = []
  #postsWait = false
  #breathedAt: number
  /** True until the step has been asked about everything that is folded. */
  #undecided = true

  constructor(env: Environment, options: DriveOptions) {
    this.#env = env
    this.#options = options
    this.#claim = options.claim
    this.#breathedAt = env.clock.monotonic()
  }

  /** Says that a post may wait for the run. */
  nudge(): void {
    this.#mailbox.nudge()
  }

  /** Aborts the run's handlers and gives the run up. */
  stop(reason: Error): void {
    this.#mailbox.stop(reason)
  }

  /**
   * @returns how far the run came.
   * @throws KernelError | StoreError what parked the run, `LEASE_LOST`, or the reason given to {@link stop}.
   */
  async run(): Promise<Outcome> {
    try {
      await this.#open()
      const outcome = await this.#loop()
      await this.#snapshots.settled()
      return outcome
    } catch (error) {
      this.#abortAll(error)
      throw await this.#giveUp(error)
    } finally {
      this.#lease?.stop()
    }
  }

  async #open(): Promise<void> {
    const { create } = this.#options
    if (this.#claim !== undefined) this.#keep(this.#claim, this.#options.claimedAt)
    await this.#load()
    if (create !== undefined) this.#inputs = [{ draft: create.started }]
    else this.#inputs = orphanInputs(this.#fold.system)
  }

  #keep(claim: Claim, askedAt: number): void {
    this.#claim = claim
    this.#postsWait = claim.waiting > 0
    this.#lease = keepLease(this.#env, claim, askedAt, {
      onPosts: () => {
        this.#mailbox.nudge()
      },
      onLost: () => {
        const { runId } = claim
        const text = `the lease on run ${runId} could not be renewed in time`
        this.#mailbox.stop(new KernelError('LEASE_LOST', text, { runId }))
      },
    })
  }

  async #load(): Promise<void> {
    const { runId, definition, create } = this.#options
    const creating = create !== undefined && this.#claim === undefined
    const { fold, ...read } = creating ? newRun(this.#options) : await loadForDrive(this.#env, runId, this.#options)
    this.#fold = fold
    this.#snapshots = new SnapshotWriter(this.#env, definition, read)
    this.#undecided = true
  }

  async #loop(): Promise<Outcome> {
    for (;;) {
      await this.#breathe()
      this.#mailbox.checkStop()
      const more = await this.#turn()
      const { system } = this.#fold
      if (system.terminal !== undefined) return this.#end(endOutcome(system.runId, system.terminal))
      this.#act()
      if (more || this.#postsWait || this.#mailbox.hasNews) continue
      if (this.#running.size > 0 || this.#retriesSoon()) await this.#wait()
      else if (await this.#release()) return blockedOutcome(system)
    }
  }

  /** With a store that answers at once nothing else would get its turn: no timer, no signal, no other run. */
  async #breathe(): Promise<void> {
    const now = this.#env.clock.monotonic()
    if (now - this.#breathedAt < BREATHE_MS) return
    await setImmediate()
    this.#breathedAt = this.#env.clock.monotonic()
  }

  /** One turn: everything that came in, everything that is decided on it, one append. @returns true when there is more. */
  async #turn(): Promise<boolean> {
    for (;;) {
      await this.#gather()
      if (this.#inputs.length === 0 && this.#rejected.size === 0 && !this.#undecided) return false
      const turn = this.#take()
      if (turn === undefined) {
        await this.#load()
        continue
      }
      // Nothing of a run that fails before its first commit is written.
      if (turn.problem !== undefined && this.#claim === undefined) throw turn.problem
      const consumed = this.#inputs.slice(0, this.#inputs.length - turn.rest.length)
      if (!(await this.#append(turn, consumed))) continue
      for (const { draft } of consumed) if (endsAttempt(draft)) this.#running.delete(keyOf(draft) ?? '')
      this.#inputs = [...turn.rest]
      this.#undecided = turn.more || turn.rest.length > 0
      if (turn.problem !== undefined) throw turn.problem
      return this.#undecided
    }
  }

  /** Adds what has come in to the inputs of the turn. */
  async #gather(): Promise<void> {
    const { system } = this.#fold
    const now = this.#env.clock.now()
    for (const draft of this.#mailbox.takeResults()) this.#inputs.push(...this.#resultInputs(draft, now))
    const known = new Set(this.#inputs.map(({ draft }) => keyOf(draft)))
    this.#inputs.push(...retryInputs(system, now).filter(({ draft }) => !known.has(keyOf(draft))))
    if (this.#mailbox.takeNudge()) this.#postsWait = true
    if (this.#postsWait) await this.#readPosts()
    this.#postsWait = false
  }

  /** A result, and at once the next attempt if that is due already. An item that closed meanwhile takes no result. */
  #resultInputs(draft: LogDraft, now: number): Input[] {
    const itsKey = keyOf(draft) ?? ''
    if (!this.#fold.system.open.has(itsKey)) {
      this.#running.delete(itsKey)
      return []
    }
    if (draft.type !== 'ActionAttemptFailed' || draft.data.retryAt > now) return [{ draft }]
    const { key, attempt } = draft.data
    return [{ draft }, { draft: { type: 'ActionAttemptStarted', data: { key, attempt: attempt + 1 } } }]
  }

  async #readPosts(): Promise<void> {
    const { runId, definition } = this.#options
    const { appendEvents } = this.#env.limits
    const posts = await this.#env.store.inbox.list(runId, { limit: appendEvents })
    this.#inputs = this.#inputs.filter(({ post }) => post === undefined)
    const answered = new Set<string>()
    for (const post of posts) {
      if (this.#rejected.has(post.id)) continue
      try {
        const input = postInput(this.#fold.system, definition, post)
        const key = keyOf(input.draft) ?? ''
        // Two answers to one question in one turn: the first one that was kept counts.
        if (answered.has(key)) throw rejectionOf.answered(runId, key)
        answered.add(key)
        this.#inputs.push(input)
      } catch (error) {
        this.#rejected.set(post.id, rejectionOf.error(error))
      }
    }
  }

  /** Undefined when the fold has to be read anew, because the reducer failed on a post that is now rejected. */
  #take(): Turn | undefined {
    try {
      return takeTurn(this.#env, this.#fold, this.#options.definition, this.#inputs)
    } catch (error) {
      if (!(error instanceof UnfoldablePost)) throw error
      this.#rejected.set(error.postId, rejectionOf.error(error.cause))
      this.#inputs = this.#inputs.filter(({ post }) => post?.id !== error.postId)
      return undefined
    }
  }

  /** @returns false when posts came in between and the turn has to be taken again. */
  async #append(turn: Turn, consumed: readonly Input[]): Promise<boolean> {
    const { runId } = this.#options
    const taken = consumed.flatMap(({ post }) => (post === undefined ? [] : [post.id]))
    const reject = [...this.#rejected].map(([id, error]) => ({ id, error }))
    if (turn.events.length === 0 && taken.length === 0 && reject.length === 0) return true
    this.#checkLength()
    const events = turn.events.map(({ stored }) => stored)
    const options = this.#appendOptions(turn, taken, reject)
    let appended: Appended
    const askedAt = this.#env.clock.monotonic()
    try {
      appended = await appendSettled(this.#env, runId, events, options)
    } catch (error) {
      if (!isStoreError(error, 'INBOX_PENDING')) throw error
      // What was folded and decided is not in the log: forget it, and take the turn again with the posts.
      await this.#load()
      this.#postsWait = true
      return false
    }
    this.#rejected.clear()
    if (this.#claim === undefined) await this.#claimCreated(appended, askedAt)
    this.#postsWait = appended.waiting === 'unknown' || appended.waiting > 0
    this.#env.committed(runId, turn.log)
    this.#snapshots.appended(runId, turn.events, turn.held)
    return true
  }

  #checkLength(): void {
    const { runId } = this.#options
    const { seq } = this.#fold.system.end
    const { runEvents } = this.#env.limits
    if (seq <= runEvents) return
    const text = `run ${runId} would have ${seq} events, ${runEvents} are allowed; split the work into several runs`
    throw new KernelError('LIMIT_EXCEEDED', text, { runId, seq })
  }

  #appendOptions(turn: Turn, taken: readonly string[], reject: AppendOptions['reject']): AppendOptions {
    const { create } = this.#options
    const expectedHead = this.#fold.system.end.seq - turn.events.length
    const creating = create !== undefined && this.#claim === undefined
    const { progressed, ...row } = turn.run
    const recovered = progressed === true && (this.#claim?.recoveries ?? 0) > 0
    return {
      expectedHead,
      fencingToken: this.#claim?.token ?? 0,
      run: { ...row, ...(recovered && { progressed }), ...(creating && { create: create.row }) },
      ...(taken.length > 0 && { take: taken }),
      ...(reject !== undefined && reject.length > 0 && { reject }),
    }
  }

  /** A run that ended with its first append has no lease to keep. */
  async #claimCreated(appended: Appended, askedAt: number): Promise<void> {
    if (this.#fold.system.terminal !== undefined) return
    const { runId } = this.#options
    const { owner, leaseMs } = this.#env
    const acquire = (): Promise<Claim> => this.#env.store.runs.acquire(runId, { owner, leaseMs })
    this.#keep(appended.claim ?? (await repeatable(this.#env, acquire)), askedAt)
  }

  /** Starts every attempt that is durable and not under way. */
  #act(): void {
    for (const item of this.#fold.system.open.values()) {
      if (item.kind === 'action' && item.attempting && !this.#running.has(item.key)) this.#start(item)
    }
  }

  #start(item: OpenAction): void {
    const { runId, definition } = this.#options
    const action = definition.actions[item.action]
    if (action === undefined) {
      throw new KernelError('UNKNOWN_ACTION', `${definition.name} defines no action ${item.action}`, { key: item.key })
    }
    const controller = new AbortController()
    this.#running.set(item.key, controller)
    if (this.#lease?.isAlive() !== true) {
      throw new KernelError('LEASE_LOST', `the lease on run ${runId} has run out`, { runId })
    }
    const fencingToken = this.#claim?.token ?? 0
    runAttempt(this.#env, { runId, item, action, fencingToken, controller }).then(
      (result) => this.#mailbox.put(result),
      (error: unknown) => this.#mailbox.stop(error as Error),
    )
  }

  #retriesSoon(): boolean {
    const due = wakeAt(this.#fold.system)
    return due !== null && due - this.#env.clock.now() <= IN_PROCESS_WAIT_MS
  }

  async #wait(): Promise<void> {
    const due = wakeAt(this.#fold.system)
    let timer: Timer | undefined
    if (due !== null) {
      const ms = Math.max(0, due - this.#env.clock.now())
      timer = this.#env.clock.schedule(ms, () => {
        this.#mailbox.wakeUp()
      })
    }
    await this.#mailbox.wait()
    timer?.cancel()
  }

  /** Gives the run back, blocked. @returns false when something came in between and the drive goes on. */
  async #release(): Promise<boolean> {
    const { runId } = this.#options
    this.#snapshots.blocked(runId)
    const expectedHead = this.#fold.system.end.seq
    const run = runUpdate(this.#fold)
    this.#lease?.stop()
    const claim = this.#claim as Claim
    const outcome = await repeatable(this.#env, () => this.#env.store.runs.release(claim, { expectedHead, run }))
    if (outcome !== 'due') return true
    const askedAt = this.#env.clock.monotonic()
    const { owner, leaseMs } = this.#env
    try {
      const again = await repeatable(this.#env, () => this.#env.store.runs.acquire(runId, { owner, leaseMs }))
      this.#keep(again, askedAt)
      if (again.head !== expectedHead) await this.#reload()
    } catch (error) {
      if (isStoreError(error, 'RUN_BUSY') || isStoreError(error, 'RUN_TERMINAL')) {
        throw new KernelError('LEASE_LOST', `run ${runId} is driven by another process now`, { runId, cause: error })
      }
      throw error
    }
    return false
  }

  async #reload(): Promise<void> {
    await this.#load()
    this.#inputs = orphanInputs(this.#fold.system)
  }

  #end(outcome: Outcome): Outcome {
    const { runId } = this.#options
    this.#abortAll(new KernelError('RUN_TERMINAL', `run ${runId} has ended`, { runId }))
    this.#snapshots.ended(this.#fold)
    return outcome
  }

  #abortAll(reason: unknown): void {
    for (const controller of this.#running.values()) controller.abort(reason)
    this.#running.clear()
  }

  /** Releases what can be released, parks the run when its code or log is at fault. @returns the error for the caller. */
  async #giveUp(error: unknown): Promise<unknown> {
    const claim = this.#claim
    if (claim === undefined || isKernelError(error, 'LEASE_LOST')) return error
    return park(this.#env, claim, error)
  }
}

/** A run before its creation: nothing to read. */
function newRun({ runId, definition, initialState }: DriveOptions): LoadedRun {
  const fold = { system: emptySystem(runId), stepper: definition.stepper(initialState) }
  return { fold, snapshotSeq: 0, snapshotLength: 0, tailEvents: 0, tailLength: 0 }
}

function endsAttempt({ type }: LogDraft): boolean {
  return type === 'ActionSucceeded' || type === 'ActionFailed' || type === 'ActionAttemptFailed'
}

function keyOf(draft: LogDraft): string | undefined {
  return 'key' in draft.data ? draft.data.key : undefined
}
