import type { ContentId } from '../content-id.ts'
import type { Json } from '../json/json.ts'
import type { Page, PageRequest } from './store.ts'

/**
 * Results by the key of what they were computed from. An entry is written once: who comes second gets the first one's. Keys
 * and groups are ids of 1-200 characters.
 */
export interface CacheStore {
  find(key: string): Promise<CacheEntry | undefined>

  /**
   * Keeps an entry unless its key has one. Of many at once one wins and all are told which.
   *
   * @returns the entry that is kept: the given one or the one that was there.
   * @throws StoreError `INVALID_ARGUMENT` | `NOT_JSON` | `LIMIT_EXCEEDED` (a body above {@link Limits.bodyBytes}).
   */
  putIfAbsent(entry: CacheDraft): Promise<CacheEntry>

  /** @returns false when there is none. */
  delete(key: string): Promise<boolean>

  /** Newest first (by `createdAt`, then key, as the bytes of UTF-8). Entries that come meanwhile shift no later page. */
  list(filter: CacheFilter, page: PageRequest): Promise<Page<CacheEntry>>

  /** Those of the given artifacts, 1-1000, that any entry refers to, in the order given. */
  referred(artifacts: readonly ContentId[]): Promise<readonly ContentId[]>
}

/** What is to be kept under a key. */
export interface CacheDraft {
  readonly key: string
  /** What entries are listed by: what they are results of. */
  readonly group: string
  /** What the entry refers to: kept from being collected as long as the entry is there. At most 1000. */
  readonly artifacts: readonly ContentId[]
  readonly body: Json
}

/** What is kept under a key. */
export interface CacheEntry extends CacheDraft {
  /** Unix milliseconds of the store's clock. */
  readonly createdAt: number
}

/** Which entries to list; all given conditions must hold. */
export interface CacheFilter {
  readonly group?: string
  /** Only entries created before this time, Unix milliseconds. */
  readonly createdBefore?: number
}
