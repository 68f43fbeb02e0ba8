import type { ActionContext, ArtifactRef } from '@varve/kernel'
import { canonicalJson, shown, type Json } from '@varve/store'
import type { MapNode } from '../definition/node.ts'
import { PlanError } from '../errors.ts'
import type { ItemsResult } from '../schedule/requests.ts'

/** Items up to this size stand in the log themselves. */
const INLINE_BYTES = 1024
/** A stretch of a list ends behind the item that brings it to one of these: as it stands in the log, and as it is kept until then. */
const STRETCH = { items: 1000, logBytes: 128 * 1024, bytes: 4 * 1024 * 1024 }
/** An event refers to no more artifacts. */
const MOST_STRETCHES = 1000

type Artifacts = Pick<ActionContext['artifacts'], 'json' | 'putJson'>

interface ListedItem {
  readonly key: string
  /** Canonical JSON: as a part of the stretch it might be nested deeper than an artifact may be. */
  readonly text: string
}

/** The list of a map as the log has it: whole where it is short, else its stretches, each of which is an artifact until its turn comes. */
export async function listItems(node: MapNode, list: unknown, artifacts: Artifacts): Promise<ItemsResult> {
  const [first = [], ...others] = stretchesOf(node, list)
  if (others.length === 0) return { items: await namedItems(first, artifacts) }
  if (others.length >= MOST_STRETCHES) {
    const text = `the items of state ${node.id} are too many, or too large in all; let a state make artifacts and list their names, or list child plans`
    throw new PlanError('OUTPUT_INVALID', text, { details: { state: node.id, stretches: others.length + 1 } })
  }
  const stretches: ArtifactRef[] = []
  for (const stretch of [first, ...others]) stretches.push(await artifacts.putJson(stretch))
  return { items: [], stretches }
}

/** The items of a stretch that was kept. */
export async function listStretch(stretch: ArtifactRef, artifacts: Artifacts): Promise<ItemsResult> {
  return { items: await namedItems((await artifacts.json(stretch)) as unknown as readonly ListedItem[], artifacts) }
}

async function namedItems(items: readonly ListedItem[], artifacts: Artifacts): Promise<ItemsResult['items']> {
  const named: ItemsResult['items'][number][] = []
  for (const { key, text } of items) {
    const value = JSON.parse(text) as Json
    const isSmall = Buffer.byteLength(text) <= INLINE_BYTES
    named.push({ key, ...(isSmall ? { value } : { artifact: await artifacts.putJson(value) }) })
  }
  return named
}

function stretchesOf(node: MapNode, list: unknown): readonly (readonly ListedItem[])[] {
  const stretches: ListedItem[][] = []
  let stretch: ListedItem[] = []
  let logBytes = 0
  let bytes = 0
  for (const item of itemsOf(node, list)) {
    const { key, text } = item
    const size = Buffer.byteLength(text)
    const isFull = stretch.length === STRETCH.items || logBytes >= STRETCH.logBytes || bytes >= STRETCH.bytes
    if (stretch.length === 0 || isFull) {
      stretch = []
      stretches.push(stretch)
      logBytes = bytes = 0
    }
    stretch.push(item)
    logBytes += key.length + (size <= INLINE_BYTES ? size : 200)
    bytes += key.length + size
  }
  return stretches
}

/** The kernel takes no others as part of a key. It counts as `length` does, which is 2 for many a character. */
function isItemKey(key: unknown): key is string {
  return typeof key === 'string' && key.length <= 100 && /^\P{Cc}+$/u.test(key) && key.isWellFormed()
}

/** @throws PlanError `OUTPUT_INVALID` | `DUPLICATE_ITEM`. */
function* itemsOf({ id, key }: MapNode, list: unknown): Generator<ListedItem> {
  if (!Array.isArray(list)) {
    throw new PlanError('OUTPUT_INVALID', `the items of state ${id} are no list; return an array`)
  }
  const seen = new Set<string>()
  // By index, since a list may have holes; JSON has no word for those, and null is not what the code of the state was told of.
  for (let i = 0; i < list.length; i++) {
    const item: unknown = list[i]
    if (item === undefined) {
      const text = `item ${i} of state ${id} is undefined; leave it out of the list, or let null stand for it`
      throw new PlanError('OUTPUT_INVALID', text, { details: { state: id, index: i } })
    }
    const name: unknown = key(item as never, i)
    if (!isItemKey(name)) {
      throw new PlanError(
        'OUTPUT_INVALID',
        `the key of item ${i} of state ${id} must be text of 1-100 characters without control characters, got ${shown(name)}`,
      )
    }
    if (seen.has(name)) {
      const text = `two items of state ${id} have the key ${JSON.stringify(name)}; give each its own`
      throw new PlanError('DUPLICATE_ITEM', text, { details: { state: id, index: i } })
    }
    seen.add(name)
    const text = canonicalJson(item, { name: `item ${name} of state ${id}` })
    yield { key: name, text }
  }
}
