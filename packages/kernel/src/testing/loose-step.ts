import type { Complete, Emit, Fail, Requests } from '../workflow/decision.ts'
import type { StepContext } from '../workflow/define-workflow.ts'
import type { RequestOptions } from '../workflow/next.ts'
import type { ResultsState } from '../workflow/results-state.ts'

/** A step on the stock state whose answers no compiler has checked, as in JavaScript. */
export type LooseStep = (state: ResultsState, next: LooseNext, ctx: StepContext) => unknown

/** `next`, for anything. */
export interface LooseNext {
  readonly run: (action: string, input?: unknown, options?: RequestOptions) => Requests
  readonly interrupt: (kind: string, ask: unknown, options?: RequestOptions) => Requests
  readonly all: (requests: Iterable<Requests>, options?: { readonly concurrency?: number }) => Requests
  readonly emit: (...events: readonly unknown[]) => Emit
  readonly complete: (output?: unknown) => Complete
  readonly fail: (error: unknown) => Fail
}
