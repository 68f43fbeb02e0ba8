import type { Json } from '@varve/store'
import type { ErrorInfo } from '../log/event-data.ts'
import type { ActionOutput, Actions } from './action.ts'
import type { DomainEvents, Interrupts, Signals } from './next.ts'
import type { SchemaOutput } from './schema.ts'

/** What a workflow's types are made of. */
export interface WorkflowTypes {
  /** What callers pass to `start`. */
  readonly start: unknown
  /** What the schema makes of it. */
  readonly input: unknown
  readonly signals: Signals
  readonly actions: Actions
  readonly interrupts: Interrupts
  readonly events: DomainEvents
}

/**
 * What a reducer sees: only what a step can act on. Attempts, crashes and arrivals never reach it, so no state depends on
 * whether a process died. A result that a fork reuses is seen as `ActionSucceeded`, with the attempts that it once took.
 */
export type ReduceEvent<T extends WorkflowTypes> =
  | Seen<'RunStarted', { readonly input: T['input'] }>
  | Seen<'RunForked', { readonly fromRunId: string; readonly atSeq: number }>
  | Seen<'StateUpdated', { readonly payload: Json; readonly stepId?: string | undefined }>
  | Seen<'DomainEvent', DomainEventData<T['events']>>
  | Seen<'ActionSucceeded', ActionSucceededData<T['actions']>>
  | Seen<'ActionFailed', ActionFailedData<T['actions']>>
  | Seen<'ActionDenied', ActionDeniedData<T['actions']>>
  | Seen<'TimerFired', { readonly key: string }>
  | Seen<'SignalDelivered', SignalDeliveredData<T['signals']>>
  | Seen<'WaitTimedOut', { readonly key: string; readonly signal: keyof T['signals'] & string }>
  | Seen<'Resumed', ResumedData<T['interrupts']>>
  | Seen<'InterruptExpired', { readonly key: string; readonly kind: keyof T['interrupts'] & string }>
  | Seen<'ChildCompleted', ChildCompletedData>
  | Seen<'CancelRequested', { readonly reason: string; readonly by?: string | undefined }>
  // `unknown`: it may have had an effect, also by an attempt that failed and was to be tried again.
  | Seen<'ItemDropped', { readonly key: string; readonly outcome: 'not started' | 'unknown' }>

interface Seen<Type extends string, Data> {
  readonly type: Type
  /** 1-based position in the log. */
  readonly seq: number
  readonly data: Data
}

type DomainEventData<E extends DomainEvents> = {
  [N in keyof E & string]: {
    readonly name: N
    readonly payload: SchemaOutput<E[N]>
    readonly stepId?: string | undefined
  }
}[keyof E & string]

type ActionSucceededData<A extends Actions> = {
  [N in keyof A & string]: {
    readonly key: string
    readonly action: N
    readonly output: ActionOutput<A[N]>
    readonly attempts: number
  }
}[keyof A & string]

interface ActionFailedData<A extends Actions> {
  readonly key: string
  readonly action: keyof A & string
  readonly error: ErrorInfo
  readonly attempts: number
}

interface ActionDeniedData<A extends Actions> {
  readonly key: string
  readonly action: keyof A & string
  readonly policy: string
  readonly reason: string
  /** Why, for code: such as `BUDGET_EXCEEDED`. */
  readonly code?: string | undefined
}

type SignalDeliveredData<G extends Signals> = {
  [N in keyof G & string]: {
    readonly key: string
    readonly signal: N
    readonly signalId: string
    readonly value: SchemaOutput<G[N]>
  }
}[keyof G & string]

/** How a child ended: `output` when it completed, `error` when it failed. */
interface ChildCompletedData {
  readonly key: string
  readonly workflow: string
  readonly status: 'completed' | 'failed' | 'canceled' | 'continued'
  readonly output?: Json | undefined
  readonly error?: ErrorInfo | undefined
}

type ResumedData<Q extends Interrupts> = {
  [N in keyof Q & string]: {
    readonly key: string
    readonly kind: N
    readonly value: SchemaOutput<Q[N]['answer']>
    readonly by?: string | undefined
  }
}[keyof Q & string]
