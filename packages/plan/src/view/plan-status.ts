import type { ArtifactRef } from '@varve/kernel'
import type { Manifest } from '../manifest/manifest.ts'
import type { ManifestState } from '../manifest/manifest-state.ts'
import type { Failure } from '../schedule/outcome.ts'
import { childInput, type PlanInput } from '../schedule/plan-input.ts'
import { artifactOf, resultOf, type RunRecord } from './run-record.ts'
import { StateTally } from './state-tally.ts'

/**
 * How a state stands. `waiting`: for a person, or a child plan. `cached`: taken over from another run's. `reused`: taken
 * over by a fork; `replaced`: put in its place by one. `blocked`: never to run, since something it needs has failed. `canceled`: the run ended before.
 */
export type StateStatus =
  | 'pending'
  | 'running'
  | 'waiting'
  | 'completed'
  | 'cached'
  | 'reused'
  | 'replaced'
  | 'skipped'
  | 'failed'
  | 'blocked'
  | 'canceled'

/** A state of a run. */
export interface StateView {
  readonly id: string
  readonly status: StateStatus
  /** Attempts of its own code, those of its items included; 0 when it did not run. */
  readonly attempts: number
  /** Unix milliseconds. */
  readonly startedAt?: number
  readonly endedAt?: number
  /** From its first request to its end. */
  readonly durationMs?: number
  readonly artifact?: ArtifactRef
  readonly error?: Failure
  /** Of a map: its items that are known so far, and how many of them have closed. */
  readonly items?: { readonly done: number; readonly total: number; readonly cached: number }
  /** The run that made the output, where this one did not. */
  readonly from?: { readonly runId: string; readonly key: string }
}

/** A run of a plan, and its states in topological order. */
export interface PlanStatus {
  readonly runId: string
  readonly plan: { readonly id: string; readonly version: string }
  readonly status: 'running' | 'completed' | 'failed' | 'canceled' | 'continued'
  /** States that will not move any more. */
  readonly done: number
  readonly total: number
  readonly states: readonly StateView[]
  readonly error?: Failure
}

/** What a record and its manifest say of each state. */
export function planStatus(
  record: RunRecord,
  { plan, states, config }: Manifest,
  tallies: ReadonlyMap<string, StateTally> = talliesOf(record),
): PlanStatus {
  const views = new Map<string, StateView>()
  for (const state of states) {
    const tally = tallies.get(state.id)
    const view = tally ? activeView(state, tally, record) : idleView(state, views, config.skipTags, record)
    views.set(state.id, view)
  }
  const all = [...views.values()]
  const { id, version } = plan
  return {
    runId: record.runId,
    plan: { id, version },
    status: record.end?.status ?? 'running',
    done: all.filter(isSettled).length,
    total: all.length,
    states: all,
    ...(record.end?.error && { error: record.end.error }),
  }
}

/** True for a state that will not move any more. */
export function isSettled({ status }: StateView): boolean {
  return !UNDER_WAY.has(status)
}

const UNDER_WAY: ReadonlySet<StateStatus> = new Set<StateStatus>(['pending', 'running', 'waiting'])

/** The id of the state that a key of a run belongs to. */
export function stateIdOf(key: string): string {
  const colon = key.indexOf(':')
  return colon === -1 ? key : key.slice(0, colon)
}

/** What the items of a run come to, by the ids of their states. */
export function talliesOf({ items }: RunRecord): Map<string, StateTally> {
  const tallies = new Map<string, StateTally>()
  for (const item of items.values()) tallyOf(tallies, stateIdOf(item.key)).take(item)
  return tallies
}

/** The tally of a state, which begins where there is none. */
export function tallyOf(tallies: Map<string, StateTally>, id: string): StateTally {
  const tally = tallies.get(id) ?? new StateTally(id)
  tallies.set(id, tally)
  return tally
}

/** A state that the log has something of. */
export function activeView(state: ManifestState, tally: StateTally, { end, input }: RunRecord): StateView {
  const { last, failed, startedAt } = tally
  const status = isSkippedInside(state, tally, input) ? 'skipped' : statusOf(tally, end !== undefined)
  const isOver = !UNDER_WAY.has(status) && Number.isFinite(tally.endedAt)
  const endedAt = isOver ? tally.endedAt : undefined
  const artifact = artifactOf(last)
  const from = resultOf(last)?.cache?.from
  return {
    ...{ id: state.id, status, startedAt, attempts: attemptsOf(state, tally) },
    ...(endedAt !== undefined && { endedAt, durationMs: endedAt - startedAt }),
    ...(artifact && { artifact }),
    ...(status === 'failed' && failed?.error && { error: failed.error }),
    ...(state.kind === 'map' && { items: tally.items }),
    ...(from && { from }),
  }
}

/** True for a child plan that has skipped the state whose output is its own, here or where a fork takes it over from. */
function isSkippedInside(
  { id, kind }: ManifestState,
  { last, child, start }: StateTally,
  input: PlanInput | undefined,
): boolean {
  if (kind !== 'child' || last !== undefined) return false
  if (child !== undefined) return child.output === null
  const adopted = Object.hasOwn(input?.children ?? {}, id) ? input?.children?.[id] : undefined
  if (adopted?.output !== null || start?.output === undefined) return false
  return adopted.input === childInput(start.output as unknown as PlanInput)
}

/** The engine's own parts are no attempts of the state's code. */
function attemptsOf({ kind }: ManifestState, { attempts, itemAttempts }: StateTally): number {
  if (kind === 'map') return itemAttempts
  return kind === 'state' ? attempts : 0
}

function statusOf({ last, failed, hasFailed, isWaiting, isTakenOver }: StateTally, hasEnded: boolean): StateStatus {
  if (last?.output !== undefined) {
    if (last.reused) return 'reused'
    return isTakenOver ? 'cached' : 'completed'
  }
  if (hasFailed || (hasEnded && failed !== undefined)) return 'failed'
  if (hasEnded) return 'canceled'
  return isWaiting ? 'waiting' : 'running'
}

/** A state that the log has nothing of. */
function idleView(
  { id, needs, after, tags }: ManifestState,
  views: ReadonlyMap<string, StateView>,
  skipTags: readonly string[],
  { end, input }: RunRecord,
): StateView {
  const artifact = Object.hasOwn(input?.replaced ?? {}, id) ? input?.replaced?.[id] : undefined
  if (artifact !== undefined) return { id, status: 'replaced', attempts: 0, artifact }
  const of = (state: string): StateStatus | undefined => views.get(state)?.status
  const all = [...Object.values(needs).map(({ state }) => state), ...after].map(of)
  const lacks = Object.values(needs).some(({ state, optional }) => of(state) === 'skipped' && optional !== true)
  const view = (status: StateStatus): StateView => ({ id, status, attempts: 0 })
  if (all.some((status) => status === 'failed' || status === 'blocked')) return view('blocked')
  if (tags.some((tag) => skipTags.includes(tag)) || lacks) return view('skipped')
  return view(end === undefined ? 'pending' : 'canceled')
}
