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
  schedule: (ms, fn) => {
    const left = (due: number): number => Math.min(Math.max(0, due - performance.now()), LONGEST_MS)
    const due = performance.now() + ms
    let keepsAlive = true
    const arm = (): NodeJS.Timeout => setTimeout(fire, left(due))
    const fire = (): void => {
      if (left(due) < 1) {
        fn()
        return
      }
      timer = arm()
      if (!keepsAlive) timer.unref()
    }
    let timer = arm()
    return {
      cancel: () => {
        clearTimeout(timer)
      },
      unref: () => {
        keepsAlive = false
        timer.unref()
      },
    }
  },
}
