import type { ErrorInfo } from '../log/event-data.ts'
import { textOf } from '../errors.ts'

/** Whether trying again may help. */
export type FailureKind = ErrorInfo['kind']

/** What a handler may say about its failure. */
export interface ActionErrorOptions {
  /** Machine-readable reason, recorded with the failure. */
  readonly code?: string
  /** How long to wait before the next attempt, in ms; capped by the retry options. */
  readonly retryAfterMs?: number
  /** True when nothing was executed for certain: the only failure after which an at-most-once action may be tried again. */
  readonly notExecuted?: boolean
  readonly cause?: unknown
}

/** A failure of an action that says whether trying again may help. An error of any class counts as its `kind` says; without one as `permanent`. */
export class ActionError extends Error {
  readonly kind: FailureKind
  readonly code: string | undefined
  readonly retryAfterMs: number | undefined
  readonly notExecuted: boolean

  constructor(kind: FailureKind, message: string, options: ActionErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ActionError'
    this.kind = kind
    this.code = options.code
    this.retryAfterMs = options.retryAfterMs
    this.notExecuted = options.notExecuted === true
  }
}

const KINDS: ReadonlySet<unknown> = new Set<FailureKind>(['transient', 'permanent', 'rate-limited'])
const MAX_MESSAGE = 4000
const MAX_NAME = 200

/** A thrown value as it stands in the log: no stack, no cause, without secrets, bounded, well-formed text. */
export function errorInfoOf(thrown: unknown, redact = (text: string): string => text): ErrorInfo {
  // Before anything is cut off: half a secret would not be found.
  const message = cut(redact(textOf(thrown)), MAX_MESSAGE)
  const { name, code, kind, retryAfterMs } = fieldsOf(thrown)
  return {
    message,
    // Recognised by its fields, so that an error from a second installed copy counts.
    kind: KINDS.has(kind) ? (kind as FailureKind) : 'permanent',
    ...(typeof name === 'string' && name !== '' && name !== 'Error' && { name: cut(redact(name), MAX_NAME) }),
    ...(typeof code === 'string' && { code: cut(redact(code), MAX_NAME) }),
    ...(isHint(retryAfterMs) && { retryAfterMs: boundedHint(retryAfterMs) }),
  }
}

/** True for a time to wait that makes sense. */
export function isHint(ms: unknown): ms is number {
  return typeof ms === 'number' && ms >= 0 && Number.isFinite(ms)
}

/** No longer than the log can hold. */
export function boundedHint(ms: number): number {
  return Math.min(ms, Number.MAX_SAFE_INTEGER)
}

/** Well-formed after the cut, too, which may go through a surrogate pair. */
function cut(text: string, length: number): string {
  return text.slice(0, length).toWellFormed()
}

/** True for an error that says itself whether trying again may help. */
export function hasKind(thrown: unknown): boolean {
  return KINDS.has(fieldsOf(thrown).kind)
}

/** True for an error that says that nothing was executed. */
export function saysNotExecuted(thrown: unknown): boolean {
  return fieldsOf(thrown).notExecuted === true
}

type Fields = Readonly<Record<'name' | 'code' | 'kind' | 'retryAfterMs' | 'notExecuted', unknown>>

const NO_FIELDS: Fields = {
  name: undefined,
  code: undefined,
  kind: undefined,
  retryAfterMs: undefined,
  notExecuted: undefined,
}

/** Anything may be thrown, even an object whose fields throw in their turn. */
function fieldsOf(thrown: unknown): Fields {
  if (typeof thrown !== 'object' || thrown === null) return NO_FIELDS
  try {
    const { name, code, kind, retryAfterMs, notExecuted } = thrown as Fields
    return { name, code, kind, retryAfterMs, notExecuted }
  } catch {
    return NO_FIELDS
  }
}
