import type { LogEvent } from '../log/log-event.ts'
import type { RecordedEvent } from '../log/recorded-event.ts'
import { requestIn } from '../log/request-text.ts'
import type { Stepper } from '../stepper/stepper.ts'
import { located } from './located.ts'
import { nameOf } from './open-item.ts'
import { applyToSystem, type System } from './system.ts'

/** A run as folded so far: what every log says, and what its workflow makes of it. */
export interface RunFold {
  readonly system: System
  readonly stepper: Stepper
}

/** Longer texts, in UTF-16 code units, are parsed: an input that is cut out of one keeps all of it in memory. */
const SHORT_BODY = 1024

/**
 * Moves both halves of the fold by an event as it was recorded, in the way that costs least.
 *
 * @throws KernelError `INVALID_LOG` | `REDUCER_FAILED` | `NONDETERMINISM`.
 * @throws StoreError `CORRUPT_LOG`.
 */
export function applyRecorded(fold: RunFold, recorded: RecordedEvent): void {
  const { type, stored } = recorded
  const isUnseen = type === 'ActionRequested' && fold.stepper.ignores?.has(type) === true
  const request = isUnseen && stored.body.length <= SHORT_BODY ? requestIn(stored.body) : undefined
  if (request === undefined) applyEvent(fold, recorded.event)
  else applyToSystem(fold.system, recorded.requested(request), request.input)
}

/**
 * Moves both halves of the fold by one event.
 *
 * @param input - canonical JSON of the input that an action is requested with, for whoever knows it.
 * @throws KernelError `INVALID_LOG` | `REDUCER_FAILED` | `NONDETERMINISM`.
 */
export function applyEvent(fold: RunFold, event: LogEvent, input?: string): void {
  const { system, stepper } = fold
  const closed = applyToSystem(system, event, input)
  if (stepper.ignores?.has(event.type) === true) return
  try {
    stepper.apply(event, closed && nameOf(closed))
  } catch (error) {
    throw located(error, { runId: system.runId, seq: event.seq })
  }
}
