import type { ItemsResult } from '../schedule/requests.ts'
import { resultOf, type ItemRecord } from './run-record.ts'

const COUNTS = ['attempts', 'closed', 'waiting', 'cached', 'listed'] as const

/** What one item adds to the tally of its state. */
type Share = Readonly<Record<(typeof COUNTS)[number], number>>

const NOTHING: Share = { attempts: 0, closed: 0, waiting: 0, cached: 0, listed: 0 }

/** What the items of one state come to, kept up item by item: maps have many of them, and each moves several times. */
export class StateTally {
  readonly #id: string
  readonly #shares = new Map<string, Share>()
  readonly #runs = { ...NOTHING }
  readonly #all = { ...NOTHING }
  #failed: ItemRecord | undefined
  #hasFailedPart = false
  startedAt = Infinity
  /** When the last one closed so far; -Infinity before the first. */
  endedAt = -Infinity
  /** The item whose output is the state's. */
  last: ItemRecord | undefined
  /** What works out what a child plan starts with. */
  start: ItemRecord | undefined
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
    const now = shareOf(item, key.startsWith(`${this.#id}:items`))
    this.#shares.set(key, now)
    move(this.#all, before, now)
    if (isRun) move(this.#runs, before, now)
    this.startedAt = Math.min(this.startedAt, item.startedAt)
    this.endedAt = Math.max(this.endedAt, item.endedAt ?? -Infinity)
    if (key === this.#id) this.last = item
    if (key === `${this.#id}:start`) this.start = item
    if (key === `${this.#id}:child`) this.child = item
    if (item.error !== undefined && item.seq <= (this.#failed?.seq ?? Infinity)) this.#failed = item
    if (item.error !== undefined && !isRun) this.#hasFailedPart = true
  }

  /** Attempts of all its items, those of the engine's own parts included. */
  get attempts(): number {
    return this.#all.attempts
  }

  /** Attempts of the items of a map. */
  get itemAttempts(): number {
    return this.#runs.attempts
  }

  /** Of those that have failed, the one that was asked for first. */
  get failed(): ItemRecord | undefined {
    return this.#failed
  }

  /** True when it has failed for good. The items of a map that are left run all the same, also while none of them is open. */
  get hasFailed(): boolean {
    if (this.#failed === undefined) return false
    return this.#hasFailedPart || this.#runs.closed === this.#all.listed
  }

  /** True while something waits for a person or a child run. */
  get isWaiting(): boolean {
    return this.#all.waiting > 0
  }

  /** True when all code of the state was spared: the state itself, or every item of a map. */
  get isTakenOver(): boolean {
    const { closed, cached } = this.#runs
    return closed > 0 ? cached === closed : this.#all.cached === this.#shares.size
  }

  /** The items of a map that are known so far, and how many of them have closed. */
  get items(): { readonly done: number; readonly total: number; readonly cached: number } {
    const { closed, cached } = this.#runs
    return { total: this.#all.listed, done: closed, cached }
  }
}

function move(sum: Record<keyof Share, number>, before: Share = NOTHING, now: Share): void {
  for (const count of COUNTS) sum[count] += now[count] - before[count]
}

function shareOf(item: ItemRecord, isList: boolean): Share {
  const isCached = resultOf(item)?.cache?.from !== undefined
  const isClosed = item.closedSeq !== undefined
  return {
    // What was taken over was not attempted here.
    attempts: item.reused || isCached ? 0 : attemptsOf(item),
    closed: Number(isClosed),
    waiting: Number(!isClosed && item.waits),
    cached: Number(isCached),
    listed: isList && item.output !== undefined ? (item.output as unknown as ItemsResult).items.length : 0,
  }
}

/** The log says of a first attempt only how it ended: one that is open, or was cut off, has begun. */
function attemptsOf({ attempts, closedSeq, waits, notStarted }: ItemRecord): number {
  const hasBegun = closedSeq === undefined && !waits && !notStarted
  return hasBegun ? Math.max(attempts, 1) : attempts
}
