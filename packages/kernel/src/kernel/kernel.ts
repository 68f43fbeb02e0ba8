import {
  checkId,
  shown,
  type ArtifactStore,
  type Page,
  type PageRequest,
  type RunFilter,
  type RunRow,
} from '@varve/store'
import type { Environment } from '../driver/environment.ts'
import type { Outcome } from '../driver/outcome.ts'
import { KernelError } from '../errors.ts'
import type { ExportEvidenceOptions } from '../evidence/export-evidence.ts'
import type { ExecutionLogEntry } from '../views/execution-log.ts'
import type { ReplayedRun } from '../views/read-fold.ts'
import type { Lineage } from '../views/lineage.ts'
import type { InterruptFilter, OpenInterrupt } from '../views/open-interrupts.ts'
import type { Timeline } from '../views/timeline.ts'
import type { Workflow } from '../workflow/define-workflow.ts'
import type { LogEvent } from '../log/log-event.ts'
import type { RunDiff } from '../views/diff-runs.ts'
import type { Verification } from '../views/verify.ts'
import { checkAbortSignal, watchRun, type WatchOptions } from '../views/watch.ts'
import { Drives } from './drives.ts'
import { followRun, type FollowOptions } from './follow.ts'
import { forkRun, type ForkOptions } from './fork.ts'
import { migrateRun, type MigrateOptions } from './migrate.ts'
import { moveRun, type KernelParts } from './parts.ts'
import type { KernelOptions, RunOptions, StartOptions } from './options.ts'
import {
  cancelRun,
  findRun,
  settleAction,
  signalRun,
  type CancelOptions,
  type SettleOptions,
  type SignalOptions,
} from './post.ts'
import { recoverRuns, type RecoveredRun } from './recover.ts'
import { pruneRuns, type PruneOptions, type PruneReport } from '../retention/prune.ts'
import { eraseSecretsOf } from '../secrets/erase.ts'
import { readingVerbs, stateOf } from './reading.ts'
import { createDispatcher, type Dispatcher } from './dispatcher.ts'
import { checkFirst, checkingOptions } from './checked-verbs.ts'
import { checkSurroundings, environmentOf } from './environment-of.ts'
import { createRegistry, type Registry } from './registry.ts'
import { resumeRun, type AnswerOptions } from './resume.ts'
import { enqueueRun, startRun } from './start.ts'

/**
 * Runs workflows on a store. Everything may be called at any time, from any process, twice at once: a run is moved by one
 * holder of its lease, and every other caller follows it.
 */
