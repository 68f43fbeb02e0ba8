/** More of it at once would be held in memory by whoever starts runs faster than a store takes their snapshots. */
const LIMIT = 1000

/** Work that drives leave behind, such as snapshots: nobody waits for it, but a kernel is not closed before it is done. */
export class Trailing {
  readonly #underWay = new Set<Promise<void>>()

  /** Takes work over, which must not fail. Resolves at once, or with the work while there is too much of it. */
  async add(work: Promise<void> = Promise.resolve()): Promise<void> {
    this.#underWay.add(work)
    const done = work.then(() => void this.#underWay.delete(work))
    if (this.#underWay.size > LIMIT) await done
  }

  /** Resolves when all of it is done. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay)
  }
}
