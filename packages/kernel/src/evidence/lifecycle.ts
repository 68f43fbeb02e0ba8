import { sha256 } from '@varve/store'
import type { LogEvent } from '../log/log-event.ts'
import type { RecordedEvent } from '../log/recorded-event.ts'
import { applyToSystem, emptySystem, type System } from '../run/system.ts'

/** Folds the events of one run, whoever asks what of it. */
export interface Folding {
  readonly system: System
  /** @throws KernelError `INVALID_LOG`, or what the workflow's code has to say. */
  readonly add: (recorded: RecordedEvent) => void
  /** Says that the log ends here. */
  readonly end: () => void
}

/**
 * The lifecycle alone, without the code of a workflow. Holds names and keys but no values and no usage, so that a log of many
 * large ones needs no more memory and time than one of small ones.
 */
export function lifecycle(runId: string): Folding {
  const system = emptySystem(runId)
  return {
    system,
    add: ({ event }) => {
      // Only the first request to cancel counts here; each costs a look at everything that is open.
      const again = event.type === 'CancelRequested' && system.cancel !== undefined
      applyToSystem(system, again ? nothing(event) : slim(event))
      system.removed = []
    },
    end: () => undefined,
  }
}

/** An event in its place that changes nothing. */
function nothing({ seq, at, hash }: LogEvent): LogEvent {
  return { seq, at, hash, type: 'DomainEvent', data: { name: '', payload: null } }
}

/** What users put into events: nothing of the lifecycle depends on it. */
const VALUES: ReadonlySet<string> = new Set(['input', 'output', 'value', 'payload'])

function slim(event: LogEvent): LogEvent {
  if (event.type === 'RunStarted') return event
  const data = mapEntries(event.data, (name, value) => {
    // Added up by nobody here; that would copy all names there are for each event that has some.
    if (name === 'usage') return undefined
    if (VALUES.has(name)) return null
    return name === 'error' ? mapEntries(value as object, (_, part) => shortened(part)) : shortened(value)
  })
  return { ...event, data } as unknown as LogEvent
}

/** Texts that are equal stay equal: a wait still finds its signal. */
function shortened(value: unknown): unknown {
  return typeof value === 'string' && value.length > 200 ? sha256(value) : value
}

function mapEntries(value: object, change: (name: string, value: unknown) => unknown): object {
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, change(name, part)]))
}
