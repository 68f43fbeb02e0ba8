import {
  checkCacheDraft,
  checkContentIds,
  checkId,
  checkLimit,
  checkWhole,
  pageOf,
  readCursor,
  type CacheDraft,
  type CacheEntry,
  type CacheFilter,
  type CacheStore,
  type Page,
  type PageRequest,
} from '@varve/store'
import { frozenCopy } from './frozen-copy.ts'
import type { Memory } from './memory.ts'
import { isPosition, newestFirst, type Position } from './run-list.ts'

/** The entries of the cache. */
export function memoryCache(memory: Memory): CacheStore {
  const { cache } = memory
  return {
    find: async (key) => {
      memory.checkOpen()
      checkId('the key of a cache entry', key)
      return cache.get(key)
    },

    putIfAbsent: async (draft) => {
      memory.checkOpen()
      const entry = entryOf(draft, memory.now())
      const kept = cache.get(entry.key) ?? entry
      cache.set(entry.key, kept)
      return kept
    },

    delete: async (key) => {
      memory.checkOpen()
      checkId('the key of a cache entry', key)
      return cache.delete(key)
    },

    list: async (filter, page) => list(memory, filter, page),

    referred: async (artifacts) => {
      memory.checkOpen()
      checkContentIds(artifacts, 1)
      const referred = new Set([...cache.values()].flatMap((entry) => entry.artifacts))
      return artifacts.filter((id) => referred.has(id))
    },
  }
}

function entryOf(draft: CacheDraft, createdAt: number): CacheEntry {
  const { key, group, artifacts } = draft
  const { copy: body } = checkCacheDraft(draft)
  return frozenCopy({ key, group, artifacts, body, createdAt })
}

function list(memory: Memory, filter: CacheFilter, page: PageRequest): Page<CacheEntry> {
  memory.checkOpen()
  checkLimit(page.limit)
  const { group, createdBefore = Number.MAX_SAFE_INTEGER } = filter
  if (group !== undefined) checkId('the group', group)
  checkWhole('createdBefore', createdBefore, Number.MIN_SAFE_INTEGER)
  const after = page.cursor === undefined ? undefined : readCursor(page.cursor, isPosition)
  const found = [...memory.cache.values()]
    .filter((entry) => group === undefined || entry.group === group)
    .filter(({ createdAt }) => createdAt < createdBefore)
    .filter((entry) => after === undefined || newestFirst(after, positionOf(entry)) < 0)
    .sort((a, b) => newestFirst(positionOf(a), positionOf(b)))
  return pageOf(found, page.limit, (entry) => entry, positionOf)
}

function positionOf({ createdAt, key }: CacheEntry): Position {
  return [createdAt, key]
}
