import type { ArtifactRef } from '@varve/kernel'
import type { AnyState } from '../definition/need.ts'
import { PlanError } from '../errors.ts'
import { outputValue } from '../execution/need-values.ts'
import { planStatus, type StateView } from '../view/plan-status.ts'
import type { EngineParts } from './parts.ts'
import { manifestState, pinnedRun, type PinnedRun } from './pinned-run.ts'
import { storeReader } from './store-artifacts.ts'

/** What a state makes; unknown for one that is named by its id. */
export type OutputOfState<S extends AnyState | string> = S extends { readonly types?: infer T }
  ? NonNullable<T> extends { readonly output: infer O }
    ? O
    : unknown
  : unknown

/** The outputs of a run's states so far, by state id. */
export async function runOutputs(parts: EngineParts, runId: string): Promise<Readonly<Record<string, ArtifactRef>>> {
  const views = viewsOf(await pinnedRun(parts, runId))
  return Object.fromEntries(views.flatMap(({ id, artifact }) => (artifact === undefined ? [] : [[id, artifact]])))
}

/** The output of one state, read against its hash. */
export async function readOutput(parts: EngineParts, runId: string, stateId: string): Promise<unknown> {
  const run = await pinnedRun(parts, runId)
  const state = manifestState(run, stateId)
  const view = viewsOf(run).find(({ id }) => id === stateId)
  if (view?.artifact !== undefined) return outputValue(state, view.artifact, storeReader(parts.artifacts))
  const text = `state ${stateId} of run ${runId} has no output, since it is ${view?.status ?? 'unknown'}; look at the status of the run`
  throw new PlanError('NO_OUTPUT', text, { runId, key: stateId })
}

function viewsOf({ record, manifest }: PinnedRun): readonly StateView[] {
  return planStatus(record, manifest).states
}
