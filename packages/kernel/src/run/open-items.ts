import type { OpenAction, OpenChild, OpenItem, OpenWait } from './item.ts'
import { dueAt } from './open-item.ts'
import { Ranks, type Ranked } from './ranks.ts'

/** An open item, and where it stands in what {@link OpenItems} keep at hand. */
interface Entry {
  item: OpenItem
  before: Entry | undefined
  after: Entry | undefined
  /** Among the times at which items move by themselves. */
  due: Ranked<Entry> | undefined
  /** Among the waits for its signal. */
  wait: Ranked<Entry> | undefined
}

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
  /** Timers, and what else has an end of its own. */
  readonly #times = new Ranks<Entry>()
  readonly #retries = new Ranks<Entry>()
  /** Actions whose attempt was abandoned, and no other begun. */
  readonly #abandoned = new Set<Entry>()
  readonly #inDoubt = new Set<Entry>()
  readonly #interrupts = new Set<Entry>()
  readonly #waits = new Map<string, Ranks<Entry>>()
  /** How many wait for each run. */
  readonly #children = new Map<string, number>()

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
    const time = this.#times.first?.rank ?? Infinity
    return which === 'waiting' ? time : Math.min(time, this.#retries.first?.rank ?? Infinity)
  }

  /** What has to move by itself now, in order: its time has come, or its attempt was abandoned. */
  due(now: number): Exclude<OpenItem, OpenChild>[] {
    if (this.movesAt() > now && this.#abandoned.size === 0) return []
    const due = [...this.#times.upTo(now), ...this.#retries.upTo(now), ...this.#abandoned]
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
    const more = [...this.#interrupts, ...this.#inDoubt].filter(({ item }) => item.seq >= seq)
    return more.length === 0 ? listed : [...listed, ...inOrder(more)]
  }

  #isAsking(entry: Entry): boolean {
    return this.#interrupts.has(entry) || this.#inDoubt.has(entry)
  }

  /** Actions in doubt, in no order. */
  *inDoubt(): IterableIterator<OpenAction> {
    for (const { item } of this.#inDoubt) yield item as OpenAction
  }

  /** The wait for a signal that was opened first. */
  firstWait(signal: string): OpenWait | undefined {
    return this.#waits.get(signal)?.first?.value.item as OpenWait | undefined
  }

  /** How many wait for a signal. */
  waitsFor(signal: string): number {
    return this.#waits.get(signal)?.size ?? 0
  }

  /** Ids of the runs that are waited for. */
  get children(): ReadonlyMap<string, unknown> {
    return this.#children
  }

  #enter(entry: Entry): void {
    const { item } = entry
    const at = dueAt(item)
    if (at !== undefined) entry.due = (item.kind === 'action' ? this.#retries : this.#times).add(entry, at)
    if (item.kind === 'action') this.#enterAction(entry, item)
    else if (item.kind === 'interrupt') this.#interrupts.add(entry)
    else if (item.kind === 'child') this.#countChild(item, 1)
    else if (item.kind === 'wait') entry.wait = this.#waitsOf(item.signal).add(entry, item.seq)
  }

  #enterAction(entry: Entry, item: OpenAction): void {
    if (item.inDoubt) this.#inDoubt.add(entry)
    else if (!item.attempting && item.retryAt === undefined) this.#abandoned.add(entry)
    this.#count(item, 1)
  }

  #leave(entry: Entry): void {
    const { item, due, wait } = entry
    if (due !== undefined) (item.kind === 'action' ? this.#retries : this.#times).delete(due)
    entry.due = entry.wait = undefined
    if (item.kind === 'action') this.#leaveAction(entry, item)
    else if (item.kind === 'interrupt') this.#interrupts.delete(entry)
    else if (item.kind === 'child') this.#countChild(item, -1)
    else if (item.kind === 'wait' && wait !== undefined) this.#leaveWaits(item, wait)
  }

  #leaveAction(entry: Entry, item: OpenAction): void {
    if (item.inDoubt) this.#inDoubt.delete(entry)
    else if (!item.attempting) this.#abandoned.delete(entry)
    this.#count(item, -1)
  }

  #count({ attempting, effect }: OpenAction, by: number): void {
    if (!attempting) return
    this.#attempting += by
    if (effect === 'at-most-once') this.#attemptingOnce += by
  }

  #countChild({ childRunId }: OpenChild, by: number): void {
    const count = (this.#children.get(childRunId) ?? 0) + by
    if (count === 0) this.#children.delete(childRunId)
    else this.#children.set(childRunId, count)
  }

  #waitsOf(signal: string): Ranks<Entry> {
    const known = this.#waits.get(signal)
    if (known !== undefined) return known
    const waits = new Ranks<Entry>()
    this.#waits.set(signal, waits)
    return waits
  }

  #leaveWaits({ signal }: OpenWait, wait: Ranked<Entry>): void {
    const waits = this.#waitsOf(signal)
    waits.delete(wait)
    if (waits.size === 0) this.#waits.delete(signal)
  }
}

function inOrder(entries: readonly Entry[]): OpenItem[] {
  return entries.map(({ item }) => item).sort((a, b) => a.seq - b.seq)
}
