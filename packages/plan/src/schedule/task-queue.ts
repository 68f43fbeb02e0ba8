import type { Task } from './task.ts'

interface Entry {
  readonly task: Task
  /** True once the queue has seen that its item is open. */
  counted: boolean
  closed: boolean
}

/**
 * The tasks of a run in the order in which they became due. What is open is always the beginning of what has not closed, so
 * nothing here depends on when it was asked.
 */
export class TaskQueue {
  #entries: Entry[] = []
  readonly #byKey = new Map<string, Entry>()
  /** Everything before it is open or closed. */
  #head = 0
  #executing = 0

  push(task: Task): void {
    const entry = { task, counted: false, closed: false }
    this.#entries.push(entry)
    this.#byKey.set(task.key, entry)
  }

  /** Takes a task out. @returns undefined for a key that is none of its tasks. */
  close(key: string): Task | undefined {
    const entry = this.#byKey.get(key)
    if (entry === undefined) return undefined
    this.#byKey.delete(key)
    entry.closed = true
    if (entry.counted && entry.task.executes) this.#executing--
    return entry.task
  }

  /** The tasks to open now, in order, at most `most`, with no more than `limit` executions at once. */
  due(isKnown: (key: string) => boolean, limit: number, most: number): readonly Task[] {
    this.#advance(isKnown)
    const due: Task[] = []
    let room = limit - this.#executing
    for (let at = this.#head; at < this.#entries.length && due.length < most; at++) {
      const { task, closed } = this.#entries[at] as Entry
      if (closed) continue
      if (task.executes && room-- <= 0) break
      due.push(task)
    }
    return due
  }

  /** True when nothing is open and nothing is due. */
  get isEmpty(): boolean {
    return this.#byKey.size === 0
  }

  /** The tasks that have not closed. */
  *pending(): Iterable<Task> {
    for (const { task } of this.#byKey.values()) yield task
  }

  /** What was open is not any more, and is due again. */
  reopen(): void {
    this.#entries = this.#entries.filter(({ closed }) => !closed)
    for (const entry of this.#entries) entry.counted = false
    this.#head = 0
    this.#executing = 0
  }

  #advance(isKnown: (key: string) => boolean): void {
    while (this.#head < this.#entries.length) {
      const entry = this.#entries[this.#head] as Entry
      if (!entry.closed && !isKnown(entry.task.key)) return
      if (!entry.closed) {
        entry.counted = true
        if (entry.task.executes) this.#executing++
      }
      this.#head++
    }
  }
}
