import type { LogEvent } from '@varve/kernel'
import type { Json } from '@varve/store'

/** Why something of a run failed. */
export interface Failure {
  readonly message: string
  readonly code?: string
}

/** How an item of a run closed. */
export type ItemOutcome = { readonly output: Json } | { readonly error: Failure }

/** The item that an event closes and how; undefined for an event that closes none. */
export function outcomeOf(event: LogEvent): { readonly key: string; readonly outcome: ItemOutcome } | undefined {
  switch (event.type) {
    case 'ActionSucceeded':
    case 'ActionReused':
      return { key: event.data.key, outcome: { output: event.data.output } }
    case 'ActionFailed': {
      const { message, code } = event.data.error
      return { key: event.data.key, outcome: { error: { message, ...(code !== undefined && { code }) } } }
    }
    case 'ActionDenied': {
      const { policy, reason, code = 'ACTION_DENIED' } = event.data
      return { key: event.data.key, outcome: { error: { message: `denied by ${policy}: ${reason}`, code } } }
    }
    case 'Resumed': {
      const { value, by } = event.data
      return { key: event.data.key, outcome: { output: { value, ...(by !== undefined && { by }) } } }
    }
    case 'InterruptExpired':
      return {
        key: event.data.key,
        outcome: { error: { message: 'nobody answered in time', code: 'APPROVAL_EXPIRED' } },
      }
    case 'ChildCompleted': {
      const { key, status, output = null, error } = event.data
      if (status === 'completed') return { key, outcome: { output } }
      const message = `the child plan ${status}${error === undefined ? '' : `: ${error.message}`}`
      return { key, outcome: { error: { message, code: 'CHILD_FAILED' } } }
    }
    default:
      return undefined
  }
}
