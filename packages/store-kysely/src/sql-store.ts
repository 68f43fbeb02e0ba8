import type { Store, StoreCapabilities } from '@varve/store'
import { sqlArtifacts } from './artifacts/artifact-store.ts'
import { sqlCache } from './cache/cache-store.ts'
import { Changes, type RemoteChanges } from './changes/changes.ts'
import { groupCommit as grouped } from './commits/group-commit.ts'
import type { SqlDialect } from './dialect.ts'
import { sqlEvents } from './events/event-store.ts'
import type { SqlExecutor } from './executor.ts'
import { sqlInbox } from './inbox/inbox-store.ts'
import { sqlRuns } from './runs/run-store.ts'
import { sqlSecrets } from './secrets/secret-store.ts'
import { sqlSnapshots } from './snapshots/snapshot-store.ts'
import { storeTime, type StoreParts } from './store-parts.ts'

/** What a store is made of. */
export interface SqlStoreOptions {
  readonly executor: SqlExecutor
  readonly dialect: SqlDialect
  readonly capabilities: Pick<StoreCapabilities, 'durable' | 'shared'>
  /** How commits are told to and heard of other stores on the same data; absent for a store that does not notify. */
  readonly changes?: RemoteChanges | undefined
  /** Writes of different runs that are in flight together share a commit. Default true. */
  readonly groupCommit?: boolean | undefined
  /** The store's clock, Unix milliseconds; null for the server's own, where the dialect has one. */
  readonly now: () => number | null
  /** Ends what the store has opened itself. From then on the executor answers `STORE_CLOSED`. Called for every disposal. */
  readonly close: () => Promise<void>
}

/** A store on a database whose schema is in place: compiles every query once and runs it through the executor. */
export function sqlStore(options: SqlStoreOptions): Store {
  const { executor, dialect, capabilities, changes: remote, groupCommit = true, now, close } = options
  const changes = remote && new Changes(remote)
  const writes = dialect.writes(executor)
  const parts: StoreParts = { executor, dialect, now, writes: groupCommit ? grouped(writes) : writes, changes }
  return {
    capabilities: { ...capabilities, notify: changes !== undefined },
    events: sqlEvents(parts),
    runs: sqlRuns(parts),
    inbox: sqlInbox(parts),
    snapshots: sqlSnapshots(parts),
    artifacts: sqlArtifacts(parts),
    cache: sqlCache(parts),
    secrets: sqlSecrets(parts),
    now: storeTime(parts),
    ...(changes !== undefined && { notifications: { subscribe: (listener) => changes.subscribe(listener) } }),
    [Symbol.asyncDispose]: async () => {
      // At once: no call may begin while the subscriptions end.
      await Promise.all([close(), changes?.close()])
    },
  }
}
