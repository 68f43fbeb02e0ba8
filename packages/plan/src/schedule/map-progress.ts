import type { ArtifactRef } from '@varve/kernel'
import type { MapNode } from '../definition/node.ts'
import type { Given, ItemsResult, ListEntry, StateResult } from './requests.ts'
import { partTask, runTask, type Task } from './task.ts'

/** So many outputs of a map are named in one request. */
const PAGE = 500

type Item = ItemsResult['items'][number]

/** How far a map has come: its list, the items that have closed, the pages of their outputs. */
export class MapProgress {
  readonly #node: MapNode
  readonly #at: number
  readonly #given: () => Given
  readonly #itemGiven: () => Given
  readonly #items: Item[] = []
  readonly #positions = new Map<string, number>()
  readonly #outputs: (ArtifactRef | undefined)[] = []
  readonly #pages: (ArtifactRef | undefined)[] = []
  #stretches: readonly ArtifactRef[] = []
  #stretchesAsked = 0
  #isListed = false
  #asked = 0
  #closed = 0
  #pagesClosed = 0

  constructor(node: MapNode, at: number, given: () => Given, itemGiven: () => Given) {
    this.#node = node
    this.#at = at
    this.#given = given
    this.#itemGiven = itemGiven
  }

  /** The state's first task. */
  begin(): readonly Task[] {
    const { id } = this.#node
    return [partTask(this.#at, id, 'items', `${id}:items`, () => ({ part: 'items', ...this.#given() }))]
  }

  /** The list, or a stretch of it, has come. @returns what is due then. */
  listed({ items, stretches }: ItemsResult): readonly Task[] {
    this.#stretches = stretches ?? this.#stretches
    for (const item of items) {
      this.#positions.set(this.#keyOf(item), this.#items.length)
      this.#items.push(item)
    }
    if (this.#stretchesAsked < this.#stretches.length) return [this.#nextStretch()]
    this.#isListed = true
    return this.#items.length === 0 ? this.#collect() : this.#moreItems()
  }

  /** An item has made its output. */
  itemDone(key: string, { artifact }: StateResult): readonly Task[] {
    this.#outputs[this.#positions.get(key) as number] = artifact
    this.#closed++
    return this.#closed === this.#items.length ? this.#collect() : this.#moreItems()
  }

  /** An item has failed for good; the others go on. @returns what is due then, and whether all items have closed. */
  itemFailed(): { readonly due: readonly Task[]; readonly isOver: boolean } {
    this.#closed++
    const isOver = this.#isListed && this.#closed === this.#items.length
    return { due: isOver ? [] : this.#moreItems(), isOver }
  }

  /** A page of outputs is there. */
  pageDone(key: string, { artifact }: StateResult): readonly Task[] {
    this.#pages[Number(key.slice(key.lastIndexOf(':') + 1))] = artifact
    this.#pagesClosed++
    if (this.#pagesClosed < Math.ceil(this.#items.length / PAGE)) return []
    const { id } = this.#node
    return [partTask(this.#at, id, 'run', id, () => ({ part: 'join', pages: this.#pages }))]
  }

  #nextStretch(): Task {
    const { id } = this.#node
    const at = this.#stretchesAsked++
    const stretch = this.#stretches[at]
    const { fresh } = this.#given()
    const request = { part: 'stretch', stretch, ...(fresh !== undefined && { fresh }) }
    return partTask(this.#at, id, 'items', `${id}:items:${at}`, () => request)
  }

  /** Items in their order, as many at once as the state allows. */
  #moreItems(): readonly Task[] {
    const { concurrency = Number.POSITIVE_INFINITY } = this.#node
    const due: Task[] = []
    while (this.#asked < this.#items.length && this.#asked - this.#closed < concurrency) {
      due.push(this.#itemTask(this.#items[this.#asked++] as Item))
    }
    return due
  }

  #itemTask(item: Item): Task {
    return runTask(this.#at, this.#node.id, this.#keyOf(item), () => ({ item, ...this.#itemGiven() }))
  }

  #keyOf({ key }: Item): string {
    return `${this.#node.id}:item:${key}`
  }

  #collect(): readonly Task[] {
    const { id } = this.#node
    const entries = this.#items.map(({ key }, i): ListEntry => ({ key, output: this.#outputs[i] as ArtifactRef }))
    if (entries.length <= PAGE) return [partTask(this.#at, id, 'run', id, () => ({ part: 'collect', entries }))]
    return Array.from({ length: Math.ceil(entries.length / PAGE) }, (_, page) => {
      const some = entries.slice(page * PAGE, (page + 1) * PAGE)
      return partTask(this.#at, id, 'page', `${id}:page:${page}`, () => ({ part: 'page', entries: some }))
    })
  }
}
