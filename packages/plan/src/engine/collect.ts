import { sweepArtifacts } from '@varve/kernel/stepper'
import {
  allItems,
  shown,
  type ArtifactRow,
  type CacheEntry,
  type CacheFilter,
  type ContentId,
  type Store,
} from '@varve/store'
import { PlanError } from '../errors.ts'
import type { EngineParts } from './parts.ts'
import { isPin } from './pins.ts'

/** What is collected. */
export interface CollectOptions {
  /**
   * An artifact stays for so long after it was last put, taken over or touched, in ms: what is under way refers to artifacts
   * that no log names yet. Default 24 hours.
   */
  readonly graceMs?: number
  /** Cache entries older than this, in ms, are dropped first. Default: none are. */
  readonly cacheOlderThanMs?: number
  /** True: nothing is deleted; the answer says what would be. Default false. */
  readonly dryRun?: boolean
}

/** What was collected, or would be. */
export interface Collected {
  readonly artifacts: readonly ArtifactRow[]
  /** Bytes of these artifacts. */
  readonly bytes: number
  /** Cache entries that were dropped. */
  readonly cacheEntries: number
}

const DAY_MS = 24 * 60 * 60 * 1000

/**
 * Deletes artifacts that no run, no post to one, no cache entry and no pin refers to, and that nobody has used for the grace period. What is
 * used meanwhile stays: the store compares and deletes in one.
 */
export async function collect(
  parts: Pick<EngineParts, 'store' | 'artifacts' | 'clock'>,
  now: number,
  { graceMs = DAY_MS, cacheOlderThanMs, dryRun = false }: CollectOptions,
): Promise<Collected> {
  for (const [name, ms] of Object.entries({ graceMs, cacheOlderThanMs })) {
    if (ms === undefined || (Number.isSafeInteger(ms) && ms >= 0)) continue
    throw new PlanError('INVALID_PARAMS', `${name} must be a whole number of ms from 0, got ${shown(ms)}`)
  }
  const dropped = cacheOlderThanMs === undefined ? [] : await oldEntries(parts, now - cacheOlderThanMs)
  if (!dryRun) for (const { key } of dropped) await parts.store.cache.delete(key)
  const cached = await referencesBesides(parts.store, new Set(dryRun ? dropped.map(({ key }) => key) : []))
  const artifacts = await Array.fromAsync(sweepArtifacts(parts, { unusedSince: now - graceMs, dryRun, cached }))
  return { artifacts, bytes: artifacts.reduce((sum, { size }) => sum + size, 0), cacheEntries: dropped.length }
}

type Reading = Pick<EngineParts, 'store' | 'artifacts'>

/** Entries that runs have kept; pins are not dropped by age. */
async function oldEntries({ store }: Reading, createdBefore: number): Promise<readonly CacheEntry[]> {
  const entries: CacheEntry[] = []
  for await (const entry of allEntries(store, { createdBefore })) if (!isPin(entry)) entries.push(entry)
  return entries
}

function allEntries(store: Store, filter: CacheFilter): AsyncGenerator<CacheEntry, void, undefined> {
  return allItems((page) => store.cache.list(filter, page))
}

type CacheReferences = (ids: readonly ContentId[]) => Promise<readonly ContentId[]>

/** What the cache refers to; where nothing is dropped for real, without the entries that would be. */
async function referencesBesides(store: Store, dropped: ReadonlySet<string>): Promise<CacheReferences> {
  if (dropped.size === 0) return async (ids) => store.cache.referred(ids)
  const kept = new Set<ContentId>()
  for await (const { key, artifacts } of allEntries(store, {}))
    if (!dropped.has(key)) for (const id of artifacts) kept.add(id)
  return async (ids) => ids.filter((id) => kept.has(id))
}
