import type { StoredEvent } from '@varve/store'
import type { Clock } from '../clock.ts'
import type { LogDraft } from '../log/log-event.ts'
import type { DriveOptions } from './drive-options.ts'
import type { Turn } from './turn.ts'

/**
 * Is told what a kernel does, for traces and metrics. Everything told has happened in this process: a replay, a verification
 * or a look at a run tells nothing, and what another process did is told there. A throw is a warning and changes nothing.
 */
export interface Observer {
  /** A turn is durable. Once per turn; one that had to be taken again is told when it has landed. */
  readonly onTurn?: (turn: TurnSpan) => void
  /** The store has answered an append, or refused it. Those of `start`, `fork` and `migrate` are no turns. */
  readonly onAppend?: (append: AppendSpan) => void
  /** A handler has settled. Run id, key and attempt name it: no number is given out twice. */
  readonly onAttempt?: (attempt: AttemptSpan) => void
  /**
   * Calls `run`, which calls the handler, in a context of its own, such as that of a span that begins now. What it answers or
   * throws does not matter; a handler is called once, whether `run` is called or not.
   */
  readonly aroundAttempt?: (attempt: AttemptIdentity, run: () => Promise<unknown>) => unknown
}

/** When something was done. */
export interface Span {
  readonly runId: string
  /** Unix milliseconds. */
  readonly startedAt: number
  /** By the monotonic clock. */
  readonly durationMs: number
}

/** One turn of a run: what came in, what was decided on it, and the append of both. */
export interface TurnSpan extends Span {
  readonly workflow: string
  readonly version: string
  /** Seqs of its first and last event. */
  readonly fromSeq: number
  readonly toSeq: number
}

/** One call of a store. */
export interface AppendSpan extends Span {
  /** Seq of its first event. */
  readonly fromSeq: number
  readonly events: number
  /** Size of the events' bodies. */
  readonly bytes: number
  /** What it was refused with, or `UNKNOWN_OUTCOME` when its answer was lost; absent when it landed. */
  readonly error?: string
}

/** Which attempt of which action. */
export interface AttemptIdentity {
  readonly runId: string
  readonly workflow: string
  readonly key: string
  readonly action: string
  /** From 1. */
  readonly attempt: number
}

/** One call of a handler. */
export interface AttemptSpan extends Span, AttemptIdentity {
  /** What is to be recorded of it: it stands in the log unless the run has ended or went to another process meanwhile. */
  readonly outcome: 'succeeded' | 'failed' | 'to be retried' | 'in doubt'
  /** Code and message of a failure, without secrets. */
  readonly error?: { readonly message: string; readonly code?: string }
}

/** What the driver tells through; listeners that throw do no harm. */
export interface Observation {
  /** False when nobody wants to know of turns. */
  readonly tellsTurns: boolean
  /** False when nobody wants to know of attempts, or to be around them. */
  readonly tellsAttempts: boolean
  /** False when nobody wants to know of appends: what would be told is not gathered then. */
  readonly tellsAppends: boolean
  readonly begin: () => () => Pick<Span, 'startedAt' | 'durationMs'>
  readonly turn: (turn: TurnSpan) => void
  readonly append: (append: AppendSpan) => void
  readonly attempt: (attempt: AttemptSpan) => void
  readonly around: (attempt: AttemptIdentity, call: () => Promise<LogDraft>) => Promise<LogDraft>
}

/** Makes an observer safe to call. */
export function observation(observer: Observer, clock: Clock, warn: (warning: Error) => void): Observation {
  const safely = (tell: () => unknown): void => {
    try {
      const told = tell()
      if (told instanceof Promise) told.catch(warn)
    } catch (error) {
      warn(error as Error)
    }
  }
  const { onTurn, onAppend, onAttempt, aroundAttempt } = observer
  return {
    tellsTurns: onTurn !== undefined,
    tellsAttempts: onAttempt !== undefined || aroundAttempt !== undefined,
    tellsAppends: onAppend !== undefined,
    begin: () => {
      const startedAt = clock.now()
      const began = clock.monotonic()
      return () => ({ startedAt, durationMs: clock.monotonic() - began })
    },
    turn: (turn) => {
      safely(() => observer.onTurn?.(turn))
    },
    append: (append) => {
      safely(() => observer.onAppend?.(append))
    },
    attempt: (attempt) => {
      safely(() => observer.onAttempt?.(attempt))
    },
    around: (attempt, call) => {
      let called: Promise<LogDraft> | undefined
      const once = (): Promise<LogDraft> => (called ??= call())
      if (observer.aroundAttempt !== undefined) safely(() => observer.aroundAttempt?.(attempt, once))
      return once()
    },
  }
}

/** Tells of a turn that was appended, unless it has no events. */
export function tellTurn(
  observe: Pick<Observation, 'turn'>,
  { runId, definition: { name: workflow, version } }: Pick<DriveOptions, 'runId' | 'definition'>,
  { events, expectedHead }: Turn,
  span: Omit<Span, 'runId'>,
): void {
  if (events.length === 0) return
  observe.turn({ runId, workflow, version, fromSeq: expectedHead + 1, toSeq: expectedHead + events.length, ...span })
}

/** What is told of an append. */
export function appendFacts(
  events: readonly StoredEvent[],
  expectedHead: number,
): Pick<AppendSpan, 'fromSeq' | 'events' | 'bytes'> {
  const bytes = events.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0)
  return { fromSeq: expectedHead + 1, events: events.length, bytes }
}

/** What is told of the event that an attempt led to. */
export function outcomeOf(draft: LogDraft): Pick<AttemptSpan, 'outcome' | 'error'> {
  switch (draft.type) {
    case 'ActionFailed':
      return { outcome: 'failed', error: errorOf(draft.data.error) }
    case 'ActionAttemptFailed':
      return { outcome: 'to be retried', error: errorOf(draft.data.error) }
    case 'ActionInDoubt':
      return { outcome: 'in doubt', error: { message: draft.data.reason } }
    default:
      return { outcome: 'succeeded' }
  }
}

function errorOf({
  message,
  code,
}: {
  readonly message: string
  readonly code?: string | undefined
}): NonNullable<AttemptSpan['error']> {
  return { message, ...(code !== undefined && { code }) }
}
