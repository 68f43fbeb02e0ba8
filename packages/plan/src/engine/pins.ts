import {
  canonicalJson,
  checkId,
  checkList,
  contentId,
  shown,
  type ArtifactStore,
  type CacheEntry,
  type ContentId,
} from '@varve/store'
import { PlanError } from '../errors.ts'
import { LIST, listEntries } from '../execution/need-values.ts'
import type { EngineParts } from './parts.ts'
import { storeReader } from './store-artifacts.ts'

const GROUP = 'pin'
/** An entry of the cache names no more. */
const MOST = 1000

/** A name that keeps artifacts from being collected. */
export interface Pin {
  readonly name: string
  /** As they were given; what a list among them lists is kept with it. */
  readonly artifacts: readonly ContentId[]
  /** Unix milliseconds. */
  readonly createdAt: number
}

/** What the entry of a pin says. */
interface PinBody {
  readonly name: string
  /** Hash of what was given. */
  readonly given: ContentId
  /** So many entries more name the rest. */
  readonly parts: number
}

/** True for an entry that is a pin. */
export function isPin({ group }: Pick<CacheEntry, 'group'>): boolean {
  return group === GROUP
}

type Stores = Pick<EngineParts, 'store' | 'artifacts'>

/** Keeps artifacts, and what lists among them list, until the pin is taken out. */
export async function pinArtifacts(stores: Stores, name: string, ids: readonly ContentId[]): Promise<Pin> {
  checkName(name)
  checkList('the artifacts of a pin', ids)
  const given = contentId(canonicalJson(ids))
  checkId('the key of a pin', partKey(name, given, MOST))
  const [first = [], ...rest] = chunksOf(await keptWith(stores.artifacts, ids))
  const body = { name, given, parts: rest.length } satisfies PinBody
  const { cache } = stores.store
  // The pin itself comes last: once it is there, all of it is.
  for (const [i, artifacts] of rest.entries()) {
    await cache.putIfAbsent({ key: partKey(name, given, i), group: GROUP, artifacts, body })
  }
  const entry = await cache.putIfAbsent({ key: keyOf(name), group: GROUP, artifacts: first, body })
  if ((entry.body as unknown as PinBody).given === given) return { name, artifacts: ids, createdAt: entry.createdAt }
  await unpinParts(stores, body)
  const text = `the pin ${name} keeps other artifacts; unpin it first, or choose another name`
  throw new PlanError('INVALID_PARAMS', text, { details: { pin: name } })
}

/** @returns false when there is no such pin. */
export async function unpinArtifacts(stores: Pick<EngineParts, 'store'>, name: string): Promise<boolean> {
  checkName(name)
  const { cache } = stores.store
  const entry = await cache.find(keyOf(name))
  if (entry === undefined) return false
  await unpinParts(stores, entry.body as unknown as PinBody)
  return cache.delete(keyOf(name))
}

async function unpinParts({ store }: Pick<EngineParts, 'store'>, { name, given, parts }: PinBody): Promise<void> {
  for (let i = 0; i < parts; i++) await store.cache.delete(partKey(name, given, i))
}

/**
 * The artifacts and what they list, each once; used now, so that they stay until the pin is there.
 *
 * @throws PlanError `NO_OUTPUT`.
 */
async function keptWith(artifacts: ArtifactStore, ids: readonly ContentId[]): Promise<readonly ContentId[]> {
  await checkThere(artifacts, ids)
  const kept = new Set(ids)
  const reader = storeReader(artifacts)
  for (const id of ids) {
    const { size, mediaType } = await artifacts.get(id)
    if (mediaType !== LIST) continue
    for (const { output } of await listEntries({ $artifact: id, size, mediaType }, reader)) kept.add(output.$artifact)
  }
  await checkThere(artifacts, [...kept])
  return [...kept]
}

async function checkThere(artifacts: ArtifactStore, ids: readonly ContentId[]): Promise<void> {
  for (const some of chunksOf(ids)) {
    const there = new Set(await artifacts.touch(some))
    const missing = some.find((id) => !there.has(id))
    if (missing === undefined) continue
    throw new PlanError('NO_OUTPUT', `there is no artifact ${missing} to pin; pin artifacts that are kept`, {
      details: { artifact: missing },
    })
  }
}

function chunksOf(ids: readonly ContentId[]): readonly (readonly ContentId[])[] {
  return Array.from({ length: Math.ceil(ids.length / MOST) }, (_, i) => ids.slice(i * MOST, (i + 1) * MOST))
}

/** @throws PlanError `INVALID_PARAMS` for what would only be made a text. */
function checkName(name: unknown): void {
  if (typeof name === 'string') return
  throw new PlanError('INVALID_PARAMS', `the name of a pin must be a text, got ${shown(name)}`)
}

function keyOf(name: string): string {
  return `pin:${name}`
}

/** Names what is given, so that two pins of one name that are made at once do not take each other's parts. */
function partKey(name: string, given: ContentId, part: number): string {
  return `pin-part:${given.slice(-16)}:${part}:${name}`
}
