import { sha256 } from '@varve/store'
import type { LogEvent } from '../log/log-event.ts'
import { applyToSystem, emptySystem, type System } from '../run/system.ts'

/** Folds the events of one run, whoever asks what of it. */
export interface Folding {
  readonly system: System
  /** @throws KernelError `INVALID_LOG`, or what the workflow's code has to say. */
  readonly add: (event: LogEvent) => void
  /** Says that the log ends here. */
  readonly end: () => void
}

/**
 * The lifecycle alone, without the code of a workflow. Holds names and keys but no values, so that a log of many large values
 * needs no more memory than one of small ones.
 */
export function lifecycle(runId: string): Folding {
  const system = emptySystem(runId)
  return {
    system,
    add: (event) => {
      applyToSystem(system, slim(event))
      system.removed = []
    },
    end: () => undefined,
  }
}

/** Texts that are equal stay equal: a wait still finds its signal. */
function slim(event: LogEvent): LogEvent {
  if (event.type === 'RunStarted') return event
  const data = Object.entries(event.data).map(([name, value]): [string, unknown] => {
    if (typeof value === 'object') return [name, null]
    return [name, typeof value === 'string' && value.length > 200 ? sha256(value) : value]
  })
  return { ...event, data: Object.fromEntries(data) } as unknown as LogEvent
}
