import { resultOf, type ItemRecord } from './run-record.ts'

/** What one item adds to the tally of its state. */
interface Share {
  readonly attempts: number
  readonly open: number
  readonly waiting: number
  readonly cached: number
}

/** What the items of one state come to, kept up item by item: maps have many of them, and each moves several times. */
export class StateTally {
  readonly #id: string
  readonly #shares = new Map<string, Share>()
  #runs = { total: 0, open: 0, cached: 0 }
  #all = { open: 0, waiting: 0, cached: 0 }
  #failed: ItemRecord | undefined
  attempts = 0
  startedAt = Infinity
  /** When the last one closed so far; -Infinity before the first. */
  endedAt = -Infinity
  /** The item whose output is the state's. */
  last: ItemRecord | undefined
  /** The child run. */
  child: ItemRecord | undefined

  constructor(id: string) {
    this.#id = id
  }

  /** Takes an item in, or takes in how it has moved. */
  take(item: ItemRecord): void {
    const { key } = item
    const isRun = key.startsWith(`${this.#id}:item:`)
    const before = this.#shares.get(key)
    const now = shareOf(item)
    this.#shares.set(key, now)
    if (isRun && before === undefined) this.#runs.total++
    this.attempts += now.attempts - (before?.attempts ?? 0)
    for (const sum of isRun ? [this.#all, this.#runs] : [this.#all]) {
      sum.open += now.open - (before?.open ?? 0)
      sum.cached += now.cached - (before?.cached ?? 0)
    }
    this.#all.waiting += now.waiting - (before?.waiting ?? 0)
    this.startedAt = Math.min(this.startedAt, item.startedAt)
    this.endedAt = Math.max(this.endedAt, item.endedAt ?? -Infinity)
    if (key === this.#id) this.last = item
    if (key === `${this.#id}:child`) this.child = item
    if (item.error !== undefined && item.seq <= (this.#failed?.seq ?? Infinity)) this.#failed = item
  }

  /** Of those that have failed, the one that was asked for first. */
  get failed(): ItemRecord | undefined {
    return this.#failed
  }

  get isOpen(): boolean {
    return this.#all.open > 0
  }

  /** True while something waits for a person or a child run. */
  get isWaiting(): boolean {
    return this.#all.waiting > 0
  }

  /** True when all code of the state was spared: the state itself, or every item of a map. */
  get isTakenOver(): boolean {
    const { total, cached } = this.#runs
    return total > 0 ? cached === total : this.#all.cached === this.#shares.size
  }

  /** The items of a map that are known so far, and how many of them have closed. */
  get items(): { readonly done: number; readonly total: number; readonly cached: number } {
    const { total, open, cached } = this.#runs
    return { total, done: total - open, cached }
  }
}

function shareOf(item: ItemRecord): Share {
  const isCached = resultOf(item)?.cache?.from !== undefined
  const isOpen = item.closedSeq === undefined
  return {
    // What was taken over was not attempted here.
    attempts: item.reused || isCached ? 0 : item.attempts,
    open: Number(isOpen),
    waiting: Number(isOpen && item.waits),
    cached: Number(isCached),
  }
}
