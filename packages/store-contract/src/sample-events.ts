import { chainHash, EVENT_FORMAT, genesis, sealEvent, type LogEnd, type StoredEvent } from '@varve/store'

/** Instant of every sample event, Unix milliseconds. */
const AT = 1_600_000_000_000

/**
 * Sealed events that continue a run's log.
 *
 * @param end - Where the log ends. Default: before its first event.
 * @param writer - Goes into the data, so that the events of two writers differ.
 */
export function sampleEvents(runId: string, count: number, end = genesis(runId), writer = 'a'): readonly StoredEvent[] {
  const events: StoredEvent[] = []
  for (let last = end; events.length < count; last = endOf(events, end)) {
    const data = { writer, n: last.seq + 1 }
    events.push(sealEvent(runId, last, { type: 'Sampled', data }, AT).stored)
  }
  return events
}

/** A chained event whose body is exactly this text, canonical or not. */
export function eventOf(
  runId: string,
  end: LogEnd,
  fields: Partial<Pick<StoredEvent, 'v' | 'type' | 'at' | 'body'>>,
): StoredEvent {
  const event = { v: EVENT_FORMAT, seq: end.seq + 1, type: 'Sampled', at: AT, body: '{}', ...fields }
  return { runId, ...event, hash: chainHash(end.hash, event) }
}

/** Where the log ends after these events. */
export function endOf(events: readonly StoredEvent[], before: LogEnd): LogEnd {
  return events.at(-1) ?? before
}
