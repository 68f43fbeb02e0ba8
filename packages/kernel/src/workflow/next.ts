import { shown } from '@varve/store'
import { KernelError } from '../errors.ts'
import { A_SPAN, isSpan } from '../time-span.ts'
import type { ActionInput } from './action.ts'
import type { Complete, Continue, Emit, Fail, FailReason, Requests } from './decision.ts'
import type { Workflow } from './define-workflow.ts'
import type { WorkflowTypes } from './reduce-event.ts'
import type { WithSecrets } from '../secrets/secret.ts'
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

/** A workflow's signals: the schema of each one's value, by name. */
export type Signals = Readonly<Record<string, Schema>>

/** How a request is named. */
export interface RequestOptions {
  /** Names one item of the run. Default: the action's name, or the interrupt's kind. */
  readonly key?: string
}

/** Builds what a step answers. Every method is pure; nothing happens before the kernel has recorded the decision. */
export interface Next<T extends WorkflowTypes> {
  /** An action should be in flight. */
  run<N extends keyof T['actions'] & string>(action: N, ...rest: InputArguments<ActionInput<T['actions'][N]>>): Requests
  /** A question should be open. */
  interrupt<N extends keyof T['interrupts'] & string>(
    kind: N,
    ask: SchemaInput<T['interrupts'][N]['ask']>,
    options?: RequestOptions & { readonly expiresInMs?: number },
  ): Requests
  /** This much time should pass, in ms. Default key `sleep`. */
  sleep(ms: number, options?: RequestOptions): Requests
  /** A signal of this name should come; one that came before counts. After `timeoutMs` the wait closes without it. */
  waitFor(signal: keyof T['signals'] & string, options?: RequestOptions & { readonly timeoutMs?: number }): Requests
  /** Another workflow should run, as a run of its own. Default key: its name; default version: the newest registered. */
  child<In>(
    workflow: Workflow<In>,
    input: NoInfer<In>,
    options?: RequestOptions & { readonly version?: string },
  ): Requests
  /** All of these should be in flight, the first `concurrency` of them at once. Default: all. */
  all(requests: Iterable<Requests>, options?: { readonly concurrency?: number }): Requests
  /** Events for the workflow's own log; the step is asked again afterwards. */
  emit(...events: readonly EmittedEvent<T['events']>[]): Emit
  /** The run ends well. Whatever is open is dropped. */
  complete<const O>(output: O): Complete<O>
  /** The run ends in failure. Whatever is open is dropped. */
  fail(error: string | FailReason): Fail
  /**
   * The run ends here and goes on as a new run with this input and the newest registered version. Its log begins with the signals that no
   * wait has taken.
   */
  continueAsNew(input: T['start'], options?: { readonly version?: string }): Continue
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
  : [input: WithSecrets<In>, options?: RequestOptions]

/** The one `next` that all steps share: it only builds values. */
export const next: Next<WorkflowTypes> = {
  run: (action, ...rest) => {
    const [input = null, options] = rest as [unknown?, RequestOptions?]
    return { kind: 'requests', of: [{ kind: 'action', key: options?.key ?? action, action, input }] }
  },
  interrupt: (kind, ask, { key = kind, expiresInMs } = {}) => {
    const expiry = expiresInMs !== undefined && { expiresInMs: delay('expiresInMs', expiresInMs) }
    return { kind: 'requests', of: [{ kind: 'interrupt', key, interrupt: kind, value: ask, ...expiry }] }
  },
  sleep: (ms, { key = 'sleep' } = {}) => ({ kind: 'requests', of: [{ kind: 'timer', key, ms: delay('ms', ms) }] }),
  waitFor: (signal, { key = signal, timeoutMs } = {}) => {
    const timeout = timeoutMs !== undefined && { timeoutMs: delay('timeoutMs', timeoutMs) }
    return { kind: 'requests', of: [{ kind: 'wait', key, signal, ...timeout }] }
  },
  child: (workflow, input, options = {}) => {
    const name = nameOf(workflow)
    const { key = name, version } = options
    const pinned = version !== undefined && { version }
    return { kind: 'requests', of: [{ kind: 'child', key, workflow: name, input, ...pinned }] }
  },
  all: (requests, options = {}) => {
    const { concurrency } = options
    if (concurrency !== undefined && (!Number.isInteger(concurrency) || concurrency < 1)) {
      throw new KernelError('INVALID_STEP', `concurrency must be a whole number from 1, got ${shown(concurrency)}`)
    }
    if (typeof (Object(requests) as Partial<Iterable<unknown>>)[Symbol.iterator] !== 'function') {
      throw new KernelError('INVALID_STEP', `next.all takes a list of requests, got ${shown(requests)}`)
    }
    return { kind: 'requests', of: [...requests], ...(concurrency !== undefined && { concurrency }) }
  },
  emit: (...events) => ({ kind: 'emit', events }),
  complete: (output) => ({ kind: 'complete', output }),
  continueAsNew: (input, { version } = {}) => ({ kind: 'continue', input, ...(version !== undefined && { version }) }),
  fail: (error) => ({ kind: 'fail', error: reasonOf(error) }),
}

function nameOf(workflow: { readonly name: unknown } | undefined): string {
  const { name } = (typeof workflow === 'object' ? Object(workflow) : {}) as { readonly name?: unknown }
  if (typeof name === 'string') return name
  throw new KernelError('INVALID_STEP', `next.child takes a workflow, got ${shown(workflow)}`)
}

/** A failure without a message would tell nobody why. */
function reasonOf(error: string | FailReason): FailReason {
  if (typeof error === 'string') return { message: error }
  if (typeof (Object(error) as { readonly message?: unknown }).message === 'string') return error
  throw new KernelError('INVALID_STEP', `next.fail takes a text or { message, code? }, got ${shown(error)}`)
}

/** @throws KernelError `INVALID_STEP` for a time that never comes, or that is no number. */
function delay(what: string, ms: number): number {
  if (isSpan(ms)) return Math.ceil(ms)
  throw new KernelError('INVALID_STEP', `${what} must be ${A_SPAN}, got ${shown(ms)}`)
}
