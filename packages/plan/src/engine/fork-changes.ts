import type { ArtifactRef } from '@varve/kernel'
import type { StateNode } from '../definition/node.ts'
import type { PlanDefinition } from '../definition/plan.ts'
import { PlanError } from '../errors.ts'
import { keepOutput } from '../execution/keep-output.ts'
import { planChanges } from '../manifest/manifest.ts'
import type { ManifestState } from '../manifest/manifest-state.ts'
import type { PlanInput } from '../schedule/plan-input.ts'
import { idOf } from './check-given.ts'
import { completedChildren } from './done-before.ts'
import type { PlanForkOptions } from './fork-plan.ts'
import type { EngineParts } from './parts.ts'
import type { PinnedRun } from './pinned-run.ts'
import { storeWriter } from './store-artifacts.ts'

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
  const replaced = inPlan(input.replaced)
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

async function replacement(
  node: StateNode,
  output: unknown,
  artifacts: EngineParts['artifacts'],
): Promise<ArtifactRef> {
  if (!node.list) return keepOutput(node.id, node.output, output, storeWriter(artifacts))
  const text = `state ${node.id} makes a list, which cannot be replaced as a whole; replace what it is made from`
  throw new PlanError('INVALID_PARAMS', text, { details: { state: node.id } })
}
