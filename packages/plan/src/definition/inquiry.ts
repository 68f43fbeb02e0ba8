import type { Reconciliation, Schema } from '@varve/kernel'
import type { SchemaOutput } from '@varve/kernel/stepper'
import type { NeedValues, Needs } from './need.ts'
import type { OutputInput, OutputSpec } from './output.ts'

/** What is known when it is asked what became of an attempt in doubt: what the attempt saw, and which one it was. */
export interface InquiryContext<N extends Needs, P extends Schema> {
  readonly needs: NeedValues<N>
  readonly params: SchemaOutput<P>
  readonly runId: string
  readonly stateId: string
  readonly attempt: number
  readonly idempotencyKey: string
  readonly fencingToken: number
  readonly signal: AbortSignal
}

/** The answer; an output is kept as that of the state. */
export type InquiryAnswer<O extends OutputSpec> =
  | { readonly status: 'succeeded'; readonly output: OutputInput<O> }
  | Exclude<Reconciliation, { readonly status: 'succeeded' }>

/** How a state that must not run twice goes on when nobody knows whether it did. */
export interface InquiryOptions<N extends Needs, O extends OutputSpec, P extends Schema> {
  /**
   * Asks the other side what became of an attempt that ended without an outcome. Goes with `effect: 'at-most-once'`; without it, or
   * where it answers `unknown`, the run waits for `engine.settle`. A throw counts as `unknown`.
   */
  readonly reconcile?: (context: InquiryContext<N, P>) => InquiryAnswer<O> | Promise<InquiryAnswer<O>>
  /** True: an attempt that was found to be `not-executed` can never take effect later, so that another one may follow. Default false. */
  readonly fenced?: boolean
}
