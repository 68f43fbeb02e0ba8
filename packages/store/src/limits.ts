import { StoreError } from './errors.ts'
import { shown } from './given-value.ts'

/** Bounds that keep one run from harming a store. Sizes are UTF-8 bytes. */
export interface Limits {
  /** How deep a value may nest. */
  readonly depth: number
  /** Bytes of one event's body. */
  readonly bodyBytes: number
  /** Bytes of all bodies of one append. */
  readonly appendBytes: number
  /** Events of one append. */
  readonly appendEvents: number
  /** Posts that may wait for one run. */
  readonly waitingPosts: number
  /** Signals that are kept for a run until it waits for them. */
  readonly keptSignals: number
  /** Events of one run. */
  readonly runEvents: number
  /** Bytes of one sealed secret. Stores refuse more than the default, whatever is configured. */
  readonly sealedBytes: number
}

/** The limits that hold unless others are configured. */
export const defaultLimits: Limits = {
  depth: 100,
  bodyBytes: 1024 * 1024,
  appendBytes: 8 * 1024 * 1024,
  appendEvents: 1000,
  waitingPosts: 1000,
  keptSignals: 10_000,
  runEvents: 100_000,
  sealedBytes: 1024 * 1024,
}

const CONTROL = /\p{Cc}/u

/**
 * Checks an id that comes from outside: 1-200 characters, none of them a control character or half of one.
 *
 * @throws {@link StoreError} `INVALID_ARGUMENT`.
 */
export function checkId(what: string, id: unknown): asserts id is string {
  if (typeof id !== 'string' || id.length < 1 || id.length > 200 || CONTROL.test(id) || !id.isWellFormed()) {
    const text = `${what} must have 1-200 characters without control characters, got ${shown(id)}`
    throw new StoreError('INVALID_ARGUMENT', text)
  }
}
