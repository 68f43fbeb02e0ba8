import type { ArtifactRef, Outcome } from '@varve/kernel'
import { canonicalJson } from '@varve/store'
import type { AnyState } from '../definition/need.ts'
import { doesOnce, type StateNode } from '../definition/node.ts'
import type { AnyPlan } from '../definition/plan.ts'
import { PlanError } from '../errors.ts'
import { keepOutput } from '../execution/keep-output.ts'
import { openNames } from '../manifest/named-secrets.ts'
import { prepareRun, type RunConfigInput } from '../manifest/prepare-run.ts'
import { planChanges } from '../manifest/manifest.ts'
import type { AdoptedChild, PlanInput } from '../schedule/plan-input.ts'
import { idOf } from './check-given.ts'
import type { EngineParts } from './parts.ts'
import { checkNotTwice, completedChildren } from './done-before.ts'
import { pinnedRun, samePlan, type PinnedRun } from './pinned-run.ts'
import { putManifest } from './put-manifest.ts'
import { storeWriter } from './store-artifacts.ts'

/** What a fork does otherwise than the run that it is taken from. Every result that this leaves as it was is taken over. */
export interface PlanForkOptions {
  /** Id of the new run. Default: a new one. */
  readonly as?: string
  /**
   * A state that runs again, its cache passed over. What depends on it runs again when its output comes out differently.
   */
  readonly from?: AnyState | string
  /** An output to put in the place of that of `from`, which does not run: JSON that fits its schema, or bytes. */
  readonly output?: unknown
  /** Other params. Default: the run's own. */
  readonly params?: unknown
  /** Goes over the run's own. */
  readonly config?: RunConfigInput
  /** Another version of the plan. Default: the plan of the run. */
  readonly plan?: AnyPlan
  /** False: record the fork and return at once. Default true. */
  readonly wait?: boolean
}

/** A new run of a plan that takes over what a former one has done, as far as it is asked for alike. */
export async function forkPlan(
  parts: EngineParts,
  runId: string,
  options: PlanForkOptions,
): Promise<{ readonly plan: AnyPlan; readonly outcome: Outcome }> {
  const { kernel, artifacts, runtime, plans } = parts
  const run = await pinnedRun(parts, runId)
  const { input, manifest } = run
  const plan = options.plan ?? (await samePlan(parts, runId, manifest))
  if (plan.id !== manifest.plan.id) {
    throw new PlanError(
      'PLAN_CHANGED',
      `run ${runId} is of plan ${manifest.plan.id}, not of ${plan.id}; fork it with a version of its own plan`,
      { runId },
    )
  }
  const as = options.as ?? runtime.newId()
  const isSame = plan.definition.hash === manifest.plan.hash
  // Recorded params have passed this plan's schema; another plan's has to see them.
  const former = openNames(input.params)
  const recorded = isSame ? { recorded: former } : { given: former }
  const params = 'params' in options ? { given: options.params } : recorded
  const config = { ...input.config, ...options.config }
  const prepared = prepareRun(plan.definition, params, config, await runtime.provenance())
  const changes = await changesOf(parts, plan, run, { ...options, as })
  const { graph } = plan.definition
  const said = options.from === undefined ? undefined : idOf(options.from)
  // A child plan is told what to skip; one that is another plan now, or told otherwise, begins anew.
  const isSkippingAlike = ({ skipTags = input.config.skipTags }: AdoptedChild): boolean =>
    canonicalJson(skipTags) === canonicalJson(prepared.manifest.config.skipTags)
  const isSkipped = (id: string): boolean =>
    graph.nodeOf(id).tags.some((tag) => prepared.manifest.config.skipTags.includes(tag))
  const isSaid = (id: string): boolean => id === said || Object.hasOwn(changes.replaced ?? {}, id)
  await checkNotTwice(parts, run, {
    runs: (id) => graph.indexOf.has(id) && !isSaid(id),
    takesOver: (id) => {
      const child = Object.hasOwn(changes.children ?? {}, id) ? changes.children?.[id] : undefined
      return child !== undefined && (isSkippingAlike(child) || isSkipped(id))
    },
    mayDoOnce: (id) => doesOnce(graph.nodeOf(id)),
  })
  plans.add(plan)
  const edited = { ...prepared.input(await putManifest(artifacts, prepared.manifest), input.depth), ...changes }
  const outcome = await kernel.fork(runId, {
    ...{ at: 1, as, reuse: true, wait: options.wait ?? true },
    ...(plan.version !== manifest.plan.version && { version: plan.version }),
    edit: { input: edited },
  })
  return { plan, outcome }
}

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
async function changesOf(
  { artifacts }: EngineParts,
  { definition }: AnyPlan,
  run: PinnedRun,
  { from, as, ...options }: PlanForkOptions & { readonly as: string },
): Promise<Pick<PlanInput, 'fresh' | 'replaced' | 'children'>> {
  const { input, manifest } = run
  const inPlan = <T>(states: Readonly<Record<string, T>> = {}): Record<string, T> =>
    Object.fromEntries(Object.entries(states).filter(([id]) => definition.graph.indexOf.has(id)))
  const fresh = inPlan(input.fresh)
  const replaced = inPlan(input.replaced)
  for (const { state, what } of planChanges(manifest, definition)) {
    if (state !== undefined && what !== 'removed' && MAKING.has(what)) fresh[state] = as
  }
  if (from === undefined && 'output' in options) {
    throw new PlanError('INVALID_PARAMS', 'an output replaces that of a state; say which one with `from`')
  }
  if (from !== undefined) {
    const node = definition.graph.nodeOf(idOf(from))
    if ('output' in options) replaced[node.id] = await replacement(node, options.output, artifacts)
    else {
      fresh[node.id] = as
      Reflect.deleteProperty(replaced, node.id)
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

async function replacement(
  node: StateNode,
  output: unknown,
  artifacts: EngineParts['artifacts'],
): Promise<ArtifactRef> {
  if (!node.list) return keepOutput(node.id, node.output, output, storeWriter(artifacts))
  const text = `state ${node.id} makes a list, which cannot be replaced as a whole; replace what it is made from`
  throw new PlanError('INVALID_PARAMS', text, { details: { state: node.id } })
}
