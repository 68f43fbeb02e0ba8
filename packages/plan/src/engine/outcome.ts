import type { ArtifactRef, Outcome } from '@varve/kernel'
import { outputValue } from '../execution/need-values.ts'
import type { AnyPlan } from '../definition/plan.ts'
import { storeReader } from './store-artifacts.ts'
import type { EngineParts } from './parts.ts'

/** How far a run of a plan has come. The output of one that has completed is read; bytes are read when they are asked for. */
export type PlanOutcome<Output = unknown> =
  | {
      readonly status: 'completed'
      readonly runId: string
      readonly output: Output
      readonly artifact: ArtifactRef | null
    }
  | Exclude<Outcome<never>, { readonly status: 'completed' }>

/** The kernel's outcome with the output of the plan in it. */
export async function planOutcome(
  parts: Pick<EngineParts, 'artifacts'>,
  { definition }: AnyPlan,
  outcome: Outcome<unknown>,
): Promise<PlanOutcome> {
  if (outcome.status !== 'completed') return outcome
  const { runId } = outcome
  const artifact = outcome.output as ArtifactRef | null
  if (artifact === null || definition.output === undefined)
    return { status: 'completed', runId, output: null, artifact }
  const node = definition.graph.nodeOf(definition.output)
  const output = await outputValue(node, artifact, storeReader(parts.artifacts))
  return { status: 'completed', runId, output, artifact }
}