export interface Kernel extends AsyncDisposable {
  /** The artifacts that handlers reach by `ctx.artifacts`, for reading results, and for putting what a run is to be given. */
  readonly artifacts: ArtifactStore
  /**
   * Adds a workflow, or a version of one, from now on: the version that is registered last is the one that runs of that name
   * begin with. The very same one may be registered again, which changes nothing. Runs that lacked it go on when they are
   * driven next.
   *
   * @throws KernelError `INVALID_DEFINITION` (no workflow; another one has that name and version) | `KERNEL_CLOSED`.
   */
  register(workflow: Workflow): void
  /** What `@varve/worker` drives runs through. */
  readonly dispatcher: Dispatcher
  /**
   * Starts a run and drives it until it ends or blocks, as it does until its `startAt`. Idempotent by run id: the same input
   * returns that run as it is.
   *
   * @throws KernelError `INVALID_INPUT` (also for an option that there is not) | `RUN_EXISTS` (another workflow or input) | `WORKFLOW_MISSING` | `INVALID_DEFINITION` (no
   * workflow) | `SECRET_KEY_MISSING` | `SECRET_GONE`, or what parks the run; StoreError `INVALID_ARGUMENT` | `LIMIT_EXCEEDED` | `NOT_JSON`.
   * When the very first decision fails, nothing is written.
   */
  start<Input, Output>(
    workflow: Workflow<Input, Output>,
    input: NoInfer<Input>,
    options?: StartOptions,
  ): Promise<Outcome<Output>>
  /**
   * Drives a run until it ends or blocks; follows it there while another process drives it. On a blocked run with nothing
   * new, and on one that has ended, it returns the recorded outcome and writes nothing. Its children are runs of their own: one
   * whose process is gone is taken up by {@link Kernel.recover} or a worker, and not by this.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `WORKFLOW_MISSING`, or what parks the run (`CODE_CHANGED`, `NO_PROGRESS`, …).
   */
  run(runId: string, options?: RunOptions): Promise<Outcome>
  /**
   * Waits until a run has ended, through all its blocks, and says how. Drives nothing and needs no code of the workflow: for a
   * program that leaves the driving to workers.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `KERNEL_CLOSED` (also when the kernel is disposed meanwhile).
   */
  follow(runId: string, options?: FollowOptions): Promise<Outcome>
  /**
   * Drives what no living process drives: runs whose process died or gave up, runs that are due. Keeps the timers of those
   * that wait for a time. What an embedded program calls once at its start, and from time to time where other processes on its
   * store may die and there is no worker. A run of a registered workflow in a version that
   * is not registered is parked with `WORKFLOW_MISSING`; runs of other workflows are left to those who have them.
   *
   * @throws KernelError `INVALID_INPUT` (concurrency).
   */
  recover(options?: { readonly concurrency?: number }): Promise<readonly RecoveredRun[]>
  /**
   * Answers an open interrupt and drives the run on. Repeating an answer that was taken returns the run as it stands.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `NOT_OPEN` | `RUN_TERMINAL` | `INVALID_INPUT`; nothing is written then. Or what keeps the run from being
   * driven here, as {@link run}: the answer is kept.
   */
  resume(runId: string, answer: AnswerOptions): Promise<Outcome>
  /**
   * Sends a signal: the earliest wait for its name takes it, now or later. A signal id counts once.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `RUN_TERMINAL` | `INVALID_INPUT` | `LIMIT_EXCEEDED`; StoreError `INBOX_FULL` | `NOT_JSON`.
   * Or what keeps the run from being driven here, as {@link run}: the signal is kept then, and sent again without its `id` it counts twice.
   */
  signal(runId: string, signal: SignalOptions): Promise<Outcome>
  /**
   * Asks a run to end: what is open is dropped, its handlers are aborted, then the workflow's `cancel` is asked what to
   * clean up. Asking again ends it at once.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `RUN_TERMINAL` | `INVALID_INPUT`.
   */
  cancel(runId: string, options: CancelOptions): Promise<Outcome>
  /**
   * Says what became of an action in doubt.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `RUN_TERMINAL` | `NOT_IN_DOUBT` | `INVALID_INPUT` | `LIMIT_EXCEEDED`; StoreError `NOT_JSON`.
   */
  settle(runId: string, settlement: SettleOptions): Promise<Outcome>
  /** Drives a parked run, also a poisoned one. @throws KernelError as {@link run}. */
  retry(runId: string): Promise<Outcome>
  /**
   * Rebuilds a run's state from its whole log. Nothing is executed and nothing is written.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `WORKFLOW_MISSING`.
   */
  replay(runId: string, options?: RunOptions): Promise<ReplayedRun>
  /** As {@link replay}, from the newest usable snapshot. @throws KernelError `RUN_NOT_FOUND` | `WORKFLOW_MISSING`. */
  replayFromSnapshot(runId: string, options?: RunOptions): Promise<ReplayedRun>
  /**
   * The run's state after the event at `seq`. Nothing is executed and nothing is written.
   *
   * @throws KernelError `INVALID_INPUT` | `RUN_NOT_FOUND` | `WORKFLOW_MISSING`.
   */
  stateAt(runId: string, seq: number, options?: RunOptions): Promise<ReplayedRun>
  /**
   * Checks the whole log, and asks the code again for every decision in it.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `WORKFLOW_MISSING`.
   */
  verify(runId: string, options?: RunOptions): Promise<Verification>
  /** Compares two runs: types and data of their events, and what became of each key. @throws KernelError `RUN_NOT_FOUND`. */
  diff(a: string, b: string): Promise<RunDiff>
  /**
   * A new run from a copied prefix of another, driven on from there. With `edit` the last copied event holds other data.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `INVALID_INPUT` (a seq that cannot be forked at, an edit that does not fit or is no plain object) |
   * `WORKFLOW_MISSING` | `CODE_CHANGED` (`version` decides otherwise than copied; nothing is written); StoreError `HEAD_CONFLICT` when the new id is taken.
   */
  fork(runId: string, options: ForkOptions): Promise<Outcome>
  /**
   * Moves a run to another version of its workflow and drives it on. The version must decide everything in the log as it is
   * recorded. A drive of this kernel gives the run up for it, once no at-most-once action is being attempted; one of another
   * process is waited for. A run that is of that version already is driven on.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `RUN_TERMINAL` | `WORKFLOW_MISSING` | `CODE_CHANGED` with the divergence, or what the
   * code throws when it is asked; nothing is written then.
   */
  migrate(runId: string, options: MigrateOptions): Promise<Outcome>
  /**
   * Erases, for good, every secret that a run's log and its posts refer to, also for the runs that they were passed on to or
   * copied into by a fork. The logs stay whole: only an action that still needs one of them fails with `SECRET_GONE`. Secrets
   * of children and successors are those of runs of their own.
   *
   * @returns the ids; none for a run without secrets. @throws KernelError `RUN_NOT_FOUND`.
   */
  eraseSecrets(runId: string): Promise<readonly string[]>
  /**
   * Removes runs that ended long ago, with their logs, posts, snapshots and references, then artifacts that nothing refers to any
   * more. Kept are runs that owe something or are leased, and those that their parent, or the run that goes on as them, would start
   * again. Several processes may prune at once; what a crash left undone the next prune does.
   *
   * @throws KernelError `INVALID_INPUT`, also for an option that there is not; StoreError `INVALID_ARGUMENT` for a workflow or
   * tags that are none. Nothing is removed then. Or what the store throws.
   */
  prune(options: PruneOptions): Promise<PruneReport>
  /**
   * Committed events from `from` on and as they come, whoever drives the run, until it has ended.
   *
   * @throws KernelError `RUN_NOT_FOUND` (also when the run is removed before all of it was seen) | `INVALID_INPUT` | `KERNEL_CLOSED`
   * (also when the kernel is disposed meanwhile).
   */
  watch(runId: string, options?: WatchOptions): AsyncGenerator<LogEvent, void, undefined>
  /**
   * A run's committed events as they stand now; checks the log on the way and needs no code of the workflow.
   *
   * @throws KernelError `RUN_NOT_FOUND`, when it is iterated.
   */
  events(runId: string): AsyncGenerator<LogEvent, void, undefined>
  /**
   * What happened, event by event; checks the log on the way and needs no code of the workflow.
   *
   * @throws KernelError `RUN_NOT_FOUND`.
   */
  timeline(runId: string): Promise<Timeline>
  /**
   * Every event with its data and the hash of the state after it.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `WORKFLOW_MISSING`, when it is iterated.
   */
  executionLog(runId: string, options?: RunOptions): AsyncGenerator<ExecutionLogEntry, void, undefined>
  /**
   * Writes a run's log, as it stands now, as one text that proves itself: `verifyEvidence` checks it without a store and
   * without code. Yields line after line; each log is read twice, in pages. Signed with `sign`; `children` adds the runs that
   * it has started, and theirs; the artifacts that they refer to are in it unless they are omitted.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `INVALID_INPUT` (a key that does not sign by Ed25519, `children`, `artifacts`), StoreError `ARTIFACT_NOT_FOUND` |
   * `ARTIFACT_CORRUPT`, when it is iterated.
   */
  exportEvidence(runId: string, options?: ExportEvidenceOptions): AsyncGenerator<string, void, undefined>
  /** Where a run comes from and which runs it has started. Reads its whole log and no other; checks it on the way. @throws KernelError `RUN_NOT_FOUND`. */
  lineage(runId: string): Promise<Lineage>
  /**
   * The questions that blocked runs ask, those of the newest runs first; 100 of them, unless the page says otherwise. What is answered meanwhile shifts no later page. A run
   * that is also at work on an action is blocked, and listed, when that has ended.
   *
   * Reads the rows of all blocked runs that the filter lets through until the page is full, and of those that ask, the log
   * from its end back to the question; folds nothing and does not check the log.
   *
   * @throws KernelError `INVALID_INPUT` (limit); StoreError `INVALID_ARGUMENT` (cursor).
   */
  listInterrupts(filter?: InterruptFilter, page?: Partial<PageRequest>): Promise<Page<OpenInterrupt>>
  /** A run's row. @throws KernelError `RUN_NOT_FOUND`. */
  get(runId: string): Promise<RunRow>
  /** A run's row, or undefined. */
  find(runId: string): Promise<RunRow | undefined>
  /** Runs, newest first; 100 of them unless the page says otherwise; `allItems` of `@varve/store` reads page after page. @throws StoreError `INVALID_ARGUMENT` (filter, limit or cursor). */
  list(filter?: RunFilter, page?: Partial<PageRequest>): Promise<Page<RunRow>>
}

