import type { StoredEvent } from '../log/stored-event.ts'
import type { Claim, RunUpdate } from './run.ts'

/** The logs of all runs. */
export interface EventStore {
  /**
   * Adds events to a run's log, takes posts out of its inbox and sets its row: all in one transaction, or nothing.
   *
   * Checked in this order, inside the transaction:
   * 1. the run exists, or `run.create` is given with `expectedHead` and `fencingToken` 0 (`RUN_NOT_FOUND`);
   * 2. `fencingToken` is that of the lease the run is under (`FENCED`): a lease that ran out still counts until somebody
   *    else has taken the run, a released one does not;
   * 3. the log ends at `expectedHead` (`HEAD_CONFLICT`);
   * 4. with a terminal `run.status`, no post is left waiting (`INBOX_PENDING`).
   *
   * A second create of a run is `HEAD_CONFLICT`. `events` may be empty when posts are taken or rejected. Posts in `take`
   * and `reject` that no longer wait are passed over. A successful append clears the row's `problem`; with a terminal
   * status and no debts it also ends the lease.
   *
   * @throws StoreError `RUN_NOT_FOUND` | `FENCED` | `HEAD_CONFLICT` | `INBOX_PENDING` | `UNKNOWN_OUTCOME` | `INVALID_ARGUMENT`
   * (seqs that do not continue `expectedHead`, events of another run, `run.version` with `run.create`, `release` of a run that is
   * created without a lease, more than 1000 `run.artifacts`).
   */
  append(runId: string, events: readonly StoredEvent[], options: AppendOptions): Promise<AppendResult>

  /**
   * A run's events in order, both bounds inclusive; nothing for an unknown run. Reads in pages inside.
   *
   * @throws StoreError `INVALID_ARGUMENT` for a bound that is no whole number of at least 0.
   */
  read(runId: string, range?: ReadRange): AsyncIterable<StoredEvent>
}

/** What an append compares, and what changes with it. */
export interface AppendOptions {
  /** Seq of the last event that the caller has folded; 0 to create the run. */
  readonly expectedHead: number
  /** Token of the caller's lease; 0 to create the run. */
  readonly fencingToken: number
  readonly run: RunUpdate
  /** Ids of waiting posts that this append carries into the log. */
  readonly take?: readonly string[]
  /** Waiting posts that can never be taken, with the reason; their ids are free again. */
  readonly reject?: readonly PostRejection[]
  /**
   * True to end the lease with this append: a run that rests then needs no release. Where posts wait after it, the caller keeps
   * its lease, to take them. With `run.create` only where that asks for a lease: the run has begun then, and is under none.
   */
  readonly release?: boolean
}

/** A post that was refused, and why. */
export interface PostRejection {
  readonly id: string
  /** Canonical JSON text of the error. */
  readonly error: string
}

/** What an append answers. */
export interface AppendResult {
  /** Posts that wait for the run after this commit. With `release`, 0 says that the lease has ended. */
  readonly waiting: number
  /** The starter's lease, when `run.create.lease` asked for one and `release` has not ended it. */
  readonly claim?: Claim
}

/** A part of a log. */
export interface ReadRange {
  /** First seq, inclusive. Default 1. */
  readonly from?: number
  /** Last seq, inclusive. Default the head. */
  readonly to?: number
  /** At most so many events. */
  readonly limit?: number
}
