import type { ContentId } from '../content-id.ts'
import type { Json } from '../json/json.ts'
import type { StoredEvent } from '../log/stored-event.ts'

/** How a run stands. The last four are terminal: nothing may follow. */
export type RunStatus = 'running' | 'blocked' | TerminalStatus

/** How a run can end. */
export type TerminalStatus = 'completed' | 'failed' | 'canceled' | 'continued'

/** True for the statuses after which nothing may follow. */
export function isTerminal(status: RunStatus): status is TerminalStatus {
  return status !== 'running' && status !== 'blocked'
}

/** One thing a blocked run waits for. */
export interface BlockedOn {
  readonly kind: 'action' | 'timer' | 'wait' | 'interrupt' | 'child'
  /** Key of the open item. */
  readonly key: string
  /** What it is of its kind: the action's name, the signal's name, the interrupt's kind. */
  readonly name?: string
  /** When it moves by itself, Unix milliseconds. */
  readonly until?: number
  /** True for an action whose outcome is unknown and has to be settled. */
  readonly inDoubt?: boolean
}

/** Something a run owes another run; the store keeps it and reads nothing in it. */
export type Debt = Json

/** Why a run cannot be driven here and now. */
export interface Problem {
  readonly code: string
  readonly message: string
  /** Not claimed before, Unix milliseconds of the store's clock; null: not before an append, a post or an acquire. */
  readonly retryAt: number | null
}

/**
 * A process that drives runs. Two owners are the same when their ids are equal. The other fields let another process on
 * the same machine see that the owner is dead before its lease ends; null is what cannot be read.
 */
export interface Owner {
  /** Unique per kernel instance. */
  readonly id: string
  /** Identifies the machine's boot. */
  readonly boot: string | null
  readonly pidNamespace: string | null
  readonly pid: number
  /** Start of the process in the system's own units, as text. */
  readonly startedAt: string | null
}

/** The right to drive a run for a time, as it stood when it was given or renewed. */
export interface Claim {
  readonly runId: string
  readonly workflow: string
  /** The version that the run is of now. */
  readonly version: string
  readonly queue: string
  readonly owner: Owner
  /**
   * Fencing token: a safe integer that grows with every lease of the run, by as much as the store likes. No two leases of a run
   * have the same one, also where a crash of the database took the first of them back.
   */
  readonly token: number
  /** Unix milliseconds of the store's clock. The lease is alive before this instant; at it, it has run out. */
  readonly leaseUntil: number
  readonly head: number
  readonly status: RunStatus
  /** Posts that wait. */
  readonly waiting: number
  /** Leases that ended without a release since {@link RunUpdate.progressed} was last set. */
  readonly recoveries: number
  readonly owes: readonly Debt[]
  readonly problem?: Problem
  /**
   * Says what of the row cannot be read, and what to do about it. Then `owes` and `problem` need not be what the row holds, and the
   * run must not be driven: it can be released, with a problem. Other runs are claimed all the same.
   */
  readonly damage?: string
  /**
   * The event of a run that has one alone, as it would be read: who takes up a new run need not ask for it. Told by a claim
   * alone, and not of an event that is long; a store may leave it out.
   */
  readonly first?: StoredEvent
}

/** What an append or a release says of the run; derived from the fold of its log. */
export interface RunUpdate {
  readonly status: RunStatus
  /** What has to be known without the log; a driver lists whatever waits for people, and of all else as much as it sees fit. */
  readonly blockedOn: readonly BlockedOn[]
  /**
   * When the run has something to do again, Unix milliseconds of the store's clock: 0 for at once (while it is running),
   * null when only a post can move it. For 0, and for posts and debts, which make a run due whatever this says, the row
   * keeps the time since when it has been due.
   */
  readonly wakeAt: number | null
  /** All that the run owes from now on; left out, its debts stay as they are. */
  readonly owes?: readonly Debt[]
  /** True when an item was closed: sets `recoveries` to 0. */
  readonly progressed?: boolean
  /** The version of its workflow that the run is of from now on. Not together with `create`, which names it. */
  readonly version?: string
  /**
   * Artifacts that the run refers to from now on, besides those that it refers to already: kept from being collected as
   * long as the run is there. At most 1000; with an append alone, not with a release.
   */
  readonly artifacts?: readonly ContentId[]
  /** With the first append, and with no other. */
  readonly create?: RunCreation
}

/** What is said when a run is created: fixed, but for the version. */
export interface RunCreation {
  readonly workflow: string
  readonly version: string
  readonly tags: readonly string[]
  readonly queue: string
  /** -100 to 100; of one queue, runs with a higher one are claimed first. Default 0. */
  readonly priority?: number
  /** Runs of one queue with the same key count together for its limit per key. */
  readonly concurrencyKey?: string
  /** The run that started this one. */
  readonly parent?: string
  /** Gives the creator the run's first lease, with token 1. */
  readonly lease?: { readonly owner: Owner; readonly leaseMs: number }
}

/** A run as the index knows it. */
export interface RunRow {
  readonly runId: string
  readonly workflow: string
  readonly version: string
  readonly tags: readonly string[]
  readonly queue: string
  readonly priority: number
  readonly concurrencyKey?: string
  readonly parent?: string
  readonly status: RunStatus
  readonly blockedOn: readonly BlockedOn[]
  /** When the run is or was due, Unix milliseconds of the store's clock; null when only a post can move it. */
  readonly wakeAt: number | null
  /** Seq of the last event. */
  readonly head: number
  /** Highest event format in the log. */
  readonly format: number
  readonly waiting: number
  readonly owes: readonly Debt[]
  readonly recoveries: number
  readonly problem?: Problem
  /** Token of the last lease; 0 when there never was one. */
  readonly token: number
  /** The lease, alive or run out; absent when it was released or never given. */
  readonly lease?: { readonly owner: Owner; readonly until: number }
  /** Unix milliseconds of the store's clock. */
  readonly createdAt: number
  /** When the append came that ended the run, Unix milliseconds of the store's clock; absent until then. */
  readonly endedAt?: number
}
