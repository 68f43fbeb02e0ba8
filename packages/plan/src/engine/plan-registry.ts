import type { Kernel, Workflow } from '@varve/kernel'
import type { AnyPlan } from '../definition/plan.ts'
import { PlanError } from '../errors.ts'
import { planWorkflow, withChildren, type WorkflowRuntime } from '../execution/plan-workflow.ts'
import type { Manifest } from '../manifest/manifest.ts'

/**
 * Makes a plan again that was built at run time, from the manifest of a run of it; undefined for one that it does not know.
 * The plan must come out with the hash that the manifest has.
 */
export type PlanResolver = (manifest: Manifest) => AnyPlan | undefined | Promise<AnyPlan | undefined>

/** The plans that an engine can run. */
export interface PlanRegistry {
  /**
   * Makes a plan known, and those that its states run.
   *
   * @returns its workflow: one that was known under its hash already, or its own.
   * @throws PlanError `PLAN_CHANGED` for another one under a known id and version.
   */
  readonly add: (plan: AnyPlan) => Workflow
  /** True for a plan that needs no resolver. */
  readonly knows: (plan: { readonly id: string; readonly version: string }) => boolean
  /** The plan of a run's manifest; asks the resolver for one that is not known. @throws PlanError `PLAN_MISSING`. */
  readonly planOf: (manifest: Manifest) => Promise<AnyPlan>
}

/** Plans that are registered with a kernel as they come. */
export function planRegistry(
  kernel: Pick<Kernel, 'register'>,
  runtime: WorkflowRuntime,
  resolver: PlanResolver | undefined,
): PlanRegistry {
  const known = new Map<string, { readonly plan: AnyPlan; readonly workflow: Workflow }>()
  const addOne = (plan: AnyPlan): Workflow => {
    const name = nameOf(plan)
    const first = known.get(name)
    if (first === undefined) {
      const workflow = planWorkflow(plan, runtime)
      kernel.register(workflow)
      known.set(name, { plan, workflow })
      return workflow
    }
    if (first.plan.definition.hash === plan.definition.hash) return first.workflow
    const text = `another plan is registered as ${plan.id}@${plan.version}; give one of them another version`
    throw new PlanError('PLAN_CHANGED', text, { details: { plan: plan.id, version: plan.version } })
  }
  const add = (plan: AnyPlan): Workflow => {
    for (const child of withChildren(plan)) addOne(child)
    return addOne(plan)
  }
  return {
    add,
    knows: (plan) => known.has(nameOf(plan)),
    planOf: async (manifest) => {
      const { id, version } = manifest.plan
      const plan = known.get(nameOf(manifest.plan))?.plan ?? (await resolver?.(manifest))
      if (plan?.id !== id || plan.version !== version) {
        const text = `plan ${id}@${version} is not registered here; add it to the plans of createEngine, or give it a resolver`
        throw new PlanError('PLAN_MISSING', text, { details: { plan: id, version } })
      }
      if (plan.definition.hash === manifest.plan.hash) add(plan)
      return plan
    },
  }
}

function nameOf({ id, version }: { readonly id: string; readonly version: string }): string {
  return `${id}@${version}`
}
