import { canonicalJson, sha256, type Json } from '@varve/store'
import type { Timer } from '../clock.ts'
import type { ErrorInfo } from '../log/event-data.ts'
import type { LogDraft } from '../log/log-event.ts'
import { ActionError, errorInfoOf, hasKind, saysNotExecuted } from '../policy/action-error.ts'
import { askPolicy, classificationOf } from '../policy/ask-policy.ts'
import type { AttemptFailure } from '../policy/policy.ts'
import { retryDelay } from '../policy/retry.ts'
import { usageMeter, type UsageMeter } from '../policy/usage-meter.ts'
import type { OpenAction } from '../run/item.ts'
import type { ActionContext, AnyAction, Reconciliation } from '../workflow/action.ts'
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
  const { key, attempt: attempts } = attempt.item
  const meter = usageMeter({ runId: attempt.runId, key }, env.warn)
  try {
    const output = (await callHandler(env, attempt, meter)) as Json | undefined
    return { type: 'ActionSucceeded', data: { key, output: output ?? null, attempts, ...meter.close() } }
  } catch (thrown) {
    return failedAttempt(env, attempt, thrown, meter.close())
  }
}

/**
 * The event for an attempt that threw. It is retried as the action's own options say, else as the policy says; an
 * at-most-once action only when its error says that nothing was executed, and any other of its errors tells nothing.
 */
function failedAttempt(
  env: Environment,
  { runId, item, action }: Attempt,
  thrown: unknown,
  used: ReturnType<UsageMeter['close']>,
): LogDraft {
  const { key, attempt, failures } = item
  if (item.effect === 'at-most-once' && !saysNotExecuted(thrown)) {
    return { type: 'ActionInDoubt', data: { key, attempt, reason: errorInfoOf(thrown).message } }
  }
  const error = classified(env, thrown)
  const failure: AttemptFailure = { runId, key, action: item.action, error, failures: failures + 1 }
  const retryInMs = action.retry === undefined ? policyDelay(env, failure) : retryDelay(action.retry, failure)
  if (retryInMs === undefined) return { type: 'ActionFailed', data: { key, error, attempts: attempt, ...used } }
  const retryAt = env.clock.now() + Math.max(0, retryInMs)
  return { type: 'ActionAttemptFailed', data: { key, attempt, error, retryAt, ...used } }
}

/** What the error says of itself counts; else what the policy knows of it. @throws KernelError `POLICY_FAILED`. */
function classified({ policy, clock }: Environment, thrown: unknown): ErrorInfo {
  const error = errorInfoOf(thrown)
  if (hasKind(thrown) || policy.classify === undefined) return error
  const known = askPolicy(policy, () => classificationOf(policy.classify?.(thrown, clock.now())))
  return known === undefined ? error : { ...error, ...known }
}

/** @throws KernelError `POLICY_FAILED`. */
function policyDelay({ policy }: Environment, failure: AttemptFailure): number | undefined {
  return askPolicy(policy, () => {
    const ms = policy.retryInMs?.(failure)
    if (ms === undefined || (typeof ms === 'number' && Number.isFinite(ms))) return ms
    throw new TypeError('retryInMs must answer undefined or a number of ms')
  })
}

/**
 * Asks the other side what became of an attempt in doubt.
 *
 * @returns the event to record; undefined when the answer settles nothing.
 */
export async function reconcileAttempt(env: Environment, attempt: Attempt): Promise<LogDraft | undefined> {
  const { item, action } = attempt
  const { key, attempt: attempts } = item
  const meter = usageMeter({ runId: attempt.runId, key }, env.warn)
  try {
    const answer: Reconciliation | undefined = await action.reconcile?.(
      inputOf(item),
      contextOf(attempt, meter, () => undefined),
    )
    const used = meter.close()
    const by = 'reconcile'
    switch (answer?.status) {
      case 'succeeded':
        return {
          type: 'ActionSucceeded',
          data: { key, attempts, output: (answer.output ?? null) as Json, by, ...used },
        }
      case 'failed':
        return {
          type: 'ActionFailed',
          data: { key, attempts, error: { message: answer.message, kind: 'permanent' }, by, ...used },
        }
      case 'not-executed':
        return action.fenced === true
          ? { type: 'ActionAttemptStarted', data: { key, attempt: attempts + 1 } }
          : undefined
      default:
        return undefined
    }
  } catch (thrown) {
    env.warn(thrown as Error)
    return undefined
  }
}

async function callHandler(env: Environment, attempt: Attempt, meter: UsageMeter): Promise<unknown> {
  const { item, action, controller } = attempt
  const { timeoutMs } = action
  if (timeoutMs === undefined)
    return action.run(
      inputOf(item),
      contextOf(attempt, meter, () => undefined),
    )
  return new Promise((resolve, reject) => {
    let timer: Timer | undefined
    let over = false
    const stop = (): void => {
      over = true
      timer?.cancel()
    }
    const expire = (): void => {
      const timedOut = new ActionError('transient', `no answer within ${timeoutMs} ms`, { code: 'TIMEOUT' })
      reject(timedOut)
      controller.abort(timedOut)
    }
    const heartbeat = (): void => {
      if (over) return
      timer?.cancel()
      timer = env.clock.schedule(timeoutMs, expire)
    }
    // A handler that was told to stop has all the time it needs, and keeps no process alive.
    controller.signal.addEventListener('abort', stop, { once: true })
    heartbeat()
    const running = async (): Promise<unknown> => action.run(inputOf(item), contextOf(attempt, meter, heartbeat))
    running().then(resolve, reject).finally(stop)
  })
}

function contextOf(
  { runId, item, fencingToken, controller }: Attempt,
  { use }: UsageMeter,
  heartbeat: () => void,
): ActionContext {
  const { key, attempt } = item
  const { signal } = controller
  const idempotencyKey = sha256(canonicalJson([runId, key]))
  return { ...{ runId, key, attempt, fencingToken, signal, idempotencyKey }, heartbeat, use }
}

/** A copy: what a handler does to its input must not reach a later attempt. */
function inputOf(item: OpenAction): never {
  return structuredClone(item.input) as never
}
