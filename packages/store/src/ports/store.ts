import type { ArtifactStore } from './artifact-store.ts'
import type { CacheStore } from './cache-store.ts'
import type { EventStore } from './event-store.ts'
import type { InboxStore } from './inbox-store.ts'
import type { RunStore } from './run-store.ts'
import type { SecretStore } from './secret-store.ts'
import type { SnapshotStore } from './snapshot-store.ts'

/** What a store says of itself. The contract suite asserts both sides of each. */
export interface StoreCapabilities {
  /** What was acknowledged is there after the process is gone; a second open sees it. */
  readonly durable: boolean
  /** Several handles, and several processes, may use the same data at once. */
  readonly shared: boolean
  /** `notifications` is there and tells of commits made through every handle, also those of other processes. */
  readonly notify: boolean
}

/**
 * Everything the kernel needs of a database. A store persists and compares; it knows no event types, folds nothing and
 * never repeats a write by itself.
 *
 * Every method throws `STORE_CLOSED` after {@link AsyncDisposable | disposal}. Every mutating call may throw
 * `UNKNOWN_OUTCOME` when its answer is lost after it was sent: it may or may not have been committed.
 */
export interface Store extends AsyncDisposable {
  readonly capabilities: StoreCapabilities
  readonly events: EventStore
  readonly runs: RunStore
  readonly inbox: InboxStore
  readonly snapshots: SnapshotStore
  readonly artifacts: ArtifactStore
  readonly cache: CacheStore
  readonly secrets: SecretStore
  /** The store's clock, Unix milliseconds: what leases and due times are compared with. */
  now(): Promise<number>
  /** There exactly when `capabilities.notify` is true. */
  readonly notifications?: Notifications
}

/** Tells that a run may have moved, so that nobody needs to poll. */
export interface Notifications {
  /**
   * Calls the listener soon after a commit that kept a post, or that created, ended or released a run; after other appends
   * only where that costs nothing. It may be called more often than needed, and a call may be lost: an aid, never a promise.
   */
  subscribe(listener: (change: StoreChange) => void): AsyncDisposable
}

/** What a commit changed. */
export interface StoreChange {
  /** Absent when the store cannot say which: any run may have moved, and calls may have been lost. */
  readonly runId?: string
  /** `posted`: a post was kept for the run. `moved`: it was created, appended to or released. */
  readonly kind: 'posted' | 'moved'
  /**
   * When somebody may claim the run if nothing else happens to it, in ms from the commit: 0 for at once. Null while it is under
   * a lease, and for a run that does not become due by itself.
   */
  readonly dueInMs: number | null
}

/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[]
  /** Pass it as `cursor` for the page after this one; absent on the last page. */
  readonly next?: string
}

/** Which page to read. */
export interface PageRequest {
  /** 1-1000 items. */
  readonly limit: number
  /** `next` of the page before. */
  readonly cursor?: string
}
