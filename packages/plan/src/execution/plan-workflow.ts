import type { Workflow } from '@varve/kernel'
import { stepperWorkflow, type AnyAction } from '@varve/kernel/stepper'
import { approvalAnswer } from '../definition/approval-state.ts'
import type { StateNode } from '../definition/node.ts'
import type { AnyPlan, PlanDefinition } from '../definition/plan.ts'
import type { Provenance } from '../manifest/provenance.ts'
import { jsonValue, planInput } from '../schedule/plan-input.ts'
import { PlanStepper } from '../schedule/plan-stepper.ts'
import { partAction as partActionName } from '../schedule/task.ts'
import { partAction } from './part-action.ts'
import { inquiry } from './inquiry.ts'
import { stateAction, type Runtime } from './state-action.ts'

/** What the workflows of plans take from the engine. */
export interface WorkflowRuntime extends Runtime {
  readonly provenance: () => Promise<Provenance>
  /** Makes run ids. */
  readonly newId: () => string
}

/** A plan as a workflow of the kernel: states are its actions and questions, and a {@link PlanStepper} decides. */
export function planWorkflow({ id, version, definition: plan }: AnyPlan, runtime: WorkflowRuntime): Workflow {
  const { nodes } = plan.graph
  const approvals = nodes.filter(({ kind }) => kind === 'approval')
  return stepperWorkflow({
    ...{ name: id, version, input: planInput, build: plan.hash },
    actions: Object.fromEntries(nodes.flatMap((node) => actionsOf(plan, node, runtime))),
    interrupts: Object.fromEntries(approvals.map((node) => [node.id, { ask: jsonValue, answer: approvalAnswer }])),
    stepper: () => new PlanStepper(plan),
  })
}

type NamedAction = readonly [name: string, action: AnyAction]

function actionsOf(plan: PlanDefinition, node: StateNode, runtime: WorkflowRuntime): readonly NamedAction[] {
  const { id, retry, timeoutMs, effect } = node
  const options = { ...(retry !== undefined && { retry }), ...(timeoutMs !== undefined && { timeoutMs }) }
  const act = partAction(plan, node, runtime.provenance)
  const part: NamedAction = [partActionName(id), { ...options, effect: 'idempotent', run: act }]
  if (node.kind !== 'state' && node.kind !== 'map') return [part]
  const asked = node.kind === 'state' ? inquiry(plan, node, runtime) : {}
  const own: NamedAction = [id, { ...options, effect, ...asked, run: stateAction(plan, node, runtime) }]
  return node.kind === 'map' ? [own, part] : [own]
}

/** A plan and all that its states run, each once. */
export function withChildren(plan: AnyPlan, found = new Set<AnyPlan>()): ReadonlySet<AnyPlan> {
  if (found.has(plan)) return found
  found.add(plan)
  for (const node of plan.definition.graph.nodes) if (node.kind === 'child') withChildren(node.plan, found)
  return found
}
