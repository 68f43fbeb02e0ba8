import type { ArtifactRef } from '@varve/kernel'
import { allEdges } from '../definition/node.ts'
import type { PlanDefinition } from '../definition/plan.ts'
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
    const started = childInput(item.input as unknown as PlanInput)
    return [[id, { input: started, output: item.output as ArtifactRef | null, runId: item.childRunId }] as const]
  })
  return { ...input.children, ...Object.fromEntries(own) }
}

/** What a fork is to do. */
export interface ForkIntent {
  readonly plan: PlanDefinition
  readonly skipTags: readonly string[]
  /** True for a state that it was told to run again, or to replace. */
  readonly isSaid: (stateId: string) => boolean
  /** True for a state whose child run it takes over when that has completed. */
  readonly takesOver: (stateId: string) => boolean
}

/**
 * Refuses a fork that would do again what must not happen twice, without anybody having said so: at-most-once executions
 * whose outcome the run does not know, and those in child runs that would begin anew, since they have not completed or are not
 * taken over.
 *
 * @throws PlanError `IN_DOUBT`.
 */
export async function checkNotTwice(parts: EngineParts, run: PinnedRun, fork: ForkIntent): Promise<void> {
  const { runId, items, end } = run.record
  const { plan, skipTags, isSaid } = fork
  const skipped = skippedIn(plan, skipTags, isSaid)
  const runs = (id: string): boolean => plan.graph.indexOf.has(id) && !skipped.has(id) && !isSaid(id)
  for (const item of items.values()) {
    const state = run.manifest.states.find(({ id }) => id === stateIdOf(item.key))
    if (state === undefined || !runs(state.id) || !isInDoubt(state, item)) continue
    const why = 'nobody knows its outcome'
    throw inDoubt(runId, item.key, state.id, { why, waiting: end === undefined ? WAIT_OR_SETTLE : '' })
  }
  for (const [id, child] of childrenOf(run, fork.takesOver)) {
    if (!runs(id)) continue
    const doubt = await doneOnceIn(parts, child, { plan: childPlan(plan, id), skipTags })
    if (doubt !== undefined) throw inDoubt(runId, childKey(id), id, doubt)
  }
}

/** What is known of a child run without its log. */
interface ChildRun {
  /** Undefined where a former fork has not written it down. */
  readonly runId?: string | undefined
  /** False while it may have been asked for only. */
  readonly hasBegun: boolean
}

/** The child runs of a run that a fork does not take over, with the ids of their states. */
function childrenOf(run: PinnedRun, takesOver: ForkIntent['takesOver']): readonly (readonly [string, ChildRun])[] {
  const own = [...run.record.items.values()].flatMap((item) => {
    const id = stateIdOf(item.key)
    if (item.childRunId === undefined || (item.output !== undefined && takesOver(id))) return []
    return [[id, childOf(run, item)] as const]
  })
  const adopted = Object.entries(run.input.children ?? {}).filter(([id]) => !takesOver(id))
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

/** How a child run would begin anew; of a state that runs no child plan any more, the plan is not known. */
interface Anew {
  readonly plan: PlanDefinition | undefined
  readonly skipTags: readonly string[]
}

/** Looks for an at-most-once execution that a child run has begun. One whose log is gone is thought to have, if its plan may. */
async function doneOnceIn(parts: EngineParts, child: ChildRun, { plan, skipTags }: Anew): Promise<Doubt | undefined> {
  const run = await findRun(parts, child.runId)
  if (run === undefined) {
    const which = child.runId === undefined ? '' : ` ${child.runId}`
    const mayHave = child.hasBegun && (plan?.doesOnce ?? true)
    return mayHave ? { why: `its child run${which} may have begun it, and is gone`, waiting: '' } : undefined
  }
  const skipped = skippedIn(plan, skipTags)
  for (const item of run.record.items.values()) {
    const state = run.manifest.states.find(({ id }) => id === stateIdOf(item.key))
    if (state === undefined || skipped.has(state.id)) continue
    if (isBegunOnce(state, item)) return doubtIn(run, item)
    if (item.childRunId === undefined) continue
    const below = await doneOnceIn(parts, childOf(run, item), { plan: childPlan(plan, state.id), skipTags })
    if (below !== undefined) return below
  }
  return undefined
}

function doubtIn({ record: { runId, end } }: PinnedRun, { key, closedSeq }: ItemRecord): Doubt {
  if (closedSeq === undefined) {
    return { why: `its child run ${runId} has begun ${key}`, waiting: end === undefined ? WAIT_OR_SETTLE : '' }
  }
  const waiting = end === undefined ? 'wait for that run, or ' : ''
  return { why: `its child run ${runId} has done ${key}, and would begin anew`, waiting }
}

function childPlan(plan: PlanDefinition | undefined, id: string): PlanDefinition | undefined {
  const node = plan?.graph.nodes[plan.graph.indexOf.get(id) ?? -1]
  return node?.kind === 'child' ? node.plan.definition : undefined
}

/** The states of a plan that do not run where these tags are skipped; none of a plan that is not known. */
function skippedIn(
  plan: PlanDefinition | undefined,
  skipTags: readonly string[],
  isSaid = (_id: string): boolean => false,
): ReadonlySet<string> {
  const skipped = new Set<string>()
  for (const node of plan?.graph.nodes ?? []) {
    // What an output was put in the place of is there for those that need it.
    if (isSaid(node.id)) continue
    const lacks = allEdges(node).some(({ id, name, optional }) => name !== undefined && !optional && skipped.has(id))
    if (lacks || node.tags.some((tag) => skipTags.includes(tag))) skipped.add(node.id)
  }
  return skipped
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
