import type { Outcome } from '@varve/kernel'
import type { AnyPlan } from '../definition/plan.ts'
import { PlanError } from '../errors.ts'
import { keepOutput } from '../execution/keep-output.ts'
import { stateIdOf } from '../view/plan-status.ts'
import type { EngineParts } from './parts.ts'
import { storeWriter } from './store-artifacts.ts'

/** What became of an execution in doubt. */
export type StateSettlement = (
  | { readonly status: 'succeeded'; readonly output: unknown }
  | { readonly status: 'failed'; readonly message: string }
  /** It was not executed: run it again. */
  | { readonly status: 'retry' }
) & {
  /** Who says so; recorded. */
  readonly by?: string
}

/** Says what became of an execution in doubt, and drives the run on. An output is kept as the state's own would be. */
export async function settleState(
  { kernel, artifacts }: EngineParts,
  runId: string,
  { plan: { definition }, key }: { readonly plan: AnyPlan; readonly key: string },
  { by, ...settlement }: StateSettlement,
): Promise<Outcome> {
  const who = by !== undefined && { by }
  if (settlement.status !== 'succeeded') return kernel.settle(runId, { key, outcome: settlement, ...who })
  const node = definition.graph.nodeOf(stateIdOf(key))
  if (node.kind !== 'state' && node.kind !== 'map') {
    throw new PlanError('STATE_NOT_FOUND', `state ${node.id} runs no code that could be in doubt`, { runId, key })
  }
  const artifact = await keepOutput(node.id, node.output, settlement.output, storeWriter(artifacts))
  return kernel.settle(runId, { key, outcome: { status: 'succeeded', output: { artifact } }, ...who })
}
