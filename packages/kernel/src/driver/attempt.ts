import { canonicalJson, sha256, shown, type Json } from '@varve/store'
import type { Clock, Timer } from '../clock.ts'
import { KernelError, textOf } from '../errors.ts'
import { copyJson } from '../log/copy-json.ts'
import { detach } from '../log/detach.ts'
import type { ErrorInfo } from '../log/event-data.ts'
import type { LogDraft } from '../log/log-event.ts'
import { ActionError, errorInfoOf, hasKind, saysNotExecuted } from '../policy/action-error.ts'
import { askPolicy, classificationOf } from '../policy/ask-policy.ts'
import type { AttemptFailure } from '../policy/policy.ts'
import { retryDelay } from '../policy/retry.ts'
import { usageMeter, type UsageMeter } from '../policy/usage-meter.ts'
import type { OpenAction } from '../run/item.ts'
import { derivedRandom } from '../stepper/step-context.ts'
import type { OpenedInput } from '../secrets/opening.ts'
import { outputDraft, withoutSecrets } from '../secrets/output.ts'
import type { Redact } from '../secrets/redact.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import type { ActionContext, AnyAction, InquiryContext, Reconciliation } from '../workflow/action.ts'
import { attemptArtifacts } from './attempt-artifacts.ts'
import { Ending } from './ending.ts'
import type { Environment } from './environment.ts'
import type { FactDesk } from './fact-desk.ts'
import { heartbeatOf } from './heartbeat.ts'
import type { Lease } from './lease.ts'
import { checkRecordable } from './recordable.ts'

/** One try of an action. */
export interface Attempt {
  readonly runId: string
  readonly workflow: string
  readonly item: OpenAction
  readonly action: AnyAction
  readonly fencingToken: number
  readonly controller: AbortController
  /** The run's, for what is derived from it. */
  readonly seed: string
  readonly facts: FactDesk
  /** What it runs under. */
  readonly lease: () => Lease | undefined
  /** There when the input refers to secrets. */
  readonly opened?: OpenedInput
}

/**
 * Calls a handler once and turns what comes of it into the event to record. The handler is called synchronously, with
 * nothing awaited between the caller's last check and it.
 *
 * @throws what the policy throws, and what keeps a secret of the output from being kept; a handler that throws is an outcome.
 */
export async function runAttempt(env: Environment, attempt: Attempt): Promise<LogDraft> {
  const { runId, item } = attempt
  const meter = usageMeter({ runId, key: item.key }, env.warn, attempt.opened?.redact)
  const over = new Ending()
  let output: unknown
  try {
    output = await callHandler(env, attempt, { meter, over })
  } catch (thrown) {
    return failedAttempt(env, attempt, thrown, meter.close())
  } finally {
    over.end(() => {
      const text = `the attempt of ${item.key} of run ${runId} is over`
      return new KernelError('NOT_OPEN', text, { runId, key: item.key })
    })
  }
  return outputDraft(env, attempt, output, meter.close())
}

/** What is the call's own. */
interface Call {
  readonly meter: UsageMeter
  /** The end of the attempt, however it came. */
  readonly over: Ending
}

/**
 * The event for an attempt that threw. It is retried as the action's own options say, else as the policy says; an
 * at-most-once action only when its error says that nothing was executed, and any other of its errors tells nothing.
 */
export function failedAttempt(
  env: Environment,
  { runId, item, action, opened }: Omit<Attempt, 'controller'>,
  thrown: unknown,
  used: ReturnType<UsageMeter['close']> = {},
): LogDraft {
  const { key, attempt, failures } = item
  const redact = opened?.redact
  if (item.effect === 'at-most-once' && !saysNotExecuted(thrown)) {
    return { type: 'ActionInDoubt', data: { key, attempt, reason: errorInfoOf(thrown, redact).message } }
  }
  const error = classified(env, thrown, redact)
  const failure: AttemptFailure = { runId, key, action: item.action, error, failures: failures + 1 }
  const retryInMs = action.retry === undefined ? policyDelay(env, failure) : retryDelay(action.retry, failure)
  if (retryInMs === undefined) return { type: 'ActionFailed', data: { key, error, attempts: attempt, ...used } }
  const retryAt = Math.ceil(env.clock.now() + Math.max(0, retryInMs))
  return { type: 'ActionAttemptFailed', data: { key, attempt, error, retryAt, ...used } }
}

