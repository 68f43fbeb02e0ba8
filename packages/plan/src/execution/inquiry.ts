import type { Reconciliation } from '@varve/kernel'
import type { AnyAction } from '@varve/kernel/stepper'
import type { InquiryAnswer } from '../definition/inquiry.ts'
import type { WorkNode } from '../definition/node.ts'
import type { OutputSpec } from '../definition/output.ts'
import type { PlanDefinition } from '../definition/plan.ts'
import { storeReader, storeWriter } from '../engine/store-artifacts.ts'
import type { RunRequest } from '../schedule/requests.ts'
import { keepOutput } from './keep-output.ts'
import { needValues } from './need-values.ts'
import type { Runtime } from './state-action.ts'

type Asked = Parameters<NonNullable<AnyAction['reconcile']>>[1]

/** What the action of a state has besides its code: how to ask what became of an attempt in doubt. */
export function inquiry(
  plan: PlanDefinition,
  { id, edges, output, reconcile, fenced }: WorkNode,
  { artifacts }: Pick<Runtime, 'artifacts'>,
): Pick<AnyAction, 'reconcile' | 'fenced'> {
  if (reconcile === undefined) return {}
  return {
    fenced,
    reconcile: async ({ needs, params }: RunRequest, ctx: Asked): Promise<Reconciliation> => {
      const { runId, attempt, idempotencyKey, fencingToken, signal } = ctx
      const seen = { needs: await needValues(plan.graph, edges, needs, storeReader(artifacts)), params }
      const context = { ...seen, stateId: id, runId, attempt, idempotencyKey, fencingToken, signal }
      const answer = (await reconcile(context as never)) as InquiryAnswer<OutputSpec>
      if (answer.status !== 'succeeded') return answer
      // Kept outside of an attempt: the event that records the answer refers to it.
      return {
        status: 'succeeded',
        output: { artifact: await keepOutput(id, output, answer.output, storeWriter(artifacts)) },
      }
    },
  }
}
