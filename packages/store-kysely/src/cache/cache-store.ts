import {
  checkCacheDraft,
  checkId,
  checkLimit,
  checkWhole,
  pageOf,
  readCursor,
  type CacheDraft,
  type CacheEntry,
  type CacheFilter,
  type CacheStore,
  type ContentId,
  type Json,
  type Page,
  type PageRequest,
} from '@varve/store'
import { run, type Steps } from '../executor.ts'
import { cachedColumn } from '../json-column.ts'
import { perDialect, type Query } from '../query.ts'
import { referredAmong } from '../references/referred.ts'
import type { CacheEntriesTable } from '../schema.ts'
import { settledOn, type StoreParts } from '../store-parts.ts'
import { cacheListQuery, cacheQueries, type CacheListArgs, type CacheQueries } from './cache-queries.ts'

/** The entries of the cache. */
export function sqlCache(parts: StoreParts): CacheStore {
  const queries = cacheQueries(parts.dialect)
  return {
    find: async (key) => {
      checkId('the key of a cache entry', key)
      const record = await parts.executor.get(queries.find, { key })
      return record && entryOf(record)
    },
    putIfAbsent: async (draft) => putIfAbsent(parts, queries, draft),
    delete: async (key) => {
      checkId('the key of a cache entry', key)
      return parts.executor.transaction('write', () => remove(queries, key))
    },
    list: cacheLister(parts),
    referred: referredAmong(parts, 'cache_artifacts'),
  }
}

async function putIfAbsent(parts: StoreParts, queries: CacheQueries, draft: CacheDraft): Promise<CacheEntry> {
  const { text: body, copy } = checkCacheDraft(draft)
  const { key, group } = draft
  const artifacts = [...draft.artifacts]
  const args = { key, group, body, artifacts: JSON.stringify(artifacts), now: parts.now() }
  return settledOn(`cache entry ${JSON.stringify(key)}`, {}, 'STORE_BUSY', async () => {
    const kept = await parts.writes.keepEntry(args, [...new Set(artifacts)])
    if (kept !== undefined) return { key, group, artifacts, body: copy, createdAt: kept.created_at }
    const record = await parts.executor.get(queries.find, { key })
    return record && entryOf(record)
  })
}

function* remove(queries: CacheQueries, key: string): Steps<boolean> {
  if ((yield* run(queries.delete, { key })) === 0) return false
  yield* run(queries.deleteReferences, { key })
  return true
}

/** Where an entry stands in the list; new ones come before all of these, so they shift none. */
type Position = readonly [createdAt: number, key: string]

/** One query per combination of conditions, compiled when it is first asked for. */
function cacheLister({ dialect, executor }: StoreParts): CacheStore['list'] {
  const compiled = compiledLists(dialect)
  return async (filter, page): Promise<Page<CacheEntry>> => {
    const args = listArgs(filter, page)
    const shape = Object.keys(args).join()
    const query = compiled.get(shape) ?? cacheListQuery(dialect, args)
    compiled.set(shape, query)
    const found = await executor.all(query, args)
    return pageOf(found, page.limit, entryOf, (record): Position => [record.created_at, record.key])
  }
}

const compiledLists = perDialect(() => new Map<string, Query<CacheListArgs, CacheEntriesTable>>())

function listArgs(filter: CacheFilter, { limit, cursor }: PageRequest): CacheListArgs {
  const { group, createdBefore = Number.MAX_SAFE_INTEGER } = filter
  checkLimit(limit)
  checkWhole('createdBefore', createdBefore, Number.MIN_SAFE_INTEGER)
  if (group !== undefined) checkId('the group', group)
  const after = cursor === undefined ? undefined : readCursor(cursor, isPosition)
  return {
    limit: limit + 1,
    createdBefore,
    ...(group !== undefined && { group }),
    ...(after !== undefined && { afterAt: after[0], afterKey: after[1] }),
  }
}

function entryOf({ key, entry_group: group, artifacts, body, created_at: createdAt }: CacheEntriesTable): CacheEntry {
  const referred = (cachedColumn(artifacts) ?? []) as readonly ContentId[]
  return { key, group, artifacts: referred, body: cachedColumn(body) as Json, createdAt }
}

function isPosition(value: unknown): value is Position {
  if (!Array.isArray(value) || value.length !== 2 || !Number.isSafeInteger(value[0])) return false
  return typeof value[1] === 'string' && !value[1].includes('\0')
}
