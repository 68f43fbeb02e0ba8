import type { Schema } from '@varve/kernel'
import type { SchemaInput, SchemaOutput } from '@varve/kernel/stepper'
import type { Json, NamesOf } from '@varve/store'
import { z } from 'zod'
import { checkNode, checkSpec, checkTime } from './check-node.ts'
import type { NeedIds, NoNeeds, Needs, NeedValues } from './need.ts'
import type { StateNode } from './node.ts'
import { baseOf, OF_ALL_STATES, type NoParams, type State, type StateOptions } from './state.ts'

/** An answer to an approval. */
export const approvalAnswer = z.strictObject({
  approved: z.boolean(),
  comment: z.string().max(10_000).optional(),
})

/** A yes, as those see it that need the approval. */
export const approval = z.strictObject({
  /** Who said so. */
  by: z.string().optional(),
  comment: z.string().optional(),
})

/** What an approval makes. */
export type Approval = z.infer<typeof approval>

/** A state that asks a person. */
export interface ApprovalSpec<Id extends string, N extends Needs, P extends Schema> extends Omit<
  StateOptions<Id, N, P>,
  'retry' | 'timeoutMs'
> {
  /** What is shown to whoever decides, JSON; pure. Default: null. */
  readonly question?: (context: {
    readonly needs: NeedValues<N>
    readonly params: SchemaOutput<P>
  }) => Json | Promise<Json>
  /** An answer that comes later is too late: the state fails with `APPROVAL_EXPIRED`. In ms. Default: none. */
  readonly expiresInMs?: number
}

const PARTS: NamesOf<ApprovalSpec<string, Needs, Schema>> = {
  ...OF_ALL_STATES,
  ...({ question: true, expiresInMs: true } as const),
}

/**
 * Declares a state that waits for a yes. A no fails it with `APPROVAL_REFUSED`. What it needs is what the decision is about;
 * what comes only after it says so with `after` or `needs`.
 *
 * @throws PlanError `INVALID_DEFINITION`.
 */
export function approvalState<const Id extends string, const N extends Needs = NoNeeds, P extends Schema = NoParams>(
  spec: ApprovalSpec<Id, N, P>,
): State<Id, Approval, SchemaInput<P>, NeedIds<N> & string> {
  checkSpec(spec, PARTS)
  const { question, expiresInMs } = spec
  if (expiresInMs !== undefined) checkTime(`expiresInMs of state ${spec.id}`, expiresInMs)
  const fixed = { effect: 'idempotent', cache: false, environment: [], output: approval, list: false } as const
  const node: StateNode = {
    kind: 'approval',
    ...baseOf(spec),
    ...fixed,
    question: question as ((context: never) => Json) | undefined,
    expiresInMs,
  }
  return { id: spec.id, node: checkNode(node) }
}
