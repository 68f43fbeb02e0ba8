import { canonicalJson, sha256, type Json } from '@varve/store'
import type { LogDraft } from '../log/log-event.ts'
import { ActionError, errorInfoOf } from '../policy/action-error.ts'
import { retryDelay } from '../policy/retry.ts'
import type { AttemptFailure } from '../policy/policy.ts'
import type { OpenAction } from '../run/item.ts'
import type { ActionContext, AnyAction } from '../workflow/action.ts'
import type { Environment } from './environment.ts'

/** One try of an action. */
export interface Attempt {
  readonly runId: string
  readonly item: OpenAction
  readonly action: AnyAction
  readonly fencingToken: number
  readonly controller: AbortController
}

/**
 * Calls a handler once and turns what comes of it into the event to record. The handler is called synchronously, with
 * nothing awaited between the caller's last check and it.
 *
 * @throws what the policy throws; a handler that throws is an outcome.
 */
export async function runAttempt(env: Environment, attempt: Attempt): Promise<LogDraft> {
  const { key, attempt: number } = attempt.item
  try {
    const output = (await callHandler(env, attempt)) as Json | undefined
    return { type: 'ActionSucceeded', data: { key, output: output ?? null, attempts: number } }
  } catch (thrown) {
    return failedAttempt(env, attempt, thrown)
  }
}

/** The event for an attempt that threw: it is retried as the action's own options say, else as the policy says. */
function failedAttempt(env: Environment, { runId, item, action }: Attempt, thrown: unknown): LogDraft {
  const { key, attempt, failures } = item
  const error = errorInfoOf(thrown)
  const failure: AttemptFailure = { runId, key, action: item.action, error, failures: failures + 1 }
  const retryInMs = action.retry === undefined ? env.policy.retryInMs?.(failure) : retryDelay(action.retry, failure)
  if (retryInMs === undefined) return { type: 'ActionFailed', data: { key, error, attempts: attempt } }
  const retryAt = env.clock.now() + Math.max(0, retryInMs)
  return { type: 'ActionAttemptFailed', data: { key, attempt, error, retryAt } }
}

async function callHandler(env: Environment, { runId, item, action, ...rest }: Attempt): Promise<unknown> {
  const { controller, fencingToken } = rest
  const { signal } = controller
  const { key, attempt } = item
  const ctx: ActionContext = {
    ...{ runId, key, attempt, fencingToken, signal },
    idempotencyKey: sha256(canonicalJson([runId, key])),
  }
  // The handler gets a copy: what it does to its input must not reach a later attempt.
  const running = Promise.resolve(action.run(structuredClone(item.input) as never, ctx))
  const { timeoutMs } = action
  if (timeoutMs === undefined) return running
  const timedOut = new ActionError('transient', `no answer within ${timeoutMs} ms`, { code: 'TIMEOUT' })
  return new Promise((resolve, reject) => {
    const timer = env.clock.schedule(timeoutMs, () => {
      reject(timedOut)
      controller.abort(timedOut)
    })
    running.then(resolve, reject).finally(() => {
      timer.cancel()
    })
  })
}
