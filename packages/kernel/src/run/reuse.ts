import { sha256, type Json } from '@varve/store'
import type { EventData } from '../log/event-data.ts'
import type { LogEvent } from '../log/log-event.ts'
import { textOfJson } from '../log/text-of.ts'
import type { Effect } from '../workflow/action.ts'

/** A result that was recorded elsewhere and stands in the place of an execution. */
export type ReusableResult = Pick<EventData['ActionReused'], 'output' | 'attempts' | 'from'>

/** An action that a fork asks for. */
export interface ReuseRequest {
  readonly key: string
  readonly action: string
  readonly input: Json
  readonly effect: Effect
}

/** The recorded result of a request equal in key, action and input; undefined when it is to be executed. */
export type FindReusable = (request: ReuseRequest) => ReusableResult | undefined

/** What identifies an action besides its key. */
interface Asked {
  readonly action: string
  readonly print: string
}

/** What actions of one run came to behind a point of its log. Failures are none of it: what failed is worth another try. */
export class ReusableResults {
  readonly #runId: string
  readonly #after: number
  /** The latest request of each key: it may lie before the point, its result behind. */
  readonly #requests = new Map<string, Asked & { readonly effect: Effect }>()
  readonly #results = new Map<string, ReusableResult & Asked>()

  /** @param after - seq of the last event whose result does not count. */
  constructor(runId: string, after: number) {
    this.#runId = runId
    this.#after = after
  }

  /** Takes the run's next event. */
  add({ type, seq, data }: LogEvent): void {
    if (type === 'ActionRequested') {
      const { key, action, input, effect } = data
      this.#requests.set(key, { action, print: printOf(input), effect })
      return
    }
    // What was told not to have happened is in nobody's way.
    if (type === 'ActionFailed' || (type === 'ItemDropped' && data.outcome === 'not started')) {
      this.#requests.delete(data.key)
      return
    }
    if (seq <= this.#after) return
    const from = { runId: this.#runId, seq }
    if (type === 'ActionReused') {
      const { key, action, input, output, attempts } = data
      this.#results.set(key, { action, print: printOf(input), output, attempts, from })
    }
    const request = type === 'ActionSucceeded' ? this.#requests.get(data.key) : undefined
    if (type !== 'ActionSucceeded' || request === undefined) return
    const { key, output, attempts } = data
    this.#results.set(key, { ...request, output, attempts, from })
  }

  /** Finds the result of a request. */
  readonly find: FindReusable = ({ key, action, input }) => {
    const known = this.#results.get(key)
    if (!isAsked(known, action, input)) return undefined
    const { output, attempts, from } = known
    return { output, attempts, from }
  }

  /**
   * True for a request without a result here that this run has made, too, when that may come to something, or has, nobody
   * knows what: it is under way, or was when the run ended; and it must not happen twice.
   */
  isInDoubt({ key, action, input, effect }: ReuseRequest): boolean {
    const asked = this.#requests.get(key)
    if (!isAsked(asked, action, input)) return false
    return asked.effect === 'at-most-once' || effect === 'at-most-once'
  }
}

function isAsked<T extends Asked>(known: T | undefined, action: string, input: Json): known is T {
  return known?.action === action && known.print === printOf(input)
}

/** The whole hash: what is the same by it is not executed. */
function printOf(input: Json): string {
  return sha256(textOfJson(input))
}
