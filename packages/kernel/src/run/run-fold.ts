import type { LogEvent } from '../log/log-event.ts'
import type { Stepper } from '../stepper/stepper.ts'
import { located } from './located.ts'
import { applyToSystem, type System } from './system.ts'

/** A run as folded so far: what every log says, and what its workflow makes of it. */
export interface RunFold {
  readonly system: System
  readonly stepper: Stepper
}

/**
 * Moves both halves of the fold by one event.
 *
 * @param text - canonical JSON of its data, for whoever knows it.
 * @throws KernelError `INVALID_LOG` | `REDUCER_FAILED` | `NONDETERMINISM`.
 */
export function applyEvent(fold: RunFold, event: LogEvent, text?: string): void {
  const closed = applyToSystem(fold.system, event, text)
  try {
    fold.stepper.apply(event, closed)
  } catch (error) {
    throw located(error, { runId: fold.system.runId, seq: event.seq })
  }
}
