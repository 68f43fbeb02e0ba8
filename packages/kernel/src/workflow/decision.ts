import type { NullForVoid } from './json-check.ts'

/** What a step answers: what should be in flight now, events of its own, or the end. */
export type Decision<Output = unknown> = Requests | Emit | Complete<Output> | Fail | Continue

/** Things that should be in flight, in order. Made by `next.run`, `next.sleep`, `next.waitFor`, `next.interrupt`, `next.child`, `next.all`. */
export interface Requests {
  readonly kind: 'requests'
  readonly of: readonly (ItemRequest | Requests)[]
  /** How many of them may be open at once. */
  readonly concurrency?: number
}

/** One thing that should be in flight. */
export type ItemRequest = ActionRequest | TimerRequest | WaitRequest | InterruptRequest | ChildRequest

/** An action that should run. */
export interface ActionRequest {
  readonly kind: 'action'
  readonly key: string
  readonly action: string
  readonly input: unknown
}

/** A question that should be asked. */
export interface InterruptRequest {
  readonly kind: 'interrupt'
  readonly key: string
  readonly interrupt: string
  readonly value: unknown
  readonly expiresInMs?: number
}

/** A time that should pass. */
export interface TimerRequest {
  readonly kind: 'timer'
  readonly key: string
  readonly ms: number
}

/** A signal that should be waited for. */
export interface WaitRequest {
  readonly kind: 'wait'
  readonly key: string
  readonly signal: string
  readonly timeoutMs?: number
}

/** Another run that should be started and waited for. */
export interface ChildRequest {
  readonly kind: 'child'
  readonly key: string
  readonly workflow: string
  readonly version?: string
  readonly input: unknown
}

/** Events that the workflow adds to its own log. */
export interface Emit {
  readonly kind: 'emit'
  readonly events: readonly UserEvent[]
}

/** An event that a step may emit; every other type is the kernel's. */
export type UserEvent =
  | { readonly type: 'StateUpdated'; readonly payload: unknown; readonly stepId?: string }
  | { readonly type: 'DomainEvent'; readonly name: string; readonly payload: unknown; readonly stepId?: string }

/** The run ends well. */
export interface Complete<Output = unknown> {
  readonly kind: 'complete'
  readonly output: Output
}

/** The run ends in failure. */
export interface Fail {
  readonly kind: 'fail'
  readonly error: FailReason
}

/** The run ends here and goes on in a new one, with an empty log. */
export interface Continue {
  readonly kind: 'continue'
  readonly input: unknown
  readonly version?: string
}

/** Why a run fails; `details` of other errors are kept out of the log. */
export interface FailReason {
  readonly message: string
  readonly code?: string
}

/** The output of a step's decisions, as it is recorded. */
export type OutputOf<D> = D extends { readonly kind: 'complete'; readonly output: infer O } ? NullForVoid<O> : never