/** @throws KernelError `INVALID_DEFINITION` for options that cannot work, and for one that there is not. */
export function createKernel(options: KernelOptions): Kernel {
  checkSurroundings(options)
  const registry = createRegistry(options.workflows)
  const base = environmentOf(options, registry)
  const env: Environment = {
    ...base,
    // Runs may move each other: the environment of every drive leads back to all of them.
    moved: (runId) => {
      drives.moved(runId)
    },
    moving: (runs) => drives.moving(runs),
    trailing: (work) => drives.trailing.add(work),
    committed: (runId, events) => {
      base.committed(runId, events)
      drives.committed(runId)
    },
  }
  const drives = new Drives(env)
  const kernel: KernelParts = { env, drives, takers: new Set() }
  return checkingOptions({
    artifacts: env.artifacts,
    dispatcher: createDispatcher(kernel, registry),
    ...registeringVerbs(kernel, registry),
    start: async (workflow, input, startOptions = {}) => {
      drives.checkOpen()
      registry.check(workflow)
      const start = startOptions.wait === false ? enqueueRun : startRun
      return (await start(kernel, workflow.definition, input, startOptions)) as never
    },
    run: async (runId, runOptions = {}) => {
      drives.checkOpen()
      checkId('a run id', runId)
      return moveRun(kernel, runId, { ...stateOf(runOptions), parks: true })
    },
    retry: async (runId) => {
      drives.checkOpen()
      checkId('a run id', runId)
      return (await drives.move(runId, { follow: true, revive: true, parks: true })) ?? moveRun(kernel, runId)
    },
    ...postingVerbs(kernel),
    ...readingVerbs(env),
    ...followingVerbs(kernel),
    fork: async (runId, forkOptions) => {
      drives.checkOpen()
      return forkRun(kernel, runId, forkOptions)
    },
    migrate: async (runId, migrateOptions) => {
      drives.checkOpen()
      return migrateRun(kernel, runId, migrateOptions, stateOf(migrateOptions))
    },
    [Symbol.asyncDispose]: () => drives.close(),
  })
}

