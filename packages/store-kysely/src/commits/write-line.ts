import Queue from 'yocto-queue'

/** A write that waits. */
export interface WaitingWrite {
  /** What no other write under way may have. */
  readonly key: string
  readonly length: number
}

/** How much may be taken at once. */
export interface Room {
  readonly writes: number
  readonly length: number
}

/**
 * Writes that wait for a batch. Of each key one at most is ready or under way; those behind it stand aside, and the next of
 * them lines up when it is made. So a batch looks at no write that it cannot take, however many wait.
 */
export class WriteLine<Write extends WaitingWrite> {
  readonly #ready = new Queue<Write>()
  /** By the keys of what is ready or under way: who stands aside for it, if anybody ever did. */
  readonly #aside = new Map<string, Queue<Write> | undefined>()

  /** How many writes may be taken. */
  get size(): number {
    return this.#ready.size
  }

  /** The write that is taken next. */
  get first(): Write | undefined {
    return this.#ready.peek()
  }

  add(write: Write): void {
    const { key } = write
    if (!this.#aside.has(key)) {
      this.#aside.set(key, undefined)
      this.#ready.enqueue(write)
      return
    }
    const aside = this.#aside.get(key) ?? new Queue()
    aside.enqueue(write)
    this.#aside.set(key, aside)
  }

  /** Says that a write is under way that never stood in the line. @returns false while another one of its key is ready or under way. */
  pass(key: string): boolean {
    if (this.#aside.has(key)) return false
    this.#aside.set(key, undefined)
    return true
  }

  /** Takes the writes that have been ready longest, as many as there is room for; they are under way from then. */
  take(room: Room): readonly Write[] {
    const taken: Write[] = []
    let { length } = room
    for (;;) {
      const write = this.#ready.peek()
      if (write === undefined || taken.length === room.writes || write.length > length) return taken
      this.#ready.dequeue()
      taken.push(write)
      length -= write.length
    }
  }

  /** To be called once for each write that was taken or passed, when it is made or has failed. */
  release(key: string): void {
    const next = this.#aside.get(key)?.dequeue()
    if (next === undefined) this.#aside.delete(key)
    else this.#ready.enqueue(next)
  }
}
