import type { Json } from '@varve/store'
import type { LogEvent } from '../log/log-event.ts'

/** Something that a run did to its state or to the outside world. */
export type Effect =
  | { readonly kind: 'state-write'; readonly seq: number; readonly stepId?: string; readonly payload: Json }
  | {
      readonly kind: 'action-call'
      readonly seq: number
      readonly key: string
      readonly action: string
      readonly input: Json
    }
  | {
      readonly kind: 'interrupt-raise'
      readonly seq: number
      readonly key: string
      readonly interrupt: string
      readonly value: Json
    }

/**
 * Turns a recorder of effects into a listener for `onCommitted`. It is fed from committed events alone: it never lists
 * what was denied, what failed to be recorded, or what a replay folds again.
 */
export function effectSink(record: (runId: string, effect: Effect) => void) {
  return (runId: string, events: readonly LogEvent[]): void => {
    for (const event of events) {
      const effect = effectOf(event)
      if (effect !== undefined) record(runId, effect)
    }
  }
}

function effectOf(event: LogEvent): Effect | undefined {
  const { seq } = event
  switch (event.type) {
    case 'StateUpdated': {
      const { payload, stepId } = event.data
      return { kind: 'state-write', seq, payload, ...(stepId !== undefined && { stepId }) }
    }
    case 'ActionRequested': {
      const { key, action, input } = event.data
      return { kind: 'action-call', seq, key, action, input }
    }
    case 'Interrupted': {
      const { key, kind, value } = event.data
      return { kind: 'interrupt-raise', seq, key, interrupt: kind, value }
    }
    default:
      return undefined
  }
}
