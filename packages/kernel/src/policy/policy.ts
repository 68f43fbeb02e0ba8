import { checkOptions, shown, type Json } from '@varve/store'
import { inDefinition, KernelError } from '../errors.ts'
import type { ErrorInfo } from '../log/event-data.ts'
import { isPlain } from '../secrets/replace.ts'
import type { Effect } from '../workflow/action.ts'

/**
 * What a kernel allows its workflows. All methods are pure functions of what they are given, which comes from the log: no
 * policy trusts a counter in memory. Verdicts are recorded, so another policy later changes nothing about a log.
 */
export interface Policy {
  /** Stands in `ActionDenied`. */
  readonly name: string
  /** Undefined lets the action pass; a denial is recorded and nothing is executed. */
  readonly authorize?: (request: AuthorizeRequest) => Denial | undefined
  /**
   * Undefined lets a retry pass that {@link retryInMs}, or the action itself, wants; a denial makes the failure final. Asked
   * when a retry is granted, and again when it is due.
   */
  readonly authorizeRetry?: (retry: RetryRequest) => Denial | undefined
  /** How long to wait before the next attempt, in ms; undefined when there shall be none. */
  readonly retryInMs?: (failure: AttemptFailure) => number | undefined
  /**
   * What an error means that does not say so itself, as an `ActionError` does; undefined when the policy does not know it.
   * `now` is the time of the failure, Unix milliseconds. An at-most-once action stays in doubt whatever its error is called.
   */
  readonly classify?: (error: unknown, now: number) => Classification | undefined
}

/** An action that a step asks for. */
export interface AuthorizeRequest {
  readonly runId: string
  readonly workflow: string
  /** The run's tags, as it was started with: whose it is, what it is for. */
  readonly tags: readonly string[]
  readonly key: string
  readonly action: string
  readonly input: Json
  readonly effect: Effect
  /** The action's own labels. */
  readonly tool?: string
  readonly provider?: string
  /** What the run has spent before this action. */
  readonly spent: Spent
  /** True when the action cleans up after a cancel. */
  readonly canceling: boolean
}

/** A retry, with what the run has spent without it: by the time at which it will be due, or is. */
export interface RetryRequest extends AuthorizeRequest {
  readonly error: ErrorInfo
  /** How many attempts of this action have failed. */
  readonly failures: number
}

/** What a run has spent, counted from its log. A run that continues another one goes on counting; children count for themselves. */
export interface Spent {
  /** Actions asked for, without those that were denied. */
  readonly requests: number
  /** Attempts begun, and retries granted. */
  readonly attempts: number
  /** How often the step decided upon something new, this time included. */
  readonly turns: number
  /** What handlers reported with `ctx.use`, by name. What attempts used whose outcome is not known is not counted. */
  readonly usage: Readonly<Record<string, number>>
  /** Time since the start, in ms. Time that a run was blocked counts, time before it was forked does not. */
  readonly wallClockMs: number
}

/** Which policy denied an action, and why. */
export interface Denial {
  readonly policy: string
  readonly reason: string
  /** Why, for code: the code of the error that the action ends with. Default `ACTION_DENIED`. */
  readonly code?: string | undefined
}

/** An attempt that failed. */
export interface AttemptFailure {
  readonly runId: string
  readonly key: string
  readonly action: string
  readonly error: ErrorInfo
  /** How many attempts of this action have failed, this one included. */
  readonly failures: number
}

/** Whether trying again may help, and when, in ms from now. */
export type Classification = Pick<ErrorInfo, 'kind' | 'retryAfterMs'>

/** Allows everything and retries nothing. */
export const allowAll: Policy = { name: 'allow-all' }

const METHODS = ['authorize', 'authorizeRetry', 'retryInMs', 'classify'] as const

