/** One event as a store keeps it: the envelope, and the data as the exact text that was hashed. */
export interface StoredEvent {
  readonly runId: string
  /** Position in the run's log: 1-based, without gaps. */
  readonly seq: number
  /** Version of the format of `body`. */
  readonly v: number
  readonly type: string
  /** Unix milliseconds of the driver's clock; never smaller than the event's before. */
  readonly at: number
  /** Canonical JSON text of the event's data, stored and returned byte for byte. */
  readonly body: string
  /** Hash of everything up to and including this event, 64 hex digits. */
  readonly hash: string
}

/** Version of the event format that this release writes. */
export const EVENT_FORMAT = 1
