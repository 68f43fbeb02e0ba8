import type { Outcome } from '@varve/kernel'
import { canonicalJson } from '@varve/store'
import type { AnyState } from '../definition/need.ts'
import { doesOnce } from '../definition/node.ts'
import type { AnyPlan } from '../definition/plan.ts'
import { PlanError } from '../errors.ts'
import { openNames } from '../manifest/named-secrets.ts'
import { prepareRun, type RunConfigInput } from '../manifest/prepare-run.ts'
import type { AdoptedChild } from '../schedule/plan-input.ts'
import { idOf } from './check-given.ts'
import type { EngineParts } from './parts.ts'
import { checkNotTwice } from './done-before.ts'
import { changesOf } from './fork-changes.ts'
import { pinnedRun, samePlan } from './pinned-run.ts'
import { putManifest } from './put-manifest.ts'

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
  const changes = await changesOf(parts, plan.definition, run, { ...options, as })
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
    // Said always: the event that is copied has the version that the first run of all was started with.
    ...{ at: 1, as, reuse: true, wait: options.wait ?? true, version: plan.version },
    edit: { input: edited },
  })
  return { plan, outcome }
}
