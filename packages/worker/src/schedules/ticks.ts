import type { Cron } from 'croner'
import type { MissedTicks } from './schedule.ts'

/** A tick that nobody has started after this time, in ms, was missed. */
export const LATE_MS = 60_000

/** At most so many missed ticks are made up for. */
const MOST_MISSED = 1000

/** What a schedule says of a time. */
export interface TickQuestion {
  /** The last tick that was seen to, or when looking began. Unix milliseconds. */
  readonly after: number
  /** Unix milliseconds. */
  readonly now: number
  readonly missed: MissedTicks
}

/** The ticks that are to be started now, oldest first. */
export function dueTicks(cron: Cron, { after, now, missed }: TickQuestion): readonly Date[] {
  const since = Math.max(after, now - LATE_MS)
  const fresh = ticksBetween(cron, since, now)
  if (missed === 'skip' || since === after) return fresh
  const late = lastTicks(cron, { after, before: since + 1, most: missed === 'all' ? MOST_MISSED : 1 })
  return missed === 'latest' && fresh.length > 0 ? fresh : [...late, ...fresh]
}

/** The first tick after a time; undefined when there will be none. */
export function nextTick(cron: Cron, after: number): number | undefined {
  return cron.nextRun(new Date(after))?.getTime()
}

/** Ticks after `after` up to and with `to`. */
function ticksBetween(cron: Cron, after: number, to: number): readonly Date[] {
  const ticks: Date[] = []
  for (let at = nextTick(cron, after); at !== undefined && at <= to; at = nextTick(cron, at)) ticks.push(new Date(at))
  return ticks
}

interface Past {
  /** Exclusive. */
  readonly after: number
  /** Exclusive. */
  readonly before: number
  readonly most: number
}

/** The newest ticks of a time that has passed, oldest first. */
function lastTicks(cron: Cron, { after, before, most }: Past): readonly Date[] {
  return cron
    .previousRuns(most, new Date(before))
    .filter((tick) => tick.getTime() > after && tick.getTime() < before)
    .toReversed()
}
