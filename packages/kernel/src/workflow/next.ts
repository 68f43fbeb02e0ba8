import { KernelError } from '../errors.ts'
import type { ActionInput, Actions } from './action.ts'
import type { Complete, Emit, Fail, FailReason, Requests } from './decision.ts'
import type { Schema, SchemaInput } from './schema.ts'

/** A question's schemas: what is asked, and what counts as an answer. */
export interface InterruptSpec {
  readonly ask: Schema
  readonly answer: Schema
}

/** A workflow's questions by kind. */
export type Interrupts = Readonly<Record<string, InterruptSpec>>

/** The payloads of a workflow's own events, by name. */
export type DomainEvents = Readonly<Record<string, Schema>>

/** How a request is named. */
export interface RequestOptions {
  /** Names one item of the run. Default: the action's name, or the interrupt's kind. */
  readonly key?: string
}

/** Builds what a step answers. Every method is pure; nothing happens before the kernel has recorded the decision. */
export interface Next<A extends Actions, Q extends Interrupts, E extends DomainEvents> {
  /** An action should be in flight. */
  run<N extends keyof A & string>(action: N, ...rest: InputArguments<ActionInput<A[N]>>): Requests
  /** A question should be open. */
  interrupt<N extends keyof Q & string>(kind: N, ask: SchemaInput<Q[N]['ask']>, options?: RequestOptions): Requests
  /** All of these should be in flight, the first `concurrency` of them at once. Default: all. */
  all(requests: Iterable<Requests>, options?: { readonly concurrency?: number }): Requests
  /** Events for the workflow's own log; the step is asked again afterwards. */
  emit(...events: readonly EmittedEvent<E>[]): Emit
  /** The run ends well. Whatever is open is dropped. */
  complete<const O>(output: O): Complete<O>
  /** The run ends in failure. Whatever is open is dropped. */
  fail(error: string | FailReason): Fail
}

/** An event that a workflow may emit. */
export type EmittedEvent<E extends DomainEvents> =
  | { readonly type: 'StateUpdated'; readonly payload: unknown; readonly stepId?: string }
  | {
      [N in keyof E & string]: {
        readonly type: 'DomainEvent'
        readonly name: N
        readonly payload: SchemaInput<E[N]>
        readonly stepId?: string
      }
    }[keyof E & string]

type InputArguments<In> = [In] extends [null]
  ? [input?: null, options?: RequestOptions]
  : [input: In, options?: RequestOptions]

/** The one `next` that all steps share: it only builds values. */
export const next: Next<Actions, Interrupts, DomainEvents> = {
  run: (action, ...rest) => {
    const [input = null, options] = rest as [unknown?, RequestOptions?]
    return { kind: 'requests', of: [{ kind: 'action', key: options?.key ?? action, action, input }] }
  },
  interrupt: (kind, ask, options) => ({
    kind: 'requests',
    of: [{ kind: 'interrupt', key: options?.key ?? kind, interrupt: kind, value: ask }],
  }),
  all: (requests, options = {}) => {
    const { concurrency } = options
    if (concurrency !== undefined && (!Number.isInteger(concurrency) || concurrency < 1)) {
      throw new KernelError('INVALID_STEP', `concurrency must be a whole number from 1, got ${concurrency}`)
    }
    return { kind: 'requests', of: [...requests], ...(concurrency !== undefined && { concurrency }) }
  },
  emit: (...events) => ({ kind: 'emit', events }),
  complete: (output) => ({ kind: 'complete', output }),
  fail: (error) => ({ kind: 'fail', error: typeof error === 'string' ? { message: error } : error }),
}
