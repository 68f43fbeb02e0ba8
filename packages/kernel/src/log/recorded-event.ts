import { openEvent, StoreError, type Json, type LogEnd, type SealedEvent, type StoredEvent } from '@varve/store'
import { KernelError } from '../errors.ts'
import { wrongIn } from './data-check.ts'
import { eventTypeOf, type EventData, type EventType } from './event-data.ts'
import type { LogEvent } from './log-event.ts'
import type { RequestText } from './request-text.ts'

/**
 * An event as a log holds it. That it continues the log is checked at once; its data is parsed and checked when somebody asks for
 * it: what the code decides again is compared as text, and half of most logs is.
 */
export class RecordedEvent {
  readonly stored: StoredEvent
  readonly type: EventType
  readonly #opened: SealedEvent
  #event: LogEvent | undefined

  /**
   * @param end - where the log ends before it.
   * @throws StoreError `CORRUPT_LOG` (order, hash) | `NEWER_FORMAT` (also for a type that this release does not know).
   */
  constructor(end: LogEnd, stored: StoredEvent) {
    this.#opened = openEvent(end, stored)
    const type = eventTypeOf(stored.type)
    if (type === undefined) {
      const { runId, seq } = stored
      const text = `seq ${seq} of run ${runId} is a ${JSON.stringify(stored.type)}, which this release does not know; upgrade`
      throw new StoreError('NEWER_FORMAT', text, { runId, seq })
    }
    this.stored = stored
    this.type = type
  }

  /**
   * The event with its data.
   *
   * @throws StoreError `CORRUPT_LOG` when the text is no JSON.
   * @throws KernelError `INVALID_LOG` when the data has not the shape of its type.
   */
  get event(): LogEvent {
    return (this.#event ??= this.#read())
  }

  /** The event of a request that was taken apart: its input is read, and all of it checked, when somebody asks for the input. */
  requested(request: RequestText): LogEvent {
    const { seq, at, hash } = this.stored
    return { seq, type: 'ActionRequested', at, data: unreadRequest(this, request), hash }
  }

  /** Checks data that is written as the text of this event. @throws KernelError `INVALID_LOG` as {@link RecordedEvent.event}. */
  check(data: Json): void {
    const { type, stored } = this
    const wrong = wrongIn(type, data)
    if (wrong === undefined) return
    const { runId, seq } = stored
    const path = [type, ...wrong.path].join('.')
    const text = `seq ${seq} of run ${runId}: ${path}: ${wrong.message}`
    throw new KernelError('INVALID_LOG', text, { runId, seq, path })
  }

  #read(): LogEvent {
    const { type } = this
    const { seq, at, hash } = this.stored
    const { data } = this.#opened
    this.check(data)
    return { seq, type, at, data, hash } as unknown as LogEvent
  }
}

type RequestData = EventData['ActionRequested']

const INPUT = {
  enumerable: true,
  configurable: true,
  get(this: { readonly recorded: RecordedEvent }): Json {
    const { input } = this.recorded.event.data as RequestData
    Reflect.defineProperty(this, 'input', { value: input, enumerable: true, configurable: true, writable: true })
    return input
  },
}

/** The data of a request, as good as parsed: a plain object, which can be spread, copied and written like any other. */
function unreadRequest(recorded: RecordedEvent, { action, effect, key, provider, tool }: RequestText): RequestData {
  const data = { action, effect }
  // What it is read from is not to be seen. One getter for all: with one of its own each would be slow to make.
  Object.defineProperty(data, 'recorded', { value: recorded })
  Object.defineProperty(data, 'input', INPUT)
  const labels = { ...(provider !== undefined && { provider }), ...(tool !== undefined && { tool }) }
  return Object.assign(data, { key, ...labels }) as RequestData
}
