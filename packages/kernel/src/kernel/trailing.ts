import { setImmediate } from 'node:timers/promises'
import type { TrailingWork } from '../driver/environment.ts'

/** More at once would be held in memory by whoever starts runs faster than a store takes their snapshots: works, and their text. */
const LIMIT = { works: 1000, unwritten: 64 * 1024 * 1024 }

/** Work that drives leave behind, such as snapshots: nobody waits for it, but a kernel is not closed before it is done. */
export class Trailing {
  readonly #underWay = new Set<Promise<void>>()
  #unwritten = 0
  /** Begins when whoever waits for an outcome has been told. How much it will hold is not known before, so there is one at most. */
  #late: TrailingWork | undefined

  /** Takes work over, which must not fail. Resolves at once, or with the work while there is too much of it. */
  async add(work: TrailingWork | undefined): Promise<void> {
    if (work === undefined) return
    if (!work.isLate || this.#late !== undefined || this.#isFull) {
      await this.#begin(work)
      return
    }
    this.#late = work
    const told = setImmediate().then(() => {
      this.#underWay.delete(told)
      this.beginLate()
    })
    this.#underWay.add(told)
  }

  /** Begins what waits for others to be told: before a run is read, which may be the one whose snapshot it is. */
  beginLate(): void {
    const late = this.#late
    this.#late = undefined
    if (late !== undefined) void this.#begin(late)
  }

  async #begin(work: TrailingWork): Promise<void> {
    work.begin()
    const { unwritten } = work
    const settled = work.settled()
    this.#underWay.add(settled)
    this.#unwritten += unwritten
    const done = settled.then(() => {
      this.#underWay.delete(settled)
      this.#unwritten -= unwritten
    })
    if (this.#isFull) await done
  }

  get #isFull(): boolean {
    return this.#underWay.size > LIMIT.works || this.#unwritten > LIMIT.unwritten
  }

  /** Resolves when all of it is done. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }
}
