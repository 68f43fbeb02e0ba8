import type { Json } from '@varve/store'
import type { ErrorInfo } from '../log/event-data.ts'

/**
 * What a kernel allows its workflows. Both methods are pure functions of what they are given, which all comes from the
 * log: no policy trusts a counter in memory.
 */
export interface Policy {
  /** Stands in `ActionDenied`. */
  readonly name: string
  /** Undefined lets the action pass; a denial is recorded and nothing is executed. */
  readonly authorize?: (request: AuthorizeRequest) => Denial | undefined
  /** How long to wait before the next attempt, in ms; undefined when there shall be none. */
  readonly retryInMs?: (failure: AttemptFailure) => number | undefined
}

/** An action that a step asks for. */
export interface AuthorizeRequest {
  readonly runId: string
  readonly workflow: string
  readonly key: string
  readonly action: string
  readonly input: Json
}

/** Which policy denied an action, and why. */
export interface Denial {
  readonly policy: string
  readonly reason: string
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

/** Allows everything and retries nothing. */
export const allowAll: Policy = { name: 'allow-all' }

/** Allows the named actions and denies every other; an empty list denies all. */
export function allowList(options: { readonly actions: readonly string[] }): Policy {
  const name = 'allow-list'
  const allowed = new Set(options.actions)
  return {
    name,
    authorize: ({ action }) => (allowed.has(action) ? undefined : { policy: name, reason: `${action} is not allowed` }),
  }
}

/** Denies what any of the policies denies, and retries as the first one that wants to. */
export function composePolicies(...policies: readonly Policy[]): Policy {
  return {
    name: policies.map(({ name }) => name).join('+'),
    authorize: (request) => firstDefined(policies, (policy) => policy.authorize?.(request)),
    retryInMs: (failure) => firstDefined(policies, (policy) => policy.retryInMs?.(failure)),
  }
}

function firstDefined<T>(policies: readonly Policy[], ask: (policy: Policy) => T | undefined): T | undefined {
  for (const policy of policies) {
    const answer = ask(policy)
    if (answer !== undefined) return answer
  }
  return undefined
}
