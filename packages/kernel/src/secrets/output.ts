import type { Json } from '@varve/store'
import type { Environment } from '../driver/environment.ts'
import { isOfValue, unrecordable } from '../driver/unrecordable.ts'
import { detach } from '../log/detach.ts'
import type { EventData } from '../log/event-data.ts'
import type { LogDraft } from '../log/log-event.ts'
import type { OpenAction } from '../run/item.ts'
import { enter, keepSecrets } from './entering.ts'
import type { OpenedInput } from './opening.ts'
import { redactJson } from './redact.ts'

/** Whose output it is. */
interface Origin {
  readonly runId: string
  readonly item: Pick<OpenAction, 'key' | 'attempt' | 'effect' | 'inDoubt'>
  readonly opened?: OpenedInput
}

/** What else is recorded of it. */
type More = Pick<EventData['ActionSucceeded'], 'by' | 'usage'>

/**
 * The event for what a handler answered. What it marked as secret is kept first; a secret of its input that it answers
 * unmarked is taken out. For an answer that cannot be recorded see {@link unrecordable}.
 *
 * @throws KernelError `SECRET_KEY_MISSING`, or what the store throws: the answer is lost then, as if the process had died.
 */
export function outputDraft(
  env: Environment,
  origin: Origin,
  output: unknown,
  more: More,
): LogDraft | Promise<LogDraft> {
  const { key, attempt: attempts } = origin.item
  try {
    const { value, secrets } = enter(env, output ?? null, 'output')
    const draft: LogDraft = {
      type: 'ActionSucceeded',
      data: { ...more, attempts, key, output: withoutSecrets(env, origin, value, 'output') },
    }
    if (secrets.length === 0) return draft
    return keepSecrets(env, secrets).then(
      () => draft,
      (error: unknown) => refused(origin, error, more),
    )
  } catch (error) {
    return refused(origin, error, more)
  }
}

function refused({ item, opened }: Origin, error: unknown, more: More): LogDraft {
  if (!isOfValue(error)) throw error
  return unrecordable(item, error, { ...more, redact: opened?.redact })
}

/**
 * A value as it may be recorded: a secret of the attempt's input that it holds unmarked is taken out, with a warning.
 *
 * @throws StoreError `NOT_JSON` | `LIMIT_EXCEEDED`.
 */
export function withoutSecrets(env: Environment, { runId, item, opened }: Origin, value: unknown, what: string): Json {
  if (opened === undefined) return value as Json
  const recorded = detach(env, value, what)
  const clean = redactJson(recorded, opened)
  if (clean !== recorded) {
    const remedy = what === 'output' ? '; return secret(value) to pass it on' : ''
    env.warn(
      new Error(
        `the ${what} of ${item.key} of run ${runId} holds a secret of its input, which is not recorded${remedy}`,
      ),
    )
  }
  return clean
}
