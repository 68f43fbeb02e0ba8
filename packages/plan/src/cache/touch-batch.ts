import type { ArtifactStore, ContentId } from '@varve/store'
import { setImmediate } from 'node:timers/promises'

/** So many ids go into one touch. */
const MOST = 1000

/** Marks artifacts as used, all that are asked for within one turn of the event loop, or while the store is busy with one commit. */
export class TouchBatch {
  readonly #artifacts: ArtifactStore
  #waiting = new Set<ContentId>()
  #next: Promise<ReadonlySet<ContentId>> | undefined
  #current: Promise<unknown> = Promise.resolve()

  constructor(artifacts: ArtifactStore) {
    this.#artifacts = artifacts
  }

  /** @returns whether it is there. */
  async touch(id: ContentId): Promise<boolean> {
    this.#waiting.add(id)
    this.#next ??= this.#flushAfter(this.#current)
    return (await this.#next).has(id)
  }

  #flushAfter(current: Promise<unknown>): Promise<ReadonlySet<ContentId>> {
    const settled = current.catch(() => undefined)
    const flushed = settled.then(async () => setImmediate()).then(async () => this.#flush())
    this.#current = flushed
    return flushed
  }

  async #flush(): Promise<ReadonlySet<ContentId>> {
    const ids = [...this.#waiting]
    this.#waiting = new Set()
    this.#next = undefined
    const there = new Set<ContentId>()
    for (let at = 0; at < ids.length; at += MOST) {
      // The commit that records the hit is durable and comes behind: what is lost, is lost with it.
      for (const id of await this.#artifacts.touch(ids.slice(at, at + MOST), { durable: false })) there.add(id)
    }
    return there
  }
}
