import { isKernelError, type Outcome, type StartOptions } from '@varve/kernel'
import { canonicalJson } from '@varve/store'
import type { AnyPlan } from '../definition/plan.ts'
import { PlanError } from '../errors.ts'
import { openNames } from '../manifest/named-secrets.ts'
import { prepareRun, type PreparedRun, type RunConfigInput } from '../manifest/prepare-run.ts'
import type { PlanInput } from '../schedule/plan-input.ts'
import type { EngineParts } from './parts.ts'
import { pinnedStart, samePlan } from './pinned-run.ts'
import { putManifest } from './put-manifest.ts'

/** How a run of a plan is started. */
export interface PlanStartOptions extends StartOptions {
  /** Goes over the engine's own. */
  readonly config?: RunConfigInput
}

/**
 * Starts a run: checks everything, keeps the manifest, then writes the first event. A run id that is known is the run it
 * names, when that is of the same plan, params and config; its build may be another one.
 */
export async function startPlan(
  parts: EngineParts,
  plan: AnyPlan,
  params: unknown,
  { config, ...options }: PlanStartOptions,
): Promise<Outcome<unknown>> {
  const { kernel, plans, runtime } = parts
  const prepared = prepareRun(
    plan.definition,
    { given: params },
    { ...parts.config, ...config },
    await runtime.provenance(),
  )
  const workflow = plans.add(plan)
  const known = options.runId === undefined ? undefined : await knownInput(parts, options.runId, plan, prepared)
  const input = known ?? prepared.input(await putManifest(parts.artifacts, prepared.manifest), 0)
  try {
    return await kernel.start(workflow, input as never, options)
  } catch (error) {
    // Another build has started it at the same time: the run has that one's manifest.
    if (known !== undefined || options.runId === undefined || !isKernelError(error, 'RUN_EXISTS')) throw error
    const theirs = await knownInput(parts, options.runId, plan, prepared)
    if (theirs === undefined) throw error
    return kernel.start(workflow, theirs as never, options)
  }
}

async function knownInput(
  parts: EngineParts,
  runId: string,
  plan: AnyPlan,
  { manifest }: PreparedRun,
): Promise<PlanInput | undefined> {
  if ((await parts.kernel.find(runId)) === undefined) return undefined
  const run = await pinnedStart(parts, runId)
  const other = (what: string): PlanError =>
    new PlanError('RUN_EXISTS', `run ${runId} was started with other ${what}; choose another run id`, { runId })
  if (run.manifest.plan.id !== plan.id || run.manifest.plan.version !== plan.version) throw other('plan')
  await samePlan(parts, runId, run.manifest)
  if (!isSame(openNames(run.input.params), manifest.params)) throw other('params')
  if (!isSame(run.input.config, manifest.config)) throw other('config')
  return run.input
}

function isSame(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b)
}
