import type { ArtifactRef } from '@varve/kernel'
import { isPlanError, PlanError } from '../errors.ts'
import type { ManifestState } from '../manifest/manifest-state.ts'
import { childInput, type AdoptedChild, type PlanInput } from '../schedule/plan-input.ts'
import { stateIdOf } from '../view/plan-status.ts'
import type { ItemRecord } from '../view/run-record.ts'
import type { EngineParts } from './parts.ts'
import { pinnedRun, type PinnedRun } from './pinned-run.ts'

/** The child runs of a run that have completed, by the ids of their states; those that it has taken over itself included. */
export function completedChildren({ input, record, manifest }: PinnedRun): Readonly<Record<string, AdoptedChild>> {
  const own = manifest.states.flatMap(({ id, kind }) => {
    const item = kind === 'child' ? record.items.get(childKey(id)) : undefined
    if (item?.output === undefined) return []
    return [
      [
        id,
        { input: childInput(item.input as unknown as PlanInput), output: item.output as ArtifactRef | null },
      ] as const,
    ]
  })
  return { ...input.children, ...Object.fromEntries(own) }
}

/**
 * Refuses a fork that would do again what must not happen twice, without anybody having said so: at-most-once executions
 * whose outcome the run does not know, and those in child runs that have not completed, which would begin anew.
 *
 * @param runsAgain - whether the fork would run a state of its own accord.
 * @throws PlanError `IN_DOUBT`.
 */
export async function checkNotTwice(
  parts: EngineParts,
  run: PinnedRun,
  runsAgain: (stateId: string) => boolean,
): Promise<void> {
  for (const item of run.record.items.values()) {
    const state = run.manifest.states.find(({ id }) => id === stateIdOf(item.key))
    if (state === undefined || !runsAgain(state.id)) continue
    if (isInDoubt(state, item)) throw inDoubt(run.record.runId, item.key, state.id, 'nobody knows its outcome yet')
    if (item.childRunId === undefined || item.output !== undefined) continue
    const key = await doneOnceIn(parts, item.childRunId)
    if (key === undefined) continue
    throw inDoubt(run.record.runId, item.key, state.id, `its child run ${item.childRunId} has begun ${key}`)
  }
}

/** @returns the key of an at-most-once execution that a run has begun; undefined when there is none. */
async function doneOnceIn(parts: EngineParts, runId: string): Promise<string | undefined> {
  const run = await pinnedRun(parts, runId).catch((error: unknown) => {
    // Asked for, and not started yet.
    if (isPlanError(error, 'RUN_NOT_FOUND')) return undefined
    throw error
  })
  for (const item of run?.record.items.values() ?? []) {
    const state = run?.manifest.states.find(({ id }) => id === stateIdOf(item.key))
    if (state !== undefined && isBegunOnce(state, item)) return item.key
    const below = item.childRunId === undefined ? undefined : await doneOnceIn(parts, item.childRunId)
    if (below !== undefined) return below
  }
  return undefined
}

function isInDoubt(state: ManifestState, item: ItemRecord): boolean {
  return isBegunOnce(state, item) && item.closedSeq === undefined
}

/** What failed was told to have failed, and may be tried again. */
function isBegunOnce({ id, kind, effect }: ManifestState, { key, error, notStarted }: ItemRecord): boolean {
  const isExecution = kind === 'state' ? key === id : kind === 'map' && key.startsWith(`${id}:item:`)
  return isExecution && effect === 'at-most-once' && error === undefined && !notStarted
}

function inDoubt(runId: string, key: string, state: string, why: string): PlanError {
  const text =
    `a fork of run ${runId} would do ${key} a second time, which must happen at most once: ${why}; ` +
    `wait for it or settle it, or fork from ${state}: with its output, or without one to run it again`
  return new PlanError('IN_DOUBT', text, { runId, key })
}

function childKey(id: string): string {
  return `${id}:child`
}
