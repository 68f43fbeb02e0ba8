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
    if (item?.childRunId === undefined || item.output === undefined) return []
    const started = item.input as unknown as PlanInput
    const output = item.output as ArtifactRef | null
    const { skipTags } = started.config
    return [[id, { input: childInput(started), output, runId: item.childRunId, skipTags }] as const]
  })
  return { ...input.children, ...Object.fromEntries(own) }
}

/** What a fork would do of its own accord, by the ids of states. */
export interface ForkIntent {
  /** True for a state that it would run, unless it takes over what the run has done. */
  readonly runs: (stateId: string) => boolean
  /** True for a state whose child run it takes over when that has completed, or hands on to its own forks, as it skips the state. */
  readonly takesOver: (stateId: string) => boolean
  /** True for a state that does something at most once, itself or in a child plan. */
  readonly mayDoOnce: (stateId: string) => boolean
}

/**
 * Refuses a fork that would do again what must not happen twice, without anybody having said so: at-most-once executions
 * whose outcome the run does not know, those in child runs that would begin anew, since they have not completed or are not taken
 * over, and those of the runs that it was forked from, where it has not come to ask for them itself.
 *
 * @throws PlanError `IN_DOUBT`.
 */
export async function checkNotTwice(parts: EngineParts, run: PinnedRun, fork: ForkIntent): Promise<void> {
  const { runId, items, end } = run.record
  for (const item of items.values()) {
    const state = run.manifest.states.find(({ id }) => id === stateIdOf(item.key))
    if (state === undefined || !fork.runs(state.id) || !isInDoubt(state, item)) continue
    const why = 'nobody knows its outcome'
    throw inDoubt(runId, item.key, state.id, { why, waiting: end === undefined ? WAIT_OR_SETTLE : '' })
  }
  for (const [id, child] of begunAnew(run, fork)) {
    const doubt = await doneOnceIn(parts, child, fork.mayDoOnce(id))
    if (doubt !== undefined) throw inDoubt(runId, childKey(id), id, doubt)
  }
  await checkFormerRuns(parts, run, fork)
}

/** A fork takes results over from one run alone: not from those that this one was forked from. @throws PlanError `IN_DOUBT`. */
async function checkFormerRuns(parts: EngineParts, run: PinnedRun, fork: ForkIntent): Promise<void> {
  const known = new Set<string>()
  let nearer = run
  for (;;) {
    // What one of them was told of a state counts: to make it anew, or an output in the place of its own.
    for (const id of Object.keys({ ...nearer.input.fresh, ...nearer.input.replaced })) known.add(id)
    for (const key of nearer.record.items.keys()) known.add(key)
    const former = await findRun(parts, nearer.record.forkedFrom)
    if (former === undefined) return
    for (const item of former.record.items.values()) {
      const id = stateIdOf(item.key)
      if (known.has(item.key) || known.has(id) || !fork.runs(id)) continue
      const doubt = await doubtOfFormer(parts, former, item, fork)
      if (doubt !== undefined) throw inDoubt(run.record.runId, item.key, id, doubt)
    }
    nearer = former
  }
}

async function doubtOfFormer(
  parts: EngineParts,
  former: PinnedRun,
  item: ItemRecord,
  { takesOver, mayDoOnce }: ForkIntent,
): Promise<Doubt | undefined> {
  const { runId } = former.record
  const state = former.manifest.states.find(({ id }) => id === stateIdOf(item.key))
  if (state === undefined) return undefined
  if (isBegunOnce(state, item)) {
    return { why: `run ${runId}, from which that one was forked, has begun it`, waiting: `fork ${runId}, or ` }
  }
  if (item.childRunId === undefined || takesOver(state.id)) return undefined
  return doneOnceIn(parts, childOf(former, item), mayDoOnce(state.id))
}

/** What is known of a child run without its log. */
interface ChildRun {
  /** Undefined where a former fork has not written it down. */
  readonly runId?: string | undefined
  /** False while it may have been asked for only. */
  readonly hasBegun: boolean
}

/** The child runs that a fork does not take over, with the ids of their states. */
function begunAnew(run: PinnedRun, { runs, takesOver }: ForkIntent): readonly (readonly [string, ChildRun])[] {
  const own = [...run.record.items.values()].flatMap((item) => {
    const id = stateIdOf(item.key)
    if (item.childRunId === undefined || !runs(id) || (item.output !== undefined && takesOver(id))) return []
    return [[id, childOf(run, item)] as const]
  })
  const adopted = Object.entries(run.input.children ?? {}).filter(([id]) => runs(id) && !takesOver(id))
  return [...own, ...adopted.map(([id, { runId }]) => [id, { runId, hasBegun: true }] as const)]
}

function childOf({ record }: PinnedRun, { childRunId, output, error }: ItemRecord): ChildRun {
  return { runId: childRunId, hasBegun: record.end !== undefined || output !== undefined || error !== undefined }
}

/** Why a fork is refused. */
interface Doubt {
  readonly why: string
  /** What may be done about it besides saying so. */
  readonly waiting: string
}

const WAIT_OR_SETTLE = 'wait for it or settle it, or '

/** Looks for an at-most-once execution that a child run has begun. One whose log is gone is thought to have, if its plan may. */
async function doneOnceIn(parts: EngineParts, child: ChildRun, mayDoOnce: boolean): Promise<Doubt | undefined> {
  const run = await findRun(parts, child.runId)
  if (run === undefined) {
    const which = child.runId === undefined ? '' : ` ${child.runId}`
    return child.hasBegun && mayDoOnce
      ? { why: `its child run${which} may have begun it, and is gone`, waiting: '' }
      : undefined
  }
  const { runId, end, items } = run.record
  for (const item of items.values()) {
    const state = run.manifest.states.find(({ id }) => id === stateIdOf(item.key))
    if (state !== undefined && isBegunOnce(state, item)) {
      if (item.closedSeq !== undefined) {
        const waiting = end === undefined ? 'wait for that run, or ' : ''
        return { why: `its child run ${runId} has done ${item.key}, and would begin anew`, waiting }
      }
      return { why: `its child run ${runId} has begun ${item.key}`, waiting: end === undefined ? WAIT_OR_SETTLE : '' }
    }
    const below = item.childRunId === undefined ? undefined : await doneOnceIn(parts, childOf(run, item), mayDoOnce)
    if (below !== undefined) return below
  }
  return undefined
}

async function findRun(parts: EngineParts, runId: string | undefined): Promise<PinnedRun | undefined> {
  if (runId === undefined) return undefined
  return pinnedRun(parts, runId).catch((error: unknown) => {
    if (isPlanError(error, 'RUN_NOT_FOUND')) return undefined
    throw error
  })
}

function isInDoubt(state: ManifestState, item: ItemRecord): boolean {
  return isBegunOnce(state, item) && item.closedSeq === undefined
}

/** What failed was told to have failed, and may be tried again. */
function isBegunOnce({ id, kind, effect }: ManifestState, { key, error, notStarted }: ItemRecord): boolean {
  const isExecution = kind === 'state' ? key === id : kind === 'map' && key.startsWith(`${id}:item:`)
  return isExecution && effect === 'at-most-once' && error === undefined && !notStarted
}

function inDoubt(runId: string, key: string, state: string, { why, waiting }: Doubt): PlanError {
  const text =
    `a fork of run ${runId} would do ${key} a second time, which must happen at most once: ${why}; ` +
    `${waiting}fork from ${state}: with its output, or without one to run it again`
  return new PlanError('IN_DOUBT', text, { runId, key })
}

function childKey(id: string): string {
  return `${id}:child`
}
