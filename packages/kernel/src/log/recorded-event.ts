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

  /**
   * The event of a request that was taken apart, for the fold alone: its data is none that could be copied or written. Its input is
   * read, and all of it checked, when somebody asks for the input.
   */
  requested(request: RequestText): LogEvent {
    const { seq, at, hash } = this.stored
    return { seq, type: 'ActionRequested', at, data: new UnreadRequest(this, request), hash }
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

/** The data of a request that was taken apart: what the fold of every log needs, and the input for whoever executes it. */
class UnreadRequest implements RequestData {
  readonly action: RequestData['action']
  readonly effect: RequestData['effect']
  readonly key: RequestData['key']
  readonly tool: RequestData['tool']
  readonly provider: RequestData['provider']
  readonly #recorded: RecordedEvent

  constructor(recorded: RecordedEvent, { action, effect, key, tool, provider }: RequestText) {
    this.action = action
    this.effect = effect
    this.key = key
    this.tool = tool
    this.provider = provider
    this.#recorded = recorded
  }

  get input(): Json {
    return (this.#recorded.event.data as RequestData).input
  }
}
