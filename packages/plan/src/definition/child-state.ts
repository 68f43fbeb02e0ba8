import type { Schema } from '@varve/kernel'
import type { SchemaInput, SchemaOutput } from '@varve/kernel/stepper'
import { shown, type NamesOf } from '@varve/store'
import { z } from 'zod'
import { PlanError } from '../errors.ts'
import { checkNode, checkSpec } from './check-node.ts'
import type { NeedIds, NoNeeds, Needs, NeedValues } from './need.ts'
import type { NodeBase, StateNode } from './node.ts'
import { isPlan, type AnyPlan, type Plan } from './plan.ts'
import { baseOf, OF_ALL_STATES, type NoParams, type State, type StateOptions } from './state.ts'

/** A state that runs another plan. */
export interface ChildSpec<Id extends string, Params, Output, N extends Needs, P extends Schema> extends Omit<
  StateOptions<Id, N, P>,
  'retry' | 'timeoutMs'
> {
  readonly plan: Plan<Params, Output>
  /** The other plan's params; pure. */
  readonly childParams: (context: {
    readonly needs: NeedValues<N>
    readonly params: SchemaOutput<P>
  }) => NoInfer<Params> | Promise<NoInfer<Params>>
}

const PARTS: NamesOf<ChildSpec<string, unknown, unknown, Needs, Schema>> = {
  ...OF_ALL_STATES,
  ...({ plan: true, childParams: true } as const),
}

/**
 * Declares a state that runs another plan as a run of its own, with an id derived from this run's. Its output is that plan's
 * output. A cancel of this run cancels it.
 *
 * @throws PlanError `INVALID_DEFINITION`.
 */
export function childState<
  const Id extends string,
  Params,
  Output,
  const N extends Needs = NoNeeds,
  P extends Schema = NoParams,
>(spec: ChildSpec<Id, Params, Output, N, P>): State<Id, Output, SchemaInput<P>, NeedIds<N> & string> {
  checkSpec(spec, PARTS)
  const { plan, childParams } = spec
  const fixed = { effect: 'idempotent', cache: false, environment: [] } as const
  if (!isPlan(plan)) {
    throw new PlanError(
      'INVALID_DEFINITION',
      `the plan of state ${spec.id} must be made by definePlan, got ${shown(plan)}`,
    )
  }
  const { output, list } = outputOf(plan)
  const node: StateNode = { kind: 'child', ...baseOf(spec), ...fixed, output, list, plan, childParams }
  return { id: spec.id, node: checkNode(node) }
}

/** A plan without an output makes null. */
function outputOf({ definition }: AnyPlan): Pick<NodeBase, 'output' | 'list'> {
  const { graph, output } = definition
  return output === undefined ? { output: z.null(), list: false } : graph.nodeOf(output)
}
