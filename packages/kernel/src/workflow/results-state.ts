import type { Json } from '@varve/store'
import type { ErrorInfo } from '../log/event-data.ts'
import { deniedError } from '../policy/denied-error.ts'
import type { ReduceEvent, WorkflowTypes } from './reduce-event.ts'

/** The state of a workflow without a reducer: its input, and what became of each key. */
export interface ResultsState<Input = Json> {
  readonly input: Input
  /** By key. A live view: it grows as results come in. */
  readonly results: Readonly<Record<string, ItemResult | undefined>>
}

/** What became of one item. */
export type ItemResult =
  | { readonly status: 'succeeded' | 'resumed' | 'delivered'; readonly output: Json }
  | { readonly status: 'failed' | 'denied'; readonly error: ErrorInfo }
  | { readonly status: 'fired' | 'timed-out' | 'expired' | 'canceled' }
  /** `unknown`: it may have had an effect, also by an attempt that failed and was to be tried again. */
  | { readonly status: 'dropped'; readonly outcome: 'not started' | 'unknown' }

/** What an event makes of its key; undefined for events that close nothing. */
export function resultOf(event: ReduceEvent<WorkflowTypes>): ItemResult | undefined {
  switch (event.type) {
    case 'ActionSucceeded':
      return { status: 'succeeded', output: event.data.output as Json }
    case 'ActionFailed':
      return { status: 'failed', error: event.data.error }
    case 'ActionDenied':
      return { status: 'denied', error: deniedError(event.data) }
    case 'Resumed':
      return { status: 'resumed', output: event.data.value as Json }
    case 'SignalDelivered':
      return { status: 'delivered', output: event.data.value as Json }
    case 'TimerFired':
      return { status: 'fired' }
    case 'WaitTimedOut':
      return { status: 'timed-out' }
    case 'InterruptExpired':
      return { status: 'expired' }
    case 'ChildCompleted':
      return childResult(event.data)
    case 'ItemDropped':
      return { status: 'dropped', outcome: event.data.outcome }
    default:
      return undefined
  }
}

function childResult(child: Extract<ReduceEvent<WorkflowTypes>, { type: 'ChildCompleted' }>['data']): ItemResult {
  if (child.status === 'completed') return { status: 'succeeded', output: child.output ?? null }
  if (child.status === 'failed' && child.error !== undefined) return { status: 'failed', error: child.error }
  return { status: 'canceled' }
}

/** A reducer whose state is the payload of the last `StateUpdated`; every other event leaves it as it is. */
export function stateUpdatedReducer<S>(state: S, event: { readonly type: string; readonly data: unknown }): S {
  return event.type === 'StateUpdated' ? (event.data as { readonly payload: S }).payload : state
}
