import { sha256 } from '../content-id.ts'
import { StoreError } from '../errors.ts'
import { shown } from '../given-value.ts'
import { canonicalize } from '../json/canonical-json.ts'
import type { Json } from '../json/json.ts'
import { defaultLimits, type Limits } from '../limits.ts'
import { EVENT_FORMAT, type StoredEvent } from './stored-event.ts'

/** Where a log ends: the seq of its last event (0 when there is none) and that event's hash. */
export interface LogEnd {
  readonly seq: number
  readonly hash: string
}

/** An event that has no place in a log yet. */
export interface EventDraft {
  readonly type: string
  readonly data: unknown
}

/** A sealed event, and the detached copy of its data that everybody works with from then on. */
export interface SealedEvent {
  readonly stored: StoredEvent
  /** Equal to `JSON.parse(stored.body)`. */
  readonly data: Json
}

/** The end of a run's log before its first event. @throws {@link StoreError} `INVALID_ARGUMENT` for an id that is no text. */
export function genesis(runId: string): LogEnd {
  const given: unknown = runId
  if (typeof given !== 'string') throw new StoreError('INVALID_ARGUMENT', `a run id is a text, got ${shown(given)}`)
  return { seq: 0, hash: sha256(`varve/1\n${runId}`) }
}

/**
 * Gives a draft its place behind `end`: seq, canonical body and the hash that chains it to everything before.
 *
 * @throws {@link StoreError} `NOT_JSON` or `LIMIT_EXCEEDED` with the path in the data.
 */
export function sealEvent(
  runId: string,
  end: LogEnd,
  draft: EventDraft,
  at: number,
  limits: Limits = defaultLimits,
): SealedEvent {
  const { type } = draft
  const { text: body, copy: data } = canonicalize(draft.data, { name: type, maxDepth: limits.depth })
  const seq = end.seq + 1
  checkBodySize(body, runId, seq, type, limits)
  const hash = chainHash(end.hash, { v: EVENT_FORMAT, seq, type, at, body })
  return { stored: { runId, seq, v: EVENT_FORMAT, type, at, body, hash }, data }
}

/** `sha256(prevHash ‖ canonicalJson([v, seq, type, at]) ‖ body)`, the previous hash as its 64 hex digits. */
export function chainHash(prevHash: string, event: Pick<StoredEvent, 'v' | 'seq' | 'type' | 'at' | 'body'>): string {
  return sha256(`${prevHash}[${event.v},${event.seq},${JSON.stringify(event.type)},${event.at}]${event.body}`)
}

/**
 * Checks that a stored event continues the log that ends at `end`. Its data is parsed when somebody first asks for it: who
 * compares texts need not.
 *
 * @returns the event; asking for its `data` throws {@link StoreError} `CORRUPT_LOG` when its text is no JSON.
 * @throws {@link StoreError} `CORRUPT_LOG` with run id and seq when the event is out of order, or its hash does not follow
 * from the text and the event before it. `NEWER_FORMAT` for a format above ours.
 */
export function openEvent(end: LogEnd, event: StoredEvent): SealedEvent {
  const { runId, seq, v } = event
  if (seq !== end.seq + 1) {
    throw new StoreError('CORRUPT_LOG', `expected seq ${end.seq + 1} of run ${runId}, got ${seq}`, { runId, seq })
  }
  if (chainHash(end.hash, event) !== event.hash) {
    const text = `seq ${seq} of run ${runId} does not match its hash; restore the run from a backup`
    throw new StoreError('CORRUPT_LOG', text, { runId, seq })
  }
  if (v > EVENT_FORMAT) {
    const text = `seq ${seq} of run ${runId} has format ${v}, this release reads up to ${EVENT_FORMAT}; upgrade`
    throw new StoreError('NEWER_FORMAT', text, { runId, seq })
  }
  return new OpenedEvent(event)
}

class OpenedEvent implements SealedEvent {
  readonly stored: StoredEvent
  #data: Json | undefined

  constructor(stored: StoredEvent) {
    this.stored = stored
  }

  get data(): Json {
    return (this.#data ??= parseBody(this.stored))
  }
}

function parseBody(event: StoredEvent): Json {
  try {
    return JSON.parse(event.body) as Json
  } catch (cause) {
    const where = { runId: event.runId, seq: event.seq, cause }
    throw new StoreError('CORRUPT_LOG', `the body of seq ${event.seq} of run ${event.runId} is not JSON`, where)
  }
}

function checkBodySize(body: string, runId: string, seq: number, type: string, limits: Limits): void {
  // A UTF-16 code unit takes at most 3 bytes, so most bodies need no count.
  if (body.length * 3 <= limits.bodyBytes) return
  const bytes = Buffer.byteLength(body)
  if (bytes <= limits.bodyBytes) return
  const size = `${bytes} bytes, ${limits.bodyBytes} are allowed`
  const text = `the data of ${type} at seq ${seq} of run ${runId} has ${size}; keep large values outside and log a reference`
  throw new StoreError('LIMIT_EXCEEDED', text, { runId, seq, path: type })
}
