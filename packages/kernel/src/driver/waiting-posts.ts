import type { Post } from '@varve/store'
import { repeatable } from './append.ts'
import type { Environment } from './environment.ts'

/** The posts that wait for a run which is driven. */
export class WaitingPosts {
  readonly #env: Environment
  readonly #runId: string
  #ahead: Promise<readonly Post[]> | undefined
  /** True when there may be some: the store is asked only then. */
  mayWait = false

  constructor(env: Environment, runId: string) {
    this.#env = env
    this.#runId = runId
  }

  /** Takes what a claim tells. Posts that wait are read while the run is: as long as we have its lease, nobody takes them away. */
  claimed(waiting: number): void {
    this.mayWait = waiting > 0
    if (!this.mayWait) return
    this.#ahead = this.#list()
    // Whoever reads them hears of a failure; a drive that is given up before it does needs none of it.
    this.#ahead.catch(() => undefined)
  }

  /** Says that another may have come, behind what was read ahead. */
  came(): void {
    this.mayWait = true
    this.#ahead = undefined
  }

  /** As many of them as one append can take. Those that come afterwards are told by the next append, or by a nudge. */
  async read(): Promise<readonly Post[]> {
    const reading = this.#ahead ?? this.#list()
    this.#ahead = undefined
    const posts = await reading
    this.mayWait = false
    return posts
  }

  #list(): Promise<readonly Post[]> {
    const { limits, store } = this.#env
    return repeatable(this.#env, () => store.inbox.list(this.#runId, { limit: limits.appendEvents }))
  }
}
