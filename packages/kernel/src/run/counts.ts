import { isDecision, type Counts } from '../log/event-data.ts'
import type { LogEvent } from '../log/log-event.ts'
import type { Spent } from '../policy/policy.ts'
import type { OpenItem } from './item.ts'

/** What counting needs of a run. */
export interface Counted {
  readonly counts: Counts
  /** True when the last event was a decision: the next one belongs to the same turn. */
  readonly deciding: boolean
  /** `at` of the last event. */
  readonly at: number
  readonly open: { readonly get: (key: string) => OpenItem | undefined }
}

/** Counts before the first event. */
export const nothingSpent: Counts = { requests: 0, attempts: 0, turns: 0, usage: {}, startedAt: 0 }

/**
 * Counts after one more event. An attempt counts from when it is granted, so that several retries that lie ahead cannot
 * all take the place that is left. A turn is a stretch of decisions with no input in between.
 */
export function countsAfter(run: Counted, event: LogEvent): Counts {
  const before = event.seq === 1 ? countsAtStart(event) : run.counts
  // A result that is reused was asked for all the same: a budget decides as it did in the run that it comes from.
  const requests = event.type === 'ActionRequested' || event.type === 'ActionReused' ? 1 : 0
  const attempts = grantsAttempt(run, event) ? 1 : 0
  const turns = isDecision(event.type) && !run.deciding ? 1 : 0
  const usage = 'usage' in event.data ? event.data.usage : undefined
  const startedAt = startedAtAfter(run, before, event)
  const same = startedAt === before.startedAt && usage === undefined
  if (requests === 0 && attempts === 0 && turns === 0 && same) return before
  return {
    requests: before.requests + requests,
    attempts: before.attempts + attempts,
    turns: before.turns + turns,
    usage: addUsage(before.usage, usage),
    startedAt,
  }
}

/** A run that continues another one goes on counting. While a run waits for its start, it spends no time. */
function countsAtStart(event: LogEvent): Counts {
  const { spent, startAt = event.at } = event.type === 'RunStarted' ? event.data : {}
  return spent ?? { ...nothingSpent, startedAt: Math.max(event.at, startAt) }
}

/** The time between the last event that was copied and the fork is spent by nobody. */
function startedAtAfter({ at }: Counted, { startedAt }: Counts, event: LogEvent): number {
  if (event.type !== 'RunForked' || event.seq === 1) return startedAt
  const spentMs = Math.max(0, at - startedAt)
  return Math.max(startedAt, event.at - spentMs)
}

/** A retry was granted, and counted, when the attempt before it failed; one that was not executed is made now. */
function grantsAttempt({ open }: Counted, event: LogEvent): boolean {
  if (event.type === 'ActionRequested' || event.type === 'ActionAttemptFailed') return true
  if (event.type !== 'ActionAttemptStarted') return false
  const item = open.get(event.data.key)
  return item?.kind === 'action' && item.retryAt === undefined && item.notExecuted !== true
}

/** The sum by name. Stops at the largest whole number that a log can hold. */
export function addUsage(sum: Counts['usage'], more: Counts['usage'] | undefined): Counts['usage'] {
  if (more === undefined) return sum
  const total = new Map(Object.entries(sum))
  for (const [name, amount] of Object.entries(more)) {
    total.set(name, Math.min((total.get(name) ?? 0) + amount, Number.MAX_SAFE_INTEGER))
  }
  return Object.fromEntries(total)
}

/** What a run has spent by a time, as a policy sees it. */
export function spentAt({ counts }: Pick<Counted, 'counts'>, at: number): Spent {
  const { startedAt, ...spent } = counts
  return { ...spent, wallClockMs: Math.max(0, at - startedAt) }
}

/** What a run has spent when its step is asked, with the turn that is being decided. */
export function spentWhenDeciding(run: Pick<Counted, 'counts' | 'deciding'>, at: number): Spent {
  const spent = spentAt(run, at)
  return run.deciding ? spent : { ...spent, turns: spent.turns + 1 }
}
