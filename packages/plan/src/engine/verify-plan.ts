import type { Verification } from '@varve/kernel'
import type { ContentId } from '@varve/store'
import { verified } from '../cache/verified.ts'
import { isPlanError, type PlanErrorCode } from '../errors.ts'
import { artifactsMade } from '../view/artifacts-made.ts'
import type { EngineParts } from './parts.ts'
import { pinnedRun, samePlan } from './pinned-run.ts'

/** Whether a run is whole: its log and decisions, its plan, its artifacts. */
export interface PlanVerification {
  readonly runId: string
  readonly ok: boolean
  /** What the kernel says of log and decisions; absent when the plan is not the run's, so that nothing can be asked again. */
  readonly log?: Verification
  /** Why the plan cannot be asked. */
  readonly problem?: { readonly code: PlanErrorCode; readonly message: string }
  /** Artifacts that are gone or do not have their hash, and the executions that made them. */
  readonly damaged: readonly { readonly key: string; readonly artifact: ContentId }[]
}

/** Checks everything that can be checked of a run. Nothing is executed and nothing is written. */
export async function verifyPlan(parts: EngineParts, runId: string): Promise<PlanVerification> {
  const { record, manifest, input } = await pinnedRun(parts, runId)
  const damaged: { key: string; artifact: ContentId }[] = []
  const whole = new Map<ContentId, boolean>()
  const check = async (key: string, artifact: ContentId): Promise<void> => {
    const isWhole = whole.get(artifact) ?? (await verified(parts.artifacts, artifact))
    whole.set(artifact, isWhole)
    if (!isWhole) damaged.push({ key, artifact })
  }
  for (const [id, { $artifact }] of Object.entries(input.replaced ?? {})) await check(id, $artifact)
  for (const item of record.items.values()) for (const id of artifactsMade(item)) await check(item.key, id)
  try {
    await samePlan(parts, runId, manifest)
  } catch (error) {
    if (!isPlanError(error)) throw error
    return { runId, ok: false, damaged, problem: { code: error.code, message: error.message } }
  }
  const log = await parts.kernel.verify(runId)
  return { runId, ok: log.ok && damaged.length === 0, log, damaged }
}
