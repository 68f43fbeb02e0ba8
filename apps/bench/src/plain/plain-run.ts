import { genesis, openEvent, sealEvent, type LogEnd, type StoredEvent } from '@varve/store'
import { keyOf, payloadOf, type Payload } from '../work/sequence.ts'
import type { PlainAppend } from './plain-database.ts'

/** Whether events are sealed, canonical and chained, as Varve's are; or what is left without. */
export interface Sealing {
  readonly sealed: boolean
}

/** What is known of a run while it is driven: changed in place by each event. */
interface PlainState {
  done: number
  signals: number
  readonly open: Set<string>
}

interface PlainData {
  readonly key?: string
}

/**
 * One run of a program without Varve: seals what happens, reduces it, and tells what has to be written. It writes the
 * events that the kernel writes for the same work, with the same data.
 */
export class PlainRun {
  readonly runId: string
  readonly state: PlainState = { done: 0, signals: 0, open: new Set() }
  readonly #sealed: boolean
  readonly #token: number
  #end: LogEnd
  #events: StoredEvent[] = []

  constructor(runId: string, { sealed }: Sealing, token = 1) {
    this.runId = runId
    this.#sealed = sealed
    this.#token = token
    this.#end = sealed ? genesis(runId) : { seq: 0, hash: '' }
  }

  /** One event more, to be written with the next append. */
  add(type: string, data: object, at: number): void {
    const event = this.#sealed ? this.#seal(type, data, at) : this.#note(type, data, at)
    this.#events.push(event)
    this.#end = event
  }

  /** What was added since the last one, for the store. */
  take(status: PlainAppend['status'] = 'running'): PlainAppend {
    const events = this.#events
    this.#events = []
    return { runId: this.runId, expectedHead: this.#end.seq - events.length, token: this.#token, status, events }
  }

  /** Takes an event up that was read: checks its place and hash, parses and reduces it. */
  open(event: StoredEvent): void {
    if (this.#sealed) {
      const { data } = openEvent(this.#end, event)
      this.#reduce(event.type, data as PlainData)
    } else this.#reduce(event.type, JSON.parse(event.body) as PlainData)
    this.#end = event
  }

  #seal(type: string, data: object, at: number): StoredEvent {
    const sealed = sealEvent(this.runId, this.#end, { type, data }, at)
    this.#reduce(type, sealed.data as PlainData)
    return sealed.stored
  }

  #note(type: string, data: object, at: number): StoredEvent {
    this.#reduce(type, data)
    return { runId: this.runId, seq: this.#end.seq + 1, v: 1, type, at, body: JSON.stringify(data), hash: '' }
  }

  #reduce(type: string, { key = '' }: PlainData): void {
    if (type === 'ActionRequested') this.state.open.add(key)
    else if (type === 'ActionSucceeded') {
      this.state.open.delete(key)
      this.state.done += 1
    } else if (type === 'SignalDelivered') this.state.signals += 1
  }
}

/** The first event of a run. */
export function addStart(run: PlainRun, workflow: string, input: object): void {
  const start = { workflow, version: '1', input, seed: run.runId, tags: [], queue: 'default' }
  run.add('RunStarted', start, Date.now())
}

/** The request of a step. */
export function addRequest(run: PlainRun, step: number): void {
  run.add('ActionRequested', { key: keyOf(step), action: 'work', input: payloadOf(step), effect: 'pure' }, Date.now())
}

/** What a step has come to. */
export function addResult(run: PlainRun, step: number, output: Payload): void {
  run.add('ActionSucceeded', { key: keyOf(step), output, attempts: 1 }, Date.now())
}
