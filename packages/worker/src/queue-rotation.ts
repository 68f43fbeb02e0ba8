import type { QueueClaim } from '@varve/store'

/** Names the queues of a worker in turn: the one that comes first in a claim has the first choice. */
export class QueueRotation {
  readonly #queues: readonly QueueClaim[]
  #first = 0

  constructor(queues: readonly QueueClaim[]) {
    this.#queues = queues
  }

  /** All queues, beginning with the one after that of the call before. */
  next(): readonly QueueClaim[] {
    const first = this.#first
    this.#first = (first + 1) % this.#queues.length
    return [...this.#queues.slice(first), ...this.#queues.slice(0, first)]
  }

  /** True when the end of a run lets another one of its queue begin. */
  isLimited(name: string): boolean {
    const queue = this.#queues.find((each) => each.name === name)
    return queue?.concurrency !== undefined || queue?.concurrencyPerKey !== undefined
  }
}
