import {
  canonicalize,
  checkId,
  EVENT_FORMAT,
  sealEvent,
  type Canonical,
  type Limits,
  type SealedEvent,
} from '@varve/store'
import type { EventData } from '../log/event-data.ts'
import type { LogDraft } from '../log/log-event.ts'
import type { RecordedEvent } from '../log/recorded-event.ts'
import { recordedLabels, type Labels } from '../policy/labels.ts'
import type { ItemRequest } from '../workflow/decision.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { ownEntry } from './request-draft.ts'
import type { RunFold } from './run-fold.ts'

/** What tells whether an event is to be had for less than the whole way. */
export interface Readiness {
  /** The run, up to what is decided. */
  readonly fold: RunFold
  readonly definition: Definition
  /** `at` of the events that are decided. */
  readonly at: number
  readonly limits: Limits
  /** Labels of an action that may run whatever its input is, and whose input no label depends on; undefined for all others. */
  readonly unasked?: ((action: string) => Labels | undefined) | undefined
  /** Present where results of another run may stand for executions. */
  readonly reusable?: unknown
  /** What the log that is checked holds at a seq, read and checked as what continues the fold. */
  readonly recorded?: ((seq: number) => RecordedEvent | undefined) | undefined
  /** Last seq to decide: a log that was copied may have been cut amid what was decided at once. */
  readonly lastSeq?: number | undefined
}

/**
 * The recorded event when it is the one that sealing would make: of the same text behind the same end. Its hash was checked
 * when it was read, and to compute it anew takes half of the time of a check. Its data is the draft's, so that it need not be
 * parsed.
 */
export function readyEvent(turn: Readiness, { type, data }: LogDraft): SealedEvent | undefined {
  const stored = recordedHere(turn, type)?.stored
  if (stored === undefined) return undefined
  const { text, copy } = canonicalize(data, { name: type, maxDepth: turn.limits.depth })
  return text === stored.body ? { stored, data: copy } : undefined
}

/** The sealed request of an action, where it is recorded alike or nobody has to be asked about it. */
export function readyRequest(turn: Readiness, request: ItemRequest): SealedEvent | undefined {
  return recordedRequest(turn, request) ?? unaskedRequest(turn, request)
}

/** The recorded request of an action when it is the one that is asked for, with the labels that it was given. */
function recordedRequest(turn: Readiness, request: ItemRequest): SealedEvent | undefined {
  if (request.kind !== 'action' || turn.lastSeq !== undefined) return undefined
  const known = recordedHere(turn, 'ActionRequested')
  if (known === undefined) return undefined
  const { key, action, input } = request
  checkId('a key', key)
  const spec = ownEntry(turn.definition.actions, action)
  if (spec === undefined) return undefined
  const effect = spec.effect ?? 'idempotent'
  const { stored } = known
  const asked = canonicalJsonOf(turn, { action, effect, input, key })
  if (asked === undefined) return undefined
  if (asked.text === stored.body) return { stored, data: asked.copy }
  // Labels stand behind all else.
  if (!stored.body.startsWith(asked.text.slice(0, -1))) return undefined
  const labels = recordedLabels(known.event.data as EventData['ActionRequested'])
  const labeled = canonicalJsonOf(turn, { ...labels, action, effect, input, key })
  return labeled?.text === stored.body ? { stored, data: labeled.copy } : undefined
}

/** Undefined for what has none: the longer way says what is wrong with the request, and names it. */
function canonicalJsonOf({ limits }: Readiness, data: object): Canonical | undefined {
  try {
    return canonicalize(data, { maxDepth: limits.depth })
  } catch {
    return undefined
  }
}

/** The sealed request of an action about which nobody is asked: of its input no copy has to be made that somebody could see. */
function unaskedRequest(turn: Readiness, request: ItemRequest): SealedEvent | undefined {
  if (request.kind !== 'action' || turn.reusable !== undefined) return undefined
  const { key, action, input } = request
  const spec = ownEntry(turn.definition.actions, action)
  const labels = spec && turn.unasked?.(action)
  if (spec === undefined || labels === undefined) return undefined
  const { system } = turn.fold
  // In canonical order nothing is sorted, and what is spread first is copied as a whole.
  const data = { ...labels, action, effect: spec.effect ?? 'idempotent', input, key }
  try {
    checkId('a key', key)
    return sealEvent(system.runId, system.end, { type: 'ActionRequested', data }, turn.at, turn.limits)
  } catch {
    // The longer way says what is wrong with the request, and names it.
    return undefined
  }
}

/** What is recorded at the seq that comes next, if it is of this type and time. */
function recordedHere({ fold, recorded, at, limits }: Readiness, type: LogDraft['type']): RecordedEvent | undefined {
  const known = recorded?.(fold.system.end.seq + 1)
  if (known === undefined) return undefined
  const { stored } = known
  const alike = stored.type === type && stored.at === at && stored.v === EVENT_FORMAT
  // A body that may be too large is sealed, which measures it.
  return alike && stored.body.length * 3 <= limits.bodyBytes ? known : undefined
}
