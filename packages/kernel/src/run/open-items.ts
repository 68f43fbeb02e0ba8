import type { OpenAction, OpenChild, OpenItem, OpenWait } from './item.ts'
import { isUnderWay, WaitingItems, type Entry } from './waiting-items.ts'

/** Of a run that has none; nothing is ever added to it. */
const NONE_WAITING = new WaitingItems()

/**
 * The open items of a run by key, in the order in which they were opened. A run may have very many. What is asked in every turn is
 * kept at hand, so that a turn costs what it opens and closes, however much else is open; it follows from the items alone.
 */
export class OpenItems implements Iterable<readonly [key: string, item: OpenItem]> {
  readonly #entries = new Map<string, Entry>()
  /** The ends of the line of all items: a map would have to pass over what has closed. */
  #first: Entry | undefined
  #last: Entry | undefined
  #attempting = 0
  #attemptingOnce = 0
  /** What is at hand of items that wait: many runs never have any. */
  #waiting: WaitingItems = NONE_WAITING

  get size(): number {
    return this.#entries.size
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  get(key: string): OpenItem | undefined {
    return this.#entries.get(key)?.item
  }

  /** Adds an item behind all others; or puts it in the place of the one that has its key. */
  put(item: OpenItem): void {
    const known = this.#entries.get(item.key)
    if (known === undefined) {
      const entry = { item, before: this.#last, after: undefined, due: undefined, wait: undefined }
      this.#entries.set(item.key, entry)
      if (this.#last === undefined) this.#first = entry
      else this.#last.after = entry
      this.#last = entry
      this.#enter(entry)
    } else if (known.item !== item) {
      this.#leave(known)
      known.item = item
      this.#enter(known)
    }
  }

  /** Takes an item out, if it is there. */
  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    const { before, after } = entry
    if (before === undefined) this.#first = after
    else before.after = after
    if (after === undefined) this.#last = before
    else after.before = before
    this.#leave(entry)
  }

  /** Keys of all, in order. */
  keys(): IterableIterator<string> {
    return this.#entries.keys()
  }

  /** All, in order. For what is asked once; a turn asks for less. */
  *values(): IterableIterator<OpenItem> {
    for (const { item } of this.#entries.values()) yield item
  }

  *[Symbol.iterator](): IterableIterator<[key: string, item: OpenItem]> {
    for (const [key, { item }] of this.#entries) yield [key, item]
  }

  /** True while an attempt is under way; `once`: one that must not be made again. */
  isAttempting(which: 'any' | 'once' = 'any'): boolean {
    return (which === 'any' ? this.#attempting : this.#attemptingOnce) > 0
  }

  /** When the first of them moves by itself, Unix milliseconds; infinity for never. `waiting` leaves out what is to be tried again. */
  movesAt(which: 'all' | 'waiting' = 'all'): number {
    const { times, retries } = this.#waiting
    const time = times.first?.rank ?? Infinity
    return which === 'waiting' ? time : Math.min(time, retries.first?.rank ?? Infinity)
  }

  /** What has to move by itself now, in order: its time has come, or its attempt was abandoned. */
  due(now: number): Exclude<OpenItem, OpenChild>[] {
    const { times, retries, abandoned } = this.#waiting
    if (this.movesAt() > now && abandoned.size === 0) return []
    const due = [...times.upTo(now), ...retries.upTo(now), ...abandoned]
    return inOrder(due) as Exclude<OpenItem, OpenChild>[]
  }

  /** Whatever waits for people, and so many of all else, in order. */
  listed(others: number): OpenItem[] {
    const listed: OpenItem[] = []
    let left = others
    let entry = this.#first
    for (; entry !== undefined && left > 0; entry = entry.after) {
      listed.push(entry.item)
      if (!this.#isAsking(entry)) left--
    }
    if (entry === undefined) return listed
    const { seq } = entry.item
    const { interrupts, inDoubt } = this.#waiting
    const more = [...interrupts, ...inDoubt].filter(({ item }) => item.seq >= seq)
    return more.length === 0 ? listed : [...listed, ...inOrder(more)]
  }

  #isAsking(entry: Entry): boolean {
    const { interrupts, inDoubt } = this.#waiting
    return interrupts.has(entry) || inDoubt.has(entry)
  }

  /** Actions in doubt, in no order. */
  inDoubt(): readonly OpenAction[] {
    const { inDoubt } = this.#waiting
    // Every turn asks, and there is hardly ever one.
    return inDoubt.size === 0 ? NO_ACTIONS : Array.from(inDoubt, ({ item }) => item as OpenAction)
  }

  /** The wait for a signal that was opened first. */
  firstWait(signal: string): OpenWait | undefined {
    return this.#waiting.signals.get(signal)?.first?.value.item as OpenWait | undefined
  }

  /** The waits for a signal, in the order in which they were opened. */
  waits(signal: string): readonly OpenWait[] {
    return inOrder(this.#waiting.signals.get(signal)?.upTo(Infinity) ?? []) as OpenWait[]
  }

  /** How many wait for a signal. */
  waitsFor(signal: string): number {
    return this.#waiting.signals.get(signal)?.size ?? 0
  }

  /** Ids of the runs that are waited for. */
  get children(): ReadonlyMap<string, unknown> {
    return this.#waiting.children
  }

  #enter(entry: Entry): void {
    const { item } = entry
    if (item.kind === 'action') this.#count(item, 1)
    if (isUnderWay(item)) return
    if (this.#waiting === NONE_WAITING) this.#waiting = new WaitingItems()
    this.#waiting.enter(entry)
  }

  #leave(entry: Entry): void {
    const { item } = entry
    if (item.kind === 'action') this.#count(item, -1)
    if (!isUnderWay(item)) this.#waiting.leave(entry)
  }

  #count({ attempting, effect }: OpenAction, by: number): void {
    if (!attempting) return
    this.#attempting += by
    if (effect === 'at-most-once') this.#attemptingOnce += by
  }
}

const NO_ACTIONS: readonly OpenAction[] = []

function inOrder(entries: readonly Entry[]): OpenItem[] {
  return entries.map(({ item }) => item).sort((a, b) => a.seq - b.seq)
}