/** @throws KernelError `INVALID_DEFINITION` for what is no policy: nothing would ever be asked of it, and it would allow everything. */
export function checkPolicy(policy: unknown): void {
  const given = (typeof policy === 'object' ? policy : undefined) as
    { readonly [F in keyof Policy]?: unknown } | undefined
  const methods = METHODS.filter((method) => given?.[method] !== undefined)
  const isAsked = methods.length > 0 || (given !== undefined && hasNoMethods(given))
  if (typeof given?.name === 'string' && isAsked && methods.every((method) => typeof given[method] === 'function'))
    return
  const text = `a policy must be an object with a name and at least one function of ${METHODS.join(', ')}, got ${shown(policy)}`
  throw new KernelError('INVALID_DEFINITION', `${text}; to allow everything, give allowAll`)
}

/** True for one that is meant to be asked nothing: a method under another name is most likely a misspelled one. */
function hasNoMethods(policy: object | null): boolean {
  return policy !== null && isPlain(policy) && Object.values(policy).every((part) => typeof part !== 'function')
}

/** What may be used. A list that is left out restricts nothing, an empty one denies all. */
export interface AllowListOptions {
  /** Names of actions. */
  readonly actions?: readonly string[]
  /** Labels. An action without the label is denied by a list of them. */
  readonly tools?: readonly string[]
  readonly providers?: readonly string[]
}

/**
 * Allows what is on all of the lists that are given, and denies everything else.
 *
 * @throws KernelError `INVALID_DEFINITION` without any list, for it would allow everything.
 */
export function allowList(options: AllowListOptions): Policy {
  const name = 'allow-list'
  inDefinition(() => checkOptions('the lists of allowList', options))
  const { actions, tools, providers, ...unknown } = options
  const lists = [
    listOf('action', actions, (request) => request.action),
    listOf('tool', tools, (request) => request.tool),
    listOf('provider', providers, (request) => request.provider),
  ].filter((list) => list !== undefined)
  if (lists.length === 0 || Object.keys(unknown).length > 0) {
    const text = `allowList takes actions, tools, providers, and at least one of them; got ${Object.keys(options).join(', ') || 'none'}`
    throw new KernelError('INVALID_DEFINITION', text)
  }
  return {
    name,
    authorize: (request) => {
      const reason = firstDefined(lists, (list) => list(request))
      return reason === undefined ? undefined : { policy: name, reason }
    },
  }
}

/** Why a request is denied, or undefined. */
type List = (request: AuthorizeRequest) => string | undefined

function listOf(
  what: 'action' | 'tool' | 'provider',
  names: readonly string[] | undefined,
  labelOf: (request: AuthorizeRequest) => string | undefined,
): List | undefined {
  if (names === undefined) return undefined
  if (!Array.isArray(names) || names.some((name) => typeof name !== 'string')) {
    throw new KernelError('INVALID_DEFINITION', `allowList: ${what}s must be a list of names`)
  }
  const allowed = new Set(names)
  return (request) => {
    const label = labelOf(request)
    if (label === undefined) return `${request.action} names no ${what}; give it the label ${what}`
    if (allowed.has(label)) return undefined
    return what === 'action' ? `${label} is not allowed` : `the ${what} ${label} is not allowed`
  }
}

/**
 * One policy made of several. It denies an action, or a retry, when any of them does; it retries as the first one that wants
 * to, and takes an error as the first one that knows it. So a budget stops what another policy would retry, wherever it stands.
 *
 * @throws KernelError `INVALID_DEFINITION` for one that is no policy.
 */
export function composePolicies(...policies: readonly Policy[]): Policy {
  for (const policy of policies) checkPolicy(policy)
  return {
    name: policies.map(({ name }) => name).join('+'),
    authorize: (request) => firstDefined(policies, (policy) => policy.authorize?.(request)),
    authorizeRetry: (retry) => firstDefined(policies, (policy) => policy.authorizeRetry?.(retry)),
    retryInMs: (failure) => firstDefined(policies, (policy) => policy.retryInMs?.(failure)),
    classify: (error, now) => firstDefined(policies, (policy) => policy.classify?.(error, now)),
  }
}

function firstDefined<T, U>(of: readonly T[], ask: (each: T) => U | undefined): U | undefined {
  for (const each of of) {
    const answer = ask(each)
    if (answer !== undefined) return answer
  }
  return undefined
}
