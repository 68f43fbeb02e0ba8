import type { Json } from '@varve/store'
import type { EventData } from '../log/event-data.ts'
import type { LogEvent } from '../log/log-event.ts'
import { fingerprint } from './item.ts'

/** A result that was recorded elsewhere and stands in the place of an execution. */
export type ReusableResult = Pick<EventData['ActionReused'], 'output' | 'attempts' | 'from'>

/** The recorded result of a request equal in key, action and input; undefined when it is to be executed. */
export type FindReusable = (request: {
  readonly key: string
  readonly action: string
  readonly input: Json
}) => ReusableResult | undefined

/** What actions of one run came to behind a point of its log. Failures are none of it: what failed is worth another try. */
export class ReusableResults {
  readonly #runId: string
  readonly #after: number
  /** The latest request of each key: it may lie before the point, its result behind. */
  readonly #requests = new Map<string, { readonly action: string; readonly print: string }>()
  readonly #results = new Map<string, ReusableResult & { readonly action: string; readonly print: string }>()

  /** @param after - seq of the last event whose result does not count. */
  constructor(runId: string, after: number) {
    this.#runId = runId
    this.#after = after
  }

  /** Takes the run's next event. */
  add({ type, seq, data }: LogEvent): void {
    if (type === 'ActionRequested') {
      this.#requests.set(data.key, { action: data.action, print: fingerprint(data.input) })
      return
    }
    if (seq <= this.#after) return
    const from = { runId: this.#runId, seq }
    if (type === 'ActionReused') {
      const { key, action, input, output, attempts } = data
      this.#results.set(key, { action, print: fingerprint(input), output, attempts, from })
    }
    const request = type === 'ActionSucceeded' ? this.#requests.get(data.key) : undefined
    if (type !== 'ActionSucceeded' || request === undefined) return
    const { key, output, attempts } = data
    this.#results.set(key, { ...request, output, attempts, from })
  }

  /** Finds the result of a request. */
  readonly find: FindReusable = ({ key, action, input }) => {
    const known = this.#results.get(key)
    if (known?.action !== action || known.print !== fingerprint(input)) return undefined
    const { output, attempts, from } = known
    return { output, attempts, from }
  }
}