function registeringVerbs(kernel: KernelParts, registry: Registry): Pick<Kernel, 'register' | 'recover'> {
  const { drives } = kernel
  return {
    register: (workflow) => {
      drives.checkOpen()
      registry.add(workflow)
    },
    recover: async ({ concurrency = 10 } = {}) => {
      drives.checkOpen()
      return recoverRuns(kernel, registry.names(), concurrency)
    },
  }
}

function postingVerbs(
  kernel: KernelParts,
): Pick<Kernel, 'resume' | 'signal' | 'cancel' | 'settle' | 'eraseSecrets' | 'prune'> {
  const whileOpen =
    <T>(verb: (kernel: KernelParts, runId: string, options: T) => Promise<Outcome>) =>
    async (runId: string, options: T): Promise<Outcome> => {
      kernel.drives.checkOpen()
      return verb(kernel, runId, options)
    }
  return {
    resume: whileOpen(resumeRun),
    signal: whileOpen(signalRun),
    cancel: whileOpen(cancelRun),
    settle: whileOpen(settleAction),
    eraseSecrets: eraserOf(kernel),
    prune: async (pruneOptions) => {
      kernel.drives.checkOpen()
      return pruneRuns(kernel.env, pruneOptions)
    },
  }
}

function followingVerbs(kernel: KernelParts): Pick<Kernel, 'watch' | 'follow'> {
  const { env, drives } = kernel
  return {
    watch: async function* (runId, watchOptions = {}) {
      drives.checkOpen()
      checkFirst('watch', watchOptions)
      await findRun(env, runId)
      const { from = 1, signal } = watchOptions
      checkAbortSignal(signal)
      if (!Number.isSafeInteger(from) || from < 1) {
        throw new KernelError('INVALID_INPUT', `a run is watched from seq 1 on, not from ${shown(from)}`, { runId })
      }
      yield* watchRun(env.store, runId, (id) => drives.waitFor(id), watchOptions)
    },
    follow: async (runId, followOptions = {}) => {
      drives.checkOpen()
      checkAbortSignal(followOptions.signal)
      return followRun(kernel, runId, followOptions)
    },
  }
}

function eraserOf({ env, drives }: KernelParts): Kernel['eraseSecrets'] {
  return async (runId) => {
    drives.checkOpen()
    await findRun(env, runId)
    return eraseSecretsOf(env.store, runId)
  }
}
