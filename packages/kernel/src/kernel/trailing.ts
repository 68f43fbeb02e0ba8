import type { TrailingWork } from '../driver/environment.ts'

/** More at once would be held in memory by whoever starts runs faster than a store takes their snapshots: works, and their text. */
const LIMIT = { works: 1000, unwritten: 64 * 1024 * 1024 }

/** Work that drives leave behind, such as snapshots: nobody waits for it, but a kernel is not closed before it is done. */
export class Trailing {
  readonly #underWay = new Set<Promise<void>>()
  #unwritten = 0

  /** Takes work over, which must not fail. Resolves at once, or with the work while there is too much of it. */
  async add(work: TrailingWork | undefined): Promise<void> {
    if (work === undefined) return
    const { unwritten } = work
    const settled = work.settled()
    this.#underWay.add(settled)
    this.#unwritten += unwritten
    const done = settled.then(() => {
      this.#underWay.delete(settled)
      this.#unwritten -= unwritten
    })
    if (this.#underWay.size > LIMIT.works || this.#unwritten > LIMIT.unwritten) await done
  }

  /** Resolves when all of it is done. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay)
  }
}
