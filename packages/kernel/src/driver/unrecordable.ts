import { isStoreError } from '@varve/store'
import { isKernelError } from '../errors.ts'
import type { EventData } from '../log/event-data.ts'
import type { LogDraft } from '../log/log-event.ts'
import { errorInfoOf } from '../policy/action-error.ts'
import type { OpenAction } from '../run/item.ts'
import type { Redact } from '../secrets/redact.ts'

/** What is recorded besides. */
interface More extends Pick<EventData['ActionSucceeded'], 'by' | 'usage'> {
  readonly redact?: Redact | undefined
}

/** True when an answer is at fault, and not the store or the keys that were to keep it. */
export function isOfValue(error: unknown): boolean {
  return (
    isKernelError(error, 'INVALID_INPUT') || isStoreError(error, 'NOT_JSON') || isStoreError(error, 'LIMIT_EXCEEDED')
  )
}

/**
 * The event for an answer of a handler that the log cannot keep: a failure that says why. What must not happen twice has
 * happened, though, and a failure would have the step do without it: it is in doubt, until somebody says what came of it.
 */
export function unrecordable(
  { key, attempt, effect, inDoubt }: Pick<OpenAction, 'key' | 'attempt' | 'effect' | 'inDoubt'>,
  error: unknown,
  { redact, ...more }: More,
): LogDraft {
  const info = errorInfoOf(error, redact)
  if (effect === 'at-most-once' && !inDoubt)
    return { type: 'ActionInDoubt', data: { key, attempt, reason: info.message } }
  return { type: 'ActionFailed', data: { key, attempts: attempt, error: info, ...more } }
}
