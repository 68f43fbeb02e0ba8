import type { BlockedOn, Json } from '@varve/store'
import type { ErrorInfo } from '../log/event-data.ts'
import { blockedOn, wakeAt, type System, type TerminalEvent } from '../run/system.ts'

/** How far a run has come. An expected end is a value; what keeps a run from being driven is an error. */
export type Outcome<Output = Json> =
  | { readonly status: 'completed'; readonly runId: string; readonly output: Output }
  | { readonly status: 'failed'; readonly runId: string; readonly error: ErrorInfo }
  | { readonly status: 'canceled'; readonly runId: string; readonly reason: string }
  /** It goes on as another run. */
  | { readonly status: 'continued'; readonly runId: string; readonly newRunId: string }
  | BlockedOutcome
  | { readonly status: 'running'; readonly runId: string }

/** A run that waits. */
export interface BlockedOutcome {
  readonly status: 'blocked'
  readonly runId: string
  /** All that waits for people, and the first hundred items of all else; the timeline has the others. */
  readonly blockedOn: readonly BlockedOn[]
  /** When it moves by itself, Unix milliseconds; null when only an answer moves it. */
  readonly wakeAt: number | null
}

/** How a run that has ended did so. */
export function endOutcome(runId: string, terminal: TerminalEvent): Outcome {
  switch (terminal.type) {
    case 'Completed':
      return { status: 'completed', runId, output: terminal.output }
    case 'Failed':
      return { status: 'failed', runId, error: terminal.error }
    case 'Canceled':
      return { status: 'canceled', runId, reason: terminal.reason }
    case 'ContinuedAsNew':
      return { status: 'continued', runId, newRunId: terminal.newRunId }
  }
}

/** What a blocked run waits for. */
export function blockedOutcome(system: System): BlockedOutcome {
  return { status: 'blocked', runId: system.runId, blockedOn: blockedOn(system), wakeAt: wakeAt(system) }
}
