import type { ArtifactRef } from '@varve/kernel'
import type { Manifest } from '../manifest/manifest.ts'
import { NULL_OUTPUT, type ManifestState } from '../manifest/manifest-state.ts'
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
export function planStatus(record: RunRecord, { plan, states, config }: Manifest): PlanStatus {
  const tallies = talliesOf(record)
  const views = new Map<string, StateView>()
  for (const state of states) {
    views.set(state.id, stateView(state, tallies.get(state.id), { views, skipTags: config.skipTags, record }))
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

/** What the view of a state is made from besides its own items: among others, the views of the states that it depends on. */
export interface Seen {
  readonly views: ReadonlyMap<string, StateView>
  readonly skipTags: readonly string[]
  readonly record: RunRecord
}

/** A state, by what the log has of it, or else by how those stand that it depends on. */
export function stateView(state: ManifestState, tally: StateTally | undefined, seen: Seen): StateView {
  return tally ? activeView(state, tally, seen.record) : idleView(state, seen)
}

/** Ids of the states that a state depends on, each once. */
export function dependenciesOf({ needs, after }: Pick<ManifestState, 'needs' | 'after'>): readonly string[] {
  return [...new Set([...Object.values(needs).map(({ state }) => state), ...after])]
}

/** A state that the log has something of. */
function activeView(state: ManifestState, tally: StateTally, record: RunRecord): StateView {
  const { last, failed, startedAt } = tally
  const status = isSkippedInside(state, tally, record) ? 'skipped' : statusOf(tally, record.end !== undefined)
  const isOver = !UNDER_WAY.has(status) && Number.isFinite(tally.endedAt)
  const endedAt = isOver ? tally.endedAt : undefined
  const artifact = artifactOf(last)
  const from = resultOf(last)?.cache?.from
  return {
    ...{ id: state.id, status, startedAt, attempts: attemptsOf(state, tally) },
    ...(endedAt !== undefined && { endedAt, durationMs: endedAt - startedAt }),
    ...(artifact && { artifact }),
    ...(status === 'failed' && failed?.error && { error: failureOf(state.id, failed.key, failed.error) }),
    ...(state.kind === 'map' && { items: tally.items }),
    ...(from && { from }),
  }
}

/** True for a child plan that has skipped the state whose output is its own, here or where a fork takes it over from. */
function isSkippedInside(
  { id, kind, output }: ManifestState,
  { last, child, start }: StateTally,
  { input, end }: RunRecord,
): boolean {
  if (kind !== 'child' || last !== undefined) return false
  // Null may also be what it makes, which was about to be recorded.
  if (output === NULL_OUTPUT && end?.status !== 'completed') return false
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

/** Of a map, the error names the item. */
function failureOf(id: string, key: string, error: Failure): Failure {
  const prefix = `${id}:item:`
  return key.startsWith(prefix) ? { ...error, message: `item ${key.slice(prefix.length)}: ${error.message}` } : error
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
  { views, skipTags, record: { end, input } }: Seen,
): StateView {
  const artifact = Object.hasOwn(input?.replaced ?? {}, id) ? input?.replaced?.[id] : undefined
  if (artifact !== undefined) return { id, status: 'replaced', attempts: 0, artifact }
  const of = (state: string): StateView | undefined => views.get(state)
  const all = dependenciesOf({ needs, after }).map(of)
  const lacks = Object.values(needs).some(({ state, optional }) => of(state)?.status === 'skipped' && optional !== true)
  const view = (status: StateStatus): StateView => ({ id, status, attempts: 0 })
  if (all.some((one) => one?.status === 'failed' || one?.status === 'blocked')) return view('blocked')
  const isSkipped = tags.some((tag) => skipTags.includes(tag)) || lacks
  // What is to be skipped is blocked all the same by what may still fail.
  if (isSkipped && all.every((one) => one !== undefined && isSettled(one))) return view('skipped')
  return view(end === undefined ? 'pending' : 'canceled')
}