/** What the error says of itself counts; else what the policy knows of it. @throws KernelError `POLICY_FAILED`. */
function classified({ policy, clock }: Environment, thrown: unknown, redact: Redact | undefined): ErrorInfo {
  const error = errorInfoOf(thrown, redact)
  if (hasKind(thrown) || policy.classify === undefined) return error
  const known = askPolicy(policy, () => classificationOf(policy.classify?.(thrown, clock.now())), redact)
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
  const { item, action, opened } = attempt
  const { key, attempt: attempts } = item
  const redact = opened?.redact ?? ((text: string) => text)
  const meter = usageMeter({ runId: attempt.runId, key }, env.warn, redact)
  try {
    const answer: Reconciliation | undefined = await action.reconcile?.(
      inputOf(attempt),
      inquiryContextOf(attempt, meter, () => undefined),
    )
    const used = meter.close()
    const by = 'reconcile'
    switch (answer?.status) {
      case 'succeeded':
        return recordable(env, succeeded(await outputDraft(env, attempt, answer.output, { by, ...used })))
      case 'failed': {
        const error = { message: messageOf(answer, opened?.redact), kind: 'permanent' } as const
        return recordable(env, { type: 'ActionFailed', data: { key, attempts, error, by, ...used } })
      }
      case 'not-executed':
        if (action.fenced !== true)
          throw unusable(answer, 'of an action that is not fenced: true nothing follows from it')
        return { type: 'ActionAttemptStarted', data: { key, attempt: attempts + 1 } }
      case 'unknown':
        return undefined
      default:
        throw unusable(answer, 'answer succeeded, failed, unknown or not-executed')
    }
  } catch (thrown) {
    env.warn(unsettled(attempt, redact(textOf(thrown)), opened === undefined ? { cause: thrown } : {}))
    return undefined
  }
}

/** What keeps an action in doubt has to be told to somebody, who may not know which run it is about. */
function unsettled({ runId, item: { action, key } }: Attempt, why: string, options: ErrorOptions): Error {
  const text = `reconcile of ${action} has not settled ${key} of run ${runId}, which is in doubt until kernel.settle says what happened`
  return new Error(`${text}: ${why}`, options)
}

function unusable(answer: unknown, why: string): KernelError {
  const { status } = Object(answer) as { readonly status?: unknown }
  return new KernelError('INVALID_INPUT', `it answered ${shown(status)}; ${why}`)
}

/** As that of any other failure: cut where it is too long, and without half characters. */
function messageOf({ message }: { readonly message: unknown }, redact: Redact | undefined): string {
  if (typeof message === 'string') return errorInfoOf(new Error(message), redact).message
  throw new KernelError('INVALID_INPUT', `the message of a failure must be a text, got ${shown(message)}`)
}

/** @throws why what was answered is recorded as something else. */
function succeeded(draft: LogDraft): LogDraft {
  if (draft.type === 'ActionFailed') throw new KernelError('INVALID_INPUT', draft.data.error.message)
  return draft
}

/**
 * An answer as it is recorded, whatever becomes of the object that was given. One that cannot be settles nothing: the doubt is as
 * it was.
 *
 * @throws why.
 */
function recordable(env: Environment, draft: LogDraft): LogDraft {
  const data = detach(env, draft.data, 'answer of reconcile')
  checkRecordable(env, draft.type, data as object, 'answer of reconcile')
  return { ...draft, data } as LogDraft
}

function callHandler(env: Environment, attempt: Attempt, call: Call): unknown {
  const { action, controller } = attempt
  const { timeoutMs } = action
  if (timeoutMs === undefined)
    return action.run(
      inputOf(attempt),
      contextOf(env, attempt, call, () => undefined),
    )
  return new Promise((resolve, reject) => {
    let timer: Timer | undefined
    let dueAt = Infinity
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
    const restart = (): void => {
      if (over) return
      timer?.cancel()
      const now = env.clock.monotonic()
      // A handler that computes keeps the timer from coming.
      if (now >= dueAt) {
        expire()
        return
      }
      dueAt = now + timeoutMs
      timer = env.clock.schedule(timeoutMs, expire)
    }
    // A handler that was told to stop has all the time it needs, and keeps no process alive.
    controller.signal.addEventListener('abort', stop, { once: true })
    restart()
    const running = async (): Promise<unknown> => action.run(inputOf(attempt), contextOf(env, attempt, call, restart))
    running().then(resolve, reject).finally(stop)
  })
}

