import type { Outcome } from '@varve/kernel'
import { PlanError } from '../errors.ts'
import type { EngineParts } from './parts.ts'
import { pinnedStart } from './pinned-run.ts'

/** A decision on an approval. */
export interface ApprovalAnswer {
  readonly approved: boolean
  readonly comment?: string
  /** Who decided; recorded. */
  readonly by?: string
}

/** Hands the answer in and drives the run on. */
export async function answerApproval(
  parts: EngineParts,
  runId: string,
  stateId: string,
  { approved, comment, by }: ApprovalAnswer,
): Promise<Outcome> {
  const { manifest } = await pinnedStart(parts, runId)
  const state = manifest.states.find(({ id }) => id === stateId)
  if (state?.kind !== 'approval') {
    const text = `plan ${manifest.plan.id} has no approval ${JSON.stringify(stateId)}; answer one of its approval states`
    throw new PlanError('STATE_NOT_FOUND', text, { runId, details: { state: stateId } })
  }
  return parts.kernel.resume(runId, {
    key: `${stateId}:ask`,
    value: { approved, ...(comment !== undefined && { comment }) },
    ...(by !== undefined && { by }),
  })
}
