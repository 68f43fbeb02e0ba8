import type { RecoveredRun } from '@varve/kernel'
import { allItems, isStoreError } from '@varve/store'
import { isPlanError } from '../errors.ts'
import type { EngineParts } from './parts.ts'
import { pinnedStart } from './pinned-run.ts'

/**
 * Drives what no living process drives. Plans that are not known here are asked of the resolver first; a run whose plan nobody
 * knows is left as it is.
 *
 * @throws what the resolver threw first, when everything else is driven.
 */
export async function recoverPlans(
  parts: EngineParts,
  options: { readonly concurrency?: number },
): Promise<readonly RecoveredRun[]> {
  const asked = new Set<string>()
  let failure: { readonly error: unknown } | undefined
  const unfinished = { statuses: ['running', 'blocked'] } as const
  for await (const { runId, workflow, version } of allItems((page) => parts.kernel.list(unfinished, page))) {
    const name = JSON.stringify([workflow, version])
    if (asked.has(name) || parts.plans.knows({ id: workflow, version })) continue
    // One run tells the plan of all of its version, unless it is none of a plan.
    try {
      if (await resolves(parts, runId)) asked.add(name)
    } catch (error) {
      if (isStoreError(error)) throw error
      failure ??= { error }
    }
  }
  const recovered = await parts.kernel.recover(options)
  if (failure !== undefined) throw failure.error
  return recovered
}

async function resolves(parts: EngineParts, runId: string): Promise<boolean> {
  try {
    await parts.plans.planOf((await pinnedStart(parts, runId)).manifest)
    return true
  } catch (error) {
    if (isPlanError(error)) return false
    throw error
  }
}
