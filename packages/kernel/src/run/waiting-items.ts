import type { OpenChild, OpenItem, OpenWait } from './item.ts'
import { dueAt } from './open-item.ts'
import { Ranks, type Ranked } from './ranks.ts'

/** An open item, and where it stands in what {@link WaitingItems} keep at hand. */
export interface Entry {
  item: OpenItem
  before: Entry | undefined
  after: Entry | undefined
  /** Among the times at which items move by themselves. */
  due: Ranked<Entry> | undefined
  /** Among the waits for its signal. */
  wait: Ranked<Entry> | undefined
}

/** Open items by what they wait for: everything but an attempt that is under way. */
export class WaitingItems {
  /** Timers, and what else has an end of its own. */
  readonly times = new Ranks<Entry>()
  /** Actions that are to be tried again. */
  readonly retries = new Ranks<Entry>()
  /** Actions whose attempt was abandoned, and no other begun. */
  readonly abandoned = new Set<Entry>()
  readonly inDoubt = new Set<Entry>()
  readonly interrupts = new Set<Entry>()
  /** Waits by their signal, in the order in which they were opened. */
  readonly signals = new Map<string, Ranks<Entry>>()
  /** How many wait for each run. */
  readonly children = new Map<string, number>()

  /** Adds an item. */
  enter(entry: Entry): void {
    const { item } = entry
    const at = dueAt(item)
    if (at !== undefined) entry.due = (item.kind === 'action' ? this.retries : this.times).add(entry, at)
    if (item.kind === 'action') this.#actionsLike(item)?.add(entry)
    else if (item.kind === 'interrupt') this.interrupts.add(entry)
    else if (item.kind === 'child') this.#countChild(item, 1)
    else if (item.kind === 'wait') entry.wait = this.#waitsFor(item.signal).add(entry, item.seq)
  }

  /** Takes out what was added, as it was then. */
  leave(entry: Entry): void {
    const { item, due, wait } = entry
    if (due !== undefined) (item.kind === 'action' ? this.retries : this.times).delete(due)
    entry.due = entry.wait = undefined
    if (item.kind === 'action') this.#actionsLike(item)?.delete(entry)
    else if (item.kind === 'interrupt') this.interrupts.delete(entry)
    else if (item.kind === 'child') this.#countChild(item, -1)
    else if (item.kind === 'wait' && wait !== undefined) this.#leaveWaits(item, wait)
  }

  #actionsLike({ inDoubt, retryAt }: Extract<OpenItem, { kind: 'action' }>): Set<Entry> | undefined {
    if (inDoubt) return this.inDoubt
    return retryAt === undefined ? this.abandoned : undefined
  }

  #countChild({ childRunId }: OpenChild, by: number): void {
    const count = (this.children.get(childRunId) ?? 0) + by
    if (count === 0) this.children.delete(childRunId)
    else this.children.set(childRunId, count)
  }

  #waitsFor(signal: string): Ranks<Entry> {
    const known = this.signals.get(signal)
    if (known !== undefined) return known
    const waits = new Ranks<Entry>()
    this.signals.set(signal, waits)
    return waits
  }

  #leaveWaits({ signal }: OpenWait, wait: Ranked<Entry>): void {
    const waits = this.#waitsFor(signal)
    waits.delete(wait)
    if (waits.size === 0) this.signals.delete(signal)
  }
}

/** True for an action that is being attempted: it waits for nothing that the log knows of. */
export function isUnderWay(item: OpenItem): boolean {
  return item.kind === 'action' && item.attempting && !item.inDoubt && item.retryAt === undefined
}