function inquiryContextOf(
  { runId, item, fencingToken, controller, lease }: Attempt,
  { use }: UsageMeter,
  restart: () => void,
): InquiryContext {
  const { key, attempt } = item
  const { signal } = controller
  const heartbeat = heartbeatOf({ restart, lease, signal })
  return withIdempotencyKey({ runId, key, attempt, fencingToken, signal, heartbeat, use })
}

/**
 * Most handlers need no key: nothing is hashed for them. A getter that is written into each object literal takes longer than
 * all the rest of a context together; one that all contexts share does not.
 */
function withIdempotencyKey<T extends Pick<InquiryContext, 'runId' | 'key'>>(
  context: T,
): T & Pick<InquiryContext, 'idempotencyKey'> {
  return Object.defineProperty(context, 'idempotencyKey', IDEMPOTENCY_KEY) as never
}

const IDEMPOTENCY_KEY: PropertyDescriptor & ThisType<InquiryContext> = {
  get() {
    return sha256(canonicalJson([this.runId, this.key]))
  },
  enumerable: true,
  configurable: true,
}

function contextOf(env: Environment, attempt: Attempt, { meter, over }: Call, restart: () => void): ActionContext {
  const { item, facts, seed } = attempt
  const { runId, controller, fencingToken, lease } = attempt
  const { key } = item
  const { signal } = controller
  let open: AbortSignal | undefined
  const whileOpen = (): AbortSignal => (open ??= AbortSignal.any([signal, over.signal]))
  const ask: FactDesk['ask'] = async (asker, key, read, options) => {
    checkKeyHasNoSecret(attempt, key)
    const clean = (value: unknown): Json => withoutSecrets(env, attempt, value ?? null, `fact ${key}`)
    const cleanRead = async (): Promise<Json> => clean(await read())
    return facts.ask(asker, key, cleanRead, options && { ...options, request: clean(options.request) })
  }
  const fact: ActionContext['fact'] = (key, read, options) => {
    const value = ask({ actionKey: item.key, signal: whileOpen() }, key, read, options)
    // A handler that does not wait for its fact must not bring its process down.
    value.catch(() => undefined)
    return value as never
  }
  let time: (() => number) | undefined
  const artifacts = attemptArtifacts(env, {
    ...{ runId, key, signal: whileOpen },
    clean: (value) => withoutSecrets(env, attempt, value, 'artifact'),
    secrets: attempt.opened?.spellings ?? [],
  })
  let draws: ReturnType<typeof derivedRandom> | undefined
  const derived = (): typeof draws & {} => (draws ??= derivedRandom(seed, context.idempotencyKey))
  const context = withIdempotencyKey({
    runId,
    key,
    attempt: item.attempt,
    fencingToken,
    signal,
    heartbeat: heartbeatOf({ restart, lease, signal }),
    use: meter.use,
    fact,
    artifacts,
    now: () => (time ??= goingOn(env.clock))(),
    random: () => derived().random(),
    uuid: () => derived().uuid(),
  })
  return context
}

/** The time from now on, however the clocks are set meanwhile. Most handlers do not ask for it. */
function goingOn(clock: Clock): () => number {
  const startedAt = clock.now()
  const began = clock.monotonic()
  return () => startedAt + Math.floor(clock.monotonic() - began)
}

/** With the secret taken out, two keys could become one. @throws KernelError `INVALID_INPUT`. */
function checkKeyHasNoSecret({ runId, item, opened }: Attempt, key: unknown): void {
  if (opened === undefined || typeof key !== 'string' || opened.redact(key) === key) return
  const text = `a key of a fact in ${item.key} of run ${runId} holds a secret of its input, and would be recorded; name the fact otherwise`
  throw new KernelError('INVALID_INPUT', text, { runId, key: item.key })
}

/** What to call for an item. @throws KernelError `UNKNOWN_ACTION`. */
export function actionOf({ name, actions }: Definition, { action, key }: OpenAction): AnyAction {
  const found = actions[action]
  if (found !== undefined) return found
  throw new KernelError('UNKNOWN_ACTION', `${name} defines no action ${action}`, { key })
}

/** A copy: what a handler does to its input must not reach a later attempt. */
function inputOf({ item, opened }: Attempt): never {
  return copyJson(opened?.input ?? item.request.input) as never
}
