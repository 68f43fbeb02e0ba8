import { checkNames, checkOptions, type Store } from '@varve/store'
import { memoryArtifacts } from './artifacts.ts'
import { memoryCache } from './cache.ts'
import { memoryEvents } from './events.ts'
import { memoryInbox } from './inbox.ts'
import { Memory } from './memory.ts'
import { memoryNotifications } from './notifications.ts'
import { memoryRuns } from './runs.ts'
import { memorySecrets } from './secrets.ts'
import { memorySnapshots } from './snapshots.ts'

/** Options of {@link memoryStore}. */
export interface MemoryStoreOptions {
  /** The store's clock, whole Unix milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

/**
 * A store that lives and dies with this process and belongs to nobody else: for tests, for trying things out, and as the
 * shortest complete statement of what a store does.
 *
 * Every method runs from its first check to its last write without awaiting anything, so each call is one transaction.
 *
 * @throws StoreError `INVALID_ARGUMENT` for options that are none or that there are not, and for a `now` that is no function; every call that asks the
 * time throws it when that is no whole number.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  checkOptions('the options of a store in memory', options)
  checkNames('a store in memory', options, { now: true })
  const { now = Date.now } = options
  return storeOver(new Memory(now))
}

/** A store on what this memory holds. */
export function storeOver(memory: Memory): Store {
  return {
    capabilities: { durable: false, shared: false, notify: true },
    events: memoryEvents(memory),
    runs: memoryRuns(memory),
    inbox: memoryInbox(memory),
    snapshots: memorySnapshots(memory),
    artifacts: memoryArtifacts(memory),
    cache: memoryCache(memory),
    secrets: memorySecrets(memory),
    now: async () => {
      memory.checkOpen()
      return memory.now()
    },
    notifications: memoryNotifications(memory),
    [Symbol.asyncDispose]: async () => memory.close(),
  }
}
