/** The sole source of time and timers. */
export interface Clock {
  /** Unix milliseconds. */
  readonly now: () => number
  /** Milliseconds that never go back, from an arbitrary start. */
  readonly monotonic: () => number
  /** Calls `fn` once, at least `ms` milliseconds from now. */
  readonly schedule: (ms: number, fn: () => void) => Timer
}

/** A call that lies ahead. */
export interface Timer {
  /** Makes sure that it does not happen. */
  cancel(): void
  /** Lets the process end although the call lies ahead. */
  unref?(): void
}

/** Longest delay that `setTimeout` keeps; it turns a longer one into none at all. */
const LONGEST_MS = 2 ** 31 - 1

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule: (ms, fn) => new SystemTimer(ms, fn),
}

/** A class, since each run that is driven has one: a closure for each of its methods would be kept as long. */
class SystemTimer implements Timer {
  readonly #fn: () => void
  readonly #due: number
  #keepsAlive = true
  #timer: NodeJS.Timeout

  constructor(ms: number, fn: () => void) {
    this.#fn = fn
    this.#due = performance.now() + ms
    this.#timer = this.#armed()
  }

  cancel(): void {
    clearTimeout(this.#timer)
  }

  unref(): void {
    this.#keepsAlive = false
    this.#timer.unref()
  }

  get #left(): number {
    return Math.min(Math.max(0, this.#due - performance.now()), LONGEST_MS)
  }

  #armed(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#fire()
    }, this.#left)
  }

  #fire(): void {
    if (this.#left < 1) {
      this.#fn()
      return
    }
    this.#timer = this.#armed()
    if (!this.#keepsAlive) this.#timer.unref()
  }
}
