import type { ArtifactRef, FollowOptions, Outcome } from '@varve/kernel'
import { outputValue } from '../execution/need-values.ts'
import type { PlanDefinition } from '../definition/plan.ts'
import { isTerminal } from '@varve/store'
import { pinnedStart, startInput } from './pinned-run.ts'
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
  { output: stateId, states }: Pick<PlanDefinition, 'output' | 'states'>,
  outcome: Outcome<unknown>,
): Promise<PlanOutcome> {
  if (outcome.status !== 'completed') return outcome
  const { runId } = outcome
  const artifact = outcome.output as ArtifactRef | null
  const state = states.find(({ id }) => id === stateId)
  if (artifact === null || state === undefined) return { status: 'completed', runId, output: null, artifact }
  const output = await outputValue(state, artifact, storeReader(parts.artifacts))
  return { status: 'completed', runId, output, artifact }
}

/**
 * How a run has ended; undefined for one that has not. Asks for no plan, and for the manifest only to read an output.
 *
 * @throws PlanError `RUN_NOT_FOUND` | `NOT_A_PLAN_RUN` | `MANIFEST_CORRUPT`.
 */
export async function endOf(parts: EngineParts, runId: string): Promise<PlanOutcome | undefined> {
  await startInput(parts, runId)
  if (!isTerminal((await parts.kernel.get(runId)).status)) return undefined
  const outcome = await parts.kernel.run(runId)
  if (outcome.status !== 'completed') return outcome
  const { manifest } = await pinnedStart(parts, runId)
  return planOutcome(parts, { output: manifest.plan.output ?? undefined, states: manifest.states }, outcome)
}

/** Waits until a run has ended. @throws PlanError as {@link endOf}. */
export async function followPlan(parts: EngineParts, runId: string, options?: FollowOptions): Promise<PlanOutcome> {
  for (;;) {
    const outcome = await endOf(parts, runId)
    if (outcome !== undefined) return outcome
    await parts.kernel.follow(runId, options)
  }
}
