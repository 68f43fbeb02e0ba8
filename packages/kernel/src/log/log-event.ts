import type { LogEnd, SealedEvent, StoredEvent } from '@varve/store'
import type { EventData, EventType } from './event-data.ts'
import { RecordedEvent } from './recorded-event.ts'

/** An event of a run's log, its data parsed and checked. */
export type LogEvent = { [T in EventType]: TypedEvent<T> }[EventType]

/** An event of one type. */
export interface TypedEvent<T extends EventType> {
  /** 1-based position in the run's log. */
  readonly seq: number
  readonly type: T
  /** Unix milliseconds of the store's clock, as its driver knew it. */
  readonly at: number
  readonly data: EventData[T]
  /** Hash of the log up to and including this event. */
  readonly hash: string
}

/** An event before it has a place in the log. */
export type LogDraft = { [T in EventType]: { readonly type: T; readonly data: EventData[T] } }[EventType]

/** Key of the item that an event is about, if it is about one. A fact has a key, too, but is no item. */
export function itemKeyOf({ type, data }: LogDraft): string | undefined {
  return type !== 'FactRecorded' && 'key' in data ? data.key : undefined
}

/** A sealed event as the fold takes it. Its data is the detached copy that sealing made. */
export function asLogEvent({ stored, data }: SealedEvent): LogEvent {
  const { seq, type, at, hash } = stored
  return { seq, type, at, data, hash } as unknown as LogEvent
}

/**
 * Checks a stored event against the log that ends at `end` (order, hash), parses it and checks its shape.
 *
 * @throws StoreError `CORRUPT_LOG` | `NEWER_FORMAT` (also for a type that this release does not know).
 * @throws KernelError `INVALID_LOG` when the data has not the shape of its type.
 */
export function readLogEvent(end: LogEnd, event: StoredEvent): LogEvent {
  return new RecordedEvent(end, event).event
}
