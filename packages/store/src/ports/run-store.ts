import type { ContentId } from '../content-id.ts'
import type { Claim, Owner, Problem, RunRow, RunStatus, RunUpdate } from './run.ts'
import type { Page, PageRequest } from './store.ts'

/**
 * The index of runs, and the leases on them. Leases and due times are compared with the store's clock, never the caller's.
 *
 * A run is *due* when its row's `wakeAt` has come (posts and debts set it to the time they came); no lease on it is alive;
 * it has no `problem`, or the problem's `retryAt` has come; and it has not ended, or owes something.
 *
 * Taking a run whose last lease was neither released nor ended by the run's end counts as one of its `recoveries`, unless
 * the lease is alive and the caller's own.
 */
export interface RunStore {
  find(runId: string): Promise<RunRow | undefined>

  /**
   * Newest first (by `createdAt`, then run id, as the bytes of UTF-8). Runs that are created meanwhile shift no later page.
   *
   * @throws StoreError `INVALID_ARGUMENT` for a condition, a limit or a cursor that is none: it must not find every run.
   */
  list(filter: RunFilter, page: PageRequest): Promise<Page<RunRow>>

  /**
   * Leases due runs. Concurrent callers never get the same run.
   *
   * This and `acquire` may answer before a lease is durable where it becomes so with whatever is committed behind it: a crash of
   * the database may take back a lease under which nothing was committed, and no other.
   *
   * Of each queue come those of the highest priority first, and of these the ones that have been due longest; the queues take
   * turns, in the order in which the request names them. What its limits hold back stays due.
   */
  claim(request: ClaimRequest): Promise<readonly Claim[]>

  /**
   * Milliseconds until the next run that such a claim could get, and that is not due yet, becomes due; null when none will by
   * itself. Knows nothing of limits.
   */
  dueIn(request: DueRequest): Promise<number | null>

  /**
   * Leases one run, due or not. The owner of the living lease gets it anew, with a higher token.
   *
   * `takeover` breaks the living lease that has this token, and loses with `RUN_BUSY` when another one is alive. A `problem` stays until an
   * append, a post or a release.
   *
   * @throws StoreError `RUN_NOT_FOUND` | `RUN_TERMINAL` (ended, and owes nothing) | `RUN_BUSY` while another's lease is alive.
   */
  acquire(runId: string, request: AcquireRequest): Promise<Claim>

  /**
   * Extends a lease to `leaseMs` from now, also one that ran out and that nobody else has taken. Asks for no limit of its queue:
   * where the place was given away meanwhile, one more run is under lease than a claim would allow.
   *
   * @throws StoreError `RUN_NOT_FOUND` | `FENCED`.
   */
  renew(claim: Claim, request: { readonly leaseMs: number }): Promise<Claim>

  /**
   * Ends a lease, and sets the row's `problem` to the given one or to none.
   *
   * `run` is applied only while the log still ends at `expectedHead` and no post waits; otherwise the run is due at once.
   *
   * @returns `due` when the run is due after this, by the definition above: something came, or its `wakeAt` has come, and
   * no `problem` holds it back; otherwise `released`. `lost` when the token has grown or the lease had ended, in which case
   * nothing was changed.
   * @throws StoreError `RUN_NOT_FOUND` | `INVALID_ARGUMENT` for `run.artifacts`, which only an append takes.
   */
  release(claim: Claim, request: ReleaseRequest): Promise<ReleaseOutcome>

  /** Those of the given artifacts, 1-1000, that any run refers to, in the order given. */
  referred(artifacts: readonly ContentId[]): Promise<readonly ContentId[]>

  /**
   * Deletes a run with its log, posts, snapshots and references to artifacts.
   *
   * @returns false when there is no such run.
   * @throws StoreError `RUN_BUSY` while a lease is alive; with `ifTerminal`, `RUN_NOT_TERMINAL` when it has not ended or owes.
   */
  remove(runId: string, options: { readonly ifTerminal: boolean }): Promise<boolean>
}

/** Which runs to list; all given conditions must hold. */
export interface RunFilter {
  readonly workflow?: string
  /** The version that the run is of now. */
  readonly version?: string
  readonly statuses?: readonly RunStatus[]
  /** The run has all of these. */
  readonly tags?: readonly string[]
  readonly parent?: string
  /** The run refers to this artifact. */
  readonly artifact?: ContentId
  /** Only runs with (true) or without (false) a problem. */
  readonly parked?: boolean
  /** Only runs that owe (true) or owe nothing (false). */
  readonly owing?: boolean
  /** Only runs with (true) or without (false) a lease that was neither released nor ended, alive or run out. */
  readonly leased?: boolean
  /** Unix milliseconds, inclusive. */
  readonly createdFrom?: number
  /** Unix milliseconds, exclusive. */
  readonly createdBefore?: number
  /** Only runs that ended before this, Unix milliseconds. */
  readonly endedBefore?: number
}

/** What a claimer can drive, of which queues. */
export interface DueRequest {
  readonly workflows: readonly { readonly name: string; readonly versions: readonly string[] }[]
  /** Each name once. */
  readonly queues: readonly QueueClaim[]
  /** Event formats that the claimer reads. */
  readonly formats: readonly number[]
}

/** A queue to claim from. Its limits count what every claimer, and whoever else drives runs of the queue, has under lease. */
export interface QueueClaim {
  readonly name: string
  /** So many of its runs are under a living lease at once, at most. A run that is blocked is under none. */
  readonly concurrency?: number
  /** As `concurrency`, of the runs with the same concurrency key; those without a key are not held back. */
  readonly concurrencyPerKey?: number
  /**
   * In any `periodMs` milliseconds at most `limit` of its runs are leased by such claims for the first time ever. Runs that
   * go on are not counted and not held back; runs that were removed are forgotten. A run that was leased by a clock that was
   * ahead is not counted before its time.
   */
  readonly rate?: { readonly limit: number; readonly periodMs: number }
}

/** Who claims, and how much. */
export interface ClaimRequest extends DueRequest {
  readonly owner: Owner
  /** At most so many runs, 1-1000. */
  readonly limit: number
  readonly leaseMs: number
}

/** Who wants one run. */
export interface AcquireRequest {
  readonly owner: Owner
  readonly leaseMs: number
  /** Token of the lease to break: its owner is known to be dead. */
  readonly takeover?: number
}

/** What a release compares and sets. */
export interface ReleaseRequest {
  /** Seq of the last event that the caller has folded. */
  readonly expectedHead: number
  readonly run?: RunUpdate
  readonly problem?: Problem
}

/** What became of a release. */
export type ReleaseOutcome = 'released' | 'due' | 'lost'
