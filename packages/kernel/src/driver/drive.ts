import { isStoreError, type Claim } from '@varve/store'
import { isKernelError, KernelError } from '../errors.ts'
import type { LogDraft } from '../log/log-event.ts'
import type { FindReusable } from '../run/reuse.ts'
import type { RunFold } from '../run/run-fold.ts'
import { findFact } from '../run/facts.ts'
import { isDelayed, wakeAt, type System } from '../run/system.ts'
import type { OpenAction } from '../run/item.ts'
import { appendOptions } from './append-options.ts'
import { appendSettled, leaseLost, repeatable, type Appended } from './append.ts'
import { actionOf } from './attempt.ts'
import { debtsOf } from './debts.ts'
import type { DriveOptions } from './drive-options.ts'
import type { Environment } from './environment.ts'
import { GivingUp, uncalled } from './giving-up.ts'
import { orphanInputs, postsOf, type Input } from './inputs.ts'
import { Intake } from './intake.ts'
import { keepLease, notRenewed, type Lease } from './lease.ts'
import { Ledger } from './ledger.ts'
import { loadForDrive, unreadRun } from './load-run.ts'
import { Mailbox, type PostNews } from './mailbox.ts'
import { movesSoon, nextMove, restsAfter } from './next-move.ts'
import { tellTurn } from './observer.ts'
import { blockedOutcome, endOutcome, type Outcome } from './outcome.ts'
import { checkClaim, park } from './park.ts'
import { FactDesk } from './fact-desk.ts'
import { handIn } from './hand-in.ts'
import { readReusable } from './read-reusable.ts'
import { RunningAttempts, type NewAttempt } from './running-attempts.ts'
import { acquireReleased, acquireRun, releaseRun, waitingPosts } from './run-calls.ts'
import { SnapshotWriter } from './snapshot-writer.ts'
import { CrowdedTurn, takeTurn, UnfoldablePost, type Turn } from './turn.ts'

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
  readonly #running: RunningAttempts
  readonly #intake: Intake
  readonly #facts: FactDesk
  #fold!: RunFold
  #reusable: FindReusable | undefined
  #snapshots: SnapshotWriter | undefined
  #claim: Claim | undefined
  #lease: Lease | undefined
  #postsWait = false
  readonly #ledger = new Ledger()
  #over = false
  readonly #givingUp = new GivingUp()
  readonly #holds = (system: System): boolean => this.#intake.isPart || this.#givingUp.holds(system)
  /** True once the run was given back by an append. */
  #isFree = false
  /** True until the step has been asked about everything that is folded. */
  #undecided = true

  constructor(env: Environment, options: DriveOptions) {
    this.#env = env
    this.#options = options
    this.#claim = options.claim
    this.#intake = new Intake(options.definition, env.limits)
    this.#running = new RunningAttempts(
      env,
      (result) => {
        this.#finished(result)
      },
      (error) => {
        this.#mailbox.stop(error)
      },
      (error) => {
        this.#givingUp.park(error)
        this.#mailbox.wakeUp()
      },
    )
    this.#facts = new FactDesk({
      runId: options.runId,
      limits: env.limits,
      find: (slot) => findFact(this.#fold.system, slot),
      put: (facts) => {
        this.#mailbox.putFacts(facts)
      },
    })
  }

  /** Says that a post may wait for the run. @returns true when that is to be said again, as overdue. */
  nudge(news?: PostNews): boolean {
    return this.#mailbox.nudge(news)
  }

  /**
   * Gives the run up: `stop` at once, aborting its handlers; `rest` not while an at-most-once action is being attempted:
   * aborted, its outcome would be unknown; `drain` not while anything is.
   */
  leave(how: 'stop' | 'rest' | 'drain', reason: Error): void {
    if (how === 'stop') this.#mailbox.stop(reason)
    else this.#givingUp[how](reason)
    this.#mailbox.wakeUp()
  }

  #checkStop(): void {
    this.#mailbox.checkStop()
    this.#givingUp.check(this.#fold.system, this.#running)
  }

  /**
   * @returns how far the run came.
   * @throws KernelError | StoreError what parked the run, `LEASE_LOST`, or the reason given to {@link stop}.
   */
  async run(): Promise<Outcome> {
    try {
      await this.#open()
      return await this.#loop()
    } catch (error) {
      this.#over = true
      this.#running.abortAll(() => error)
      throw await this.#giveUp(error)
    } finally {
      this.#lease?.stop()
      this.#over = true
      await this.#env.trailing(this.#snapshots)
    }
  }

  /** An outcome that comes when the drive is over, or being given up, is handed to whoever drives the run then. */
  #finished(result: LogDraft | undefined): void {
    if (result === undefined) this.#mailbox.wakeUp()
    else if (this.#over) void handIn(this.#env, this.#options.runId, [result])
    else this.#mailbox.put(result)
  }

  async #open(): Promise<void> {
    const { create } = this.#options
    if (this.#claim !== undefined) this.#keep(this.#claim, this.#options.claimedAt)
    if (this.#claim !== undefined) checkClaim(this.#env, this.#claim, this.#options)
    await this.#load()
    this.#intake.begin(create === undefined ? orphanInputs(this.#fold.system) : [{ draft: create.started }])
    await this.#ledger.pay(this.#env, this.#fold.system, this.#claim?.owes ?? [])
  }

  #keep(claim: Claim, askedAt: number): void {
    this.#claim = claim
    this.#postsWait = claim.waiting > 0
    this.#lease = keepLease(this.#env, claim, askedAt, {
      onPosts: () => {
        this.#mailbox.nudge()
      },
      onLost: () => {
        this.#mailbox.loseLease(notRenewed(claim.runId))
      },
    })
  }

  async #load(): Promise<void> {
    const { runId, definition, create } = this.#options
    const creating = create !== undefined && this.#claim === undefined
    const { head = 0, first } = this.#claim ?? {}
    const asked = { ...this.#options, head, first, again: this.#snapshots !== undefined }
    const { fold, ...read } = creating
      ? unreadRun(this.#env, this.#options)
      : await repeatable(this.#env, () => loadForDrive(this.#env, runId, asked))
    this.#fold = fold
    this.#running.read(fold.system)
    this.#reusable = await repeatable(this.#env, () => readReusable(this.#env.store, fold.system, definition))
    this.#snapshots = new SnapshotWriter(this.#env, definition, read, this.#snapshots)
    this.#undecided = true
  }

  async #loop(): Promise<Outcome> {
    for (;;) {
      const breath = this.#env.breathe()
      if (breath !== undefined) await breath
      this.#checkStop()
      const more = await this.#turn()
      const { system } = this.#fold
      if (system.terminal !== undefined) return this.#end(endOutcome(system.runId, system.terminal))
      // Given back with its append, there is nothing to do for it here.
      if (!this.#isFree) {
        const decided = this.#lease?.decided()
        if (decided !== undefined) await decided
        this.#checkStop()
        // What waits for its append may be that an attempt is over: nothing is started beside it, nor before a cancel has dropped all.
        const parking = this.#givingUp.parking !== undefined
        if (this.#intake.isThrough && !parking && !(more && system.cancel !== undefined)) this.#act()
        if (more || parking || this.#postsWait || this.#mailbox.hasNews || this.#lease?.isAlive() !== true) continue
        if (this.#running.size > 0 || movesSoon(this.#env, system)) {
          await nextMove(this.#env, system, this.#mailbox, this.#givingUp)
          continue
        }
        this.#ledger.check()
      }
      if (!(await this.#release())) continue
      // Behind the release, which would wait for a large one to be sent.
      this.#snapshots?.blocked()
      return blockedOutcome(system)
    }
  }

  /** One turn: everything that came in, everything that is decided on it, one append. @returns true when there is more. */
  async #turn(): Promise<boolean> {
    for (;;) {
      const gathered = this.#gather()
      const now = typeof gathered === 'number' ? gathered : await gathered
      const mayDecide = this.#undecided && !this.#givingUp.holds(this.#fold.system)
      if (this.#intake.isEmpty && !mayDecide) return false
      const elapsed = this.#env.observe.tellsTurns ? this.#env.observe.begin() : undefined
      const turn = this.#take(now)
      if (turn === undefined) {
        await this.#load()
        continue
      }
      // Nothing of a run that fails before its first commit is written.
      if (turn.problem !== undefined && this.#claim === undefined) throw turn.problem
      if (!(await this.#append(turn, this.#intake.without(turn.rest)))) continue
      if (elapsed !== undefined) tellTurn(this.#env.observe, this.#options, turn, elapsed())
      this.#intake.appended(turn.rest)
      const more = turn.more || turn.rest.length > 0
      this.#undecided = more || turn.paused === true || turn.problem !== undefined || isDelayed(this.#fold.system)
      if (turn.problem === undefined) return more
      // What has been posted since may be what mends it. Code that failed has not seen all that is in the log.
      if (!this.#postsWait && !this.#intake.hasPosts) throw turn.problem
      await this.#load()
      return more
    }
  }

  /** Adds what has come in to the inputs of the turn; asks the store only when posts may wait. @returns what time it is then. */
  #gather(): number | Promise<number> {
    const { system } = this.#fold
    const now = this.#env.clock.now()
    for (const draft of this.#mailbox.takeFacts()) {
      if (!this.#intake.addFact(system, draft)) this.#facts.refused(draft)
    }
    for (const draft of this.#mailbox.takeResults()) this.#intake.addResult(system, draft, now)
    if (this.#mailbox.takeNudge() || this.#postsWait) return this.#gatherPosts()
    this.#intake.addPostsAgain(system)
    return this.#gatherDue(now)
  }

  async #gatherPosts(): Promise<number> {
    this.#intake.addPosts(this.#fold.system, await waitingPosts(this.#env, this.#options.runId))
    this.#postsWait = false
    return this.#gatherDue(this.#env.clock.now())
  }

  #gatherDue(now: number): number {
    const { system } = this.#fold
    const { parking } = this.#givingUp
    if (parking !== undefined) this.#intake.abandon(uncalled(system, this.#running), parking)
    else if (system.end.seq > 0) this.#intake.addDue(system, now)
    if (this.#givingUp.isDraining(system)) this.#intake.holdAttempts()
    return now
  }

  /** Undefined when the fold has to be read anew: a post is now rejected, inputs go apart, or less is to be decided. */
  #take(now: number): Turn | undefined {
    try {
      const { apart, inputs } = this.#intake
      const options = { definition: this.#options.definition, reusable: this.#reusable, holds: this.#holds, apart, now }
      const turn = takeTurn(this.#env, this.#fold, options, inputs)
      return this.#givingUp.refuses(this.#fold.system, turn.log) ? undefined : turn
    } catch (error) {
      if (error instanceof UnfoldablePost) this.#intake.reject(error.postId, error.cause)
      else if (error instanceof CrowdedTurn) this.#intake.keepApart()
      else throw error
      return undefined
    }
  }

  /** @returns false when posts came in between and the turn has to be taken again. */
  async #append(turn: Turn, consumed: readonly Input[]): Promise<boolean> {
    const { runId, create } = this.#options
    const taken = postsOf(consumed)
    const reject = this.#intake.rejections
    if (turn.events.length === 0 && taken.length === 0 && reject.length === 0) return true
    const events = turn.events.map(({ stored }) => stored)
    const debts = debtsOf(this.#fold.system, turn.log)
    const owes = this.#ledger.owes(debts)
    // What is under way in a run that is blocked is over with this append.
    const isKept = owes !== undefined || !this.#ledger.isClear || this.#givingUp.parking !== undefined
    const rests = !isKept && !this.#mailbox.hasNews && restsAfter(this.#env, this.#fold.system, turn)
    const options = appendOptions({ turn, take: taken, reject, claim: this.#claim, create: create?.row, owes, rests })
    let appended: Appended
    this.#mailbox.appending(rests)
    const askedAt = this.#env.clock.monotonic()
    try {
      appended = await appendSettled(this.#env, runId, events, options)
    } catch (error) {
      if (!isStoreError(error, 'INBOX_PENDING')) throw error
      this.#mailbox.appended()
      // What was folded and decided is not in the log: forget it, and take the turn again with the posts.
      await this.#load()
      this.#postsWait = true
      return false
    }
    this.#intake.rejected()
    this.#ledger.told()
    this.#isFree = appended.released
    if (appended.released) this.#lease?.stop()
    if (this.#claim === undefined) await this.#claimCreated(appended, askedAt, owes !== undefined)
    // What the turn had no room for is known.
    this.#postsWait = appended.waiting === 'unknown' || appended.waiting > postsOf(turn.rest).length
    this.#mailbox.appended(appended.released)
    // A handler whose action was closed with its fact is not told to go on.
    this.#running.recorded(this.#fold.system, turn.log)
    this.#facts.recorded(turn.log)
    this.#env.committed(runId, turn.log)
    this.#snapshots?.appended(turn.events, turn.held)
    // Waited for in any case: whoever heard of the append may give the run up before anything follows it.
    await this.#ledger.pay(this.#env, this.#fold.system, debts)
    return true
  }

  /** A run that ended or rests with its first append has no lease to keep. */
  async #claimCreated(appended: Appended, askedAt: number, owes: boolean): Promise<void> {
    if (this.#isFree || (this.#fold.system.terminal !== undefined && appended.claim === undefined && !owes)) return
    this.#keep(appended.claim ?? (await acquireRun(this.#env, this.#options.runId)), askedAt)
  }

  /** Starts every attempt that is durable and not under way, and asks about those in doubt. Looks at the lease before each. */
  #act(): void {
    for (const item of this.#running.toDo(this.#fold.system)) {
      if (this.#lease?.isAlive() !== true) return
      if (item.attempting) this.#running.start(this.#attemptOf(item))
      else this.#running.reconcile(this.#attemptOf(item))
    }
  }

  /** @throws KernelError `UNKNOWN_ACTION`. */
  #attemptOf(item: OpenAction): NewAttempt {
    const { runId, definition } = this.#options
    const action = actionOf(definition, item)
    const seed = this.#fold.system.started?.seed ?? runId
    const fencingToken = this.#claim?.token ?? 0
    const lease = (): Lease | undefined => this.#lease
    return { runId, workflow: definition.name, seed, fencingToken, item, action, facts: this.#facts, lease }
  }

  /** Gives the run back, blocked, unless its append did. @returns false when something came in between and the drive goes on. */
  async #release(): Promise<boolean> {
    const owes = this.#ledger.owes()
    const due = wakeAt(this.#fold.system)
    const isDue = (): boolean => due !== null && due <= this.#env.clock.now()
    this.#lease?.stop()
    if (!this.#isFree) {
      const outcome = await releaseRun(this.#env, this.#claim as Claim, this.#fold, owes)
      if (outcome === 'released') return true
      if (outcome === 'lost') throw leaseLost(this.#options.runId)
    } else if (!isDue()) return true
    if (this.#env.byClaims === true) {
      this.#env.moved(this.#options.runId)
      return true
    }
    this.#isFree = false
    const askedAt = this.#env.clock.monotonic()
    const again = await acquireReleased(this.#env, this.#options.runId)
    this.#keep(again, askedAt)
    const isSame = again.head === this.#fold.system.end.seq
    if (again.waiting === 0 && isSame && !isDue()) {
      // The store's clock is known but for the time that its answers take: what it calls due may not be, as far as we know.
      this.#lease?.stop()
      await releaseRun(this.#env, again, this.#fold, owes)
      return true
    }
    if (!isSame) {
      await this.#load()
      this.#intake.begin(orphanInputs(this.#fold.system))
      // Whoever had the run in between may have left debts.
      await this.#ledger.pay(this.#env, this.#fold.system, again.owes)
    }
    return false
  }

  async #end(outcome: Outcome): Promise<Outcome> {
    const { runId } = this.#options
    this.#running.abortAll(() => new KernelError('RUN_TERMINAL', `run ${runId} has ended`, { runId }))
    this.#snapshots?.ended(this.#fold)
    this.#ledger.check()
    const owes = this.#ledger.owes()
    // The end of a run that owed nothing has ended its lease, too.
    if (owes !== undefined && this.#claim !== undefined) {
      this.#lease?.stop()
      await releaseRun(this.#env, this.#claim, this.#fold, owes)
    }
    return outcome
  }

  /** Releases what can be released, parks the run when its code or log is at fault. @returns the error for the caller. */
  async #giveUp(error: unknown): Promise<unknown> {
    const claim = this.#claim
    const own = this.#intake.inputs.flatMap(({ draft, post }) => (post === undefined ? [draft] : []))
    if (claim !== undefined) await handIn(this.#env, claim.runId, [...own, ...this.#mailbox.takeResults()])
    if (claim === undefined || isKernelError(error, 'LEASE_LOST')) return error
    return park(this.#env, claim, error, this.#snapshots !== undefined)
  }
}
