import type { Clock, Timer } from '@varve/kernel'
import { shown } from '@varve/store'
import { invalid } from './given.ts'

/** A clock that stands still until it is told to go on. Give `now` to the store and the clock to the kernel. */
export interface VirtualClock extends Clock {
  /** Goes on by `ms` milliseconds, never back; everything that falls due on the way is called, in order of its time. */
  readonly advance: (ms: number) => void
  /** Goes on to the next timer and calls it. @returns false when none is set. */
  readonly skip: () => boolean
  /** How many timers are set. */
  readonly timers: number
}

interface Entry {
  readonly at: number
  readonly fn: () => void
}

/**
 * A clock that stands still. It shows whole milliseconds, as the clocks of machines do: a timer for a part of one is called
 * after it.
 *
 * @param start - Unix milliseconds at which it stands first.
 * @throws TestingError `INVALID_SCENARIO` when `start` or what `advance` is given is no time.
 */
export function virtualClock(start = 1_700_000_000_000): VirtualClock {
  if (!Number.isSafeInteger(start)) throw invalid(`start must be whole milliseconds, got ${shown(start)}`)
  let time = start
  const entries = new Set<Entry>()
  const earliest = (until: number): Entry | undefined => {
    let first: Entry | undefined
    for (const entry of entries) if (entry.at <= until && (first === undefined || entry.at < first.at)) first = entry
    return first
  }
  const call = (entry: Entry): void => {
    entries.delete(entry)
    time = Math.max(time, entry.at)
    entry.fn()
  }
  return {
    now: () => time,
    monotonic: () => time - start,
    schedule: (ms, fn): Timer => {
      const entry = { at: time + Math.ceil(Math.max(0, ms)), fn }
      entries.add(entry)
      return { cancel: () => entries.delete(entry) }
    },
    advance: (ms) => {
      if (!Number.isFinite(ms) || ms < 0) throw invalid(`advance takes milliseconds from 0, got ${shown(ms)}`)
      const until = time + Math.ceil(ms)
      for (let entry = earliest(until); entry !== undefined; entry = earliest(until)) call(entry)
      time = until
    },
    skip: () => {
      const entry = earliest(Number.POSITIVE_INFINITY)
      if (entry !== undefined) call(entry)
      return entry !== undefined
    },
    get timers() {
      return entries.size
    },
  }
}
