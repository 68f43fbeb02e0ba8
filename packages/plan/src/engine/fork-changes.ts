import type { ArtifactRef } from '@varve/kernel'
import { isStoreError } from '@varve/store'
import type { StateNode } from '../definition/node.ts'
import type { PlanDefinition } from '../definition/plan.ts'
import { isPlanError, PlanError } from '../errors.ts'
import { keepOutput } from '../execution/keep-output.ts'
import { outputValue } from '../execution/need-values.ts'
import { planChanges } from '../manifest/manifest.ts'
import type { ManifestState } from '../manifest/manifest-state.ts'
import type { PlanInput } from '../schedule/plan-input.ts'
import { idOf } from './check-given.ts'
import { completedChildren } from './done-before.ts'
import type { PlanForkOptions } from './fork-plan.ts'
import type { EngineParts } from './parts.ts'
import type { PinnedRun } from './pinned-run.ts'
import { storeReader, storeWriter } from './store-artifacts.ts'

/** Parts of a state that its output may depend on besides what it is asked for with. */
const MAKING: ReadonlySet<string> = new Set([
  'added',
  'kind',
  'version',
  'code',
  'output',
  'effect',
  'plan',
  'list',
  'makes',
])

/**
 * What an earlier fork has changed stays so, unless it is changed again. States that another plan has with other code run again.
 */
export async function changesOf(
  { artifacts }: EngineParts,
  definition: PlanDefinition,
  run: PinnedRun,
  { from, as, ...options }: PlanForkOptions & { readonly as: string },
): Promise<Pick<PlanInput, 'fresh' | 'replaced' | 'children'>> {
  const { input, manifest } = run
  const said = from === undefined ? undefined : definition.graph.nodeOf(idOf(from))
  const inPlan = <T>(states: Readonly<Record<string, T>> = {}): Record<string, T> =>
    Object.fromEntries(Object.entries(states).filter(([id]) => definition.graph.indexOf.has(id)))
  const fresh = inPlan(input.fresh)
  const replaced = await stillReplaced(artifacts, definition, run, said?.id)
  for (const { state, what } of planChanges(manifest, definition)) {
    if (state !== undefined && what !== 'removed' && MAKING.has(what)) fresh[state] = as
  }
  for (const id of seeingOtherwise(manifest.states, definition.states)) fresh[id] = as
  if (said === undefined && 'output' in options) {
    throw new PlanError('INVALID_PARAMS', 'an output replaces that of a state; say which one with `from`')
  }
  if (said !== undefined) {
    if ('output' in options) replaced[said.id] = await replacement(said, options.output, artifacts)
    else {
      fresh[said.id] = as
      Reflect.deleteProperty(replaced, said.id)
    }
  }
  const kept = Object.entries(inPlan(completedChildren(run))).filter(
    ([id]) => fresh[id] !== as && !Object.hasOwn(replaced, id),
  )
  return {
    ...(Object.keys(fresh).length > 0 && { fresh }),
    ...(Object.keys(replaced).length > 0 && { replaced }),
    ...(kept.length > 0 && { children: Object.fromEntries(kept) }),
  }
}

/** States that are given a value where they were given bytes or a list, or the other way round: a request names the artifact alone. */
function seeingOtherwise(before: readonly ManifestState[], now: readonly ManifestState[]): readonly string[] {
  const former = new Map(before.map((state) => [state.id, state]))
  const latter = new Map(now.map((state) => [state.id, state]))
  const isSeenOtherwise = (was: string, is: string): boolean => shapeOf(former.get(was)) !== shapeOf(latter.get(is))
  const sees = ({ id, needs }: ManifestState): boolean => {
    const needed = former.get(id)?.needs ?? {}
    return Object.entries(needs).some(([name, { state }]) => {
      const was = Object.hasOwn(needed, name) ? needed[name]?.state : undefined
      return was !== undefined && isSeenOtherwise(was, state)
    })
  }
  return now.filter(sees).map(({ id }) => id)
}

function shapeOf(state: ManifestState | undefined): string {
  return `${state?.makes} ${state?.list}`
}

/** Parts of a state that say what may stand in the place of its output. */
const MAKES: ReadonlySet<string> = new Set(['output', 'makes', 'list'])

/**
 * The outputs that earlier forks have put in the place of others, but for that of the state `said`.
 *
 * @throws PlanError `OUTPUT_INVALID` for one that does not fit what its state makes in this plan.
 */
async function stillReplaced(
  artifacts: EngineParts['artifacts'],
  definition: PlanDefinition,
  { input, manifest, record: { runId } }: PinnedRun,
  said: string | undefined,
): Promise<Record<string, ArtifactRef>> {
  const changes = planChanges(manifest, definition).filter(({ what }) => MAKES.has(what))
  const kept: Record<string, ArtifactRef> = {}
  for (const [id, ref] of Object.entries(input.replaced ?? {})) {
    if (id === said || !definition.graph.indexOf.has(id)) continue
    const made = manifest.states.find((state) => state.id === id)
    const fits = made === undefined || !changes.some(({ state }) => state === id)
    kept[id] = fits ? ref : await refitted(artifacts, definition.graph.nodeOf(id), { runId, ref, made })
  }
  return kept
}

interface Refitting {
  readonly runId: string
  readonly ref: ArtifactRef
  /** The state as it was when its output was replaced. */
  readonly made: ManifestState
}

async function refitted(
  artifacts: EngineParts['artifacts'],
  node: StateNode,
  { runId, ref, made }: Refitting,
): Promise<ArtifactRef> {
  const value = await outputValue(made, ref, storeReader(artifacts))
  try {
    return await replacement(node, value, artifacts)
  } catch (error) {
    if (!isPlanError(error) && !isStoreError(error, 'NOT_JSON')) throw error
    const text =
      `the output that stands in run ${runId} in the place of that of state ${node.id} does not fit this plan: ` +
      `${error.message}; fork from ${node.id}: with another output, or without one to run it`
    throw new PlanError('OUTPUT_INVALID', text, { runId, key: node.id, cause: error })
  }
}

async function replacement(
  node: StateNode,
  output: unknown,
  artifacts: EngineParts['artifacts'],
): Promise<ArtifactRef> {
  if (!node.list) return keepOutput(node.id, node.output, output, storeWriter(artifacts))
  const text = `state ${node.id} makes a list, which cannot be replaced as a whole; replace what it is made from`
  throw new PlanError('INVALID_PARAMS', text, { details: { state: node.id } })
}
