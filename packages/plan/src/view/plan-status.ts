import type { ArtifactRef } from '@varve/kernel'
import type { Manifest } from '../manifest/manifest.ts'
import type { ManifestState } from '../manifest/manifest-state.ts'
import type { Failure } from '../schedule/outcome.ts'
import { artifactOf, resultOf, type ItemRecord, type RunRecord } from './run-record.ts'

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
  const groups = itemsByState(record)
  const views = new Map<string, StateView>()
  for (const state of states) {
    const items = groups.get(state.id) ?? []
    const view = items.length > 0 ? activeView(state, items, record) : idleView(state, views, config.skipTags, record)
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

function itemsByState({ items }: RunRecord): ReadonlyMap<string, readonly ItemRecord[]> {
  return Map.groupBy(items.values(), ({ key }) => stateIdOf(key))
}

/** A state that the log has something of. */
export function activeView(state: ManifestState, items: readonly ItemRecord[], { end }: RunRecord): StateView {
  const last = items.find(({ key }) => key === state.id)
  const failed = items.find(({ error }) => error !== undefined)
  const status = statusOf(items, last, failed, end !== undefined)
  const startedAt = Math.min(...items.map((item) => item.startedAt))
  const ends = items.flatMap(({ endedAt }) => endedAt ?? [])
  const isOver = !UNDER_WAY.has(status) && ends.length > 0
  const endedAt = isOver ? Math.max(...ends) : undefined
  const artifact = artifactOf(last)
  const from = resultOf(last)?.cache?.from
  return {
    ...{ id: state.id, status, startedAt, attempts: items.reduce((sum, item) => sum + attemptsOf(item), 0) },
    ...(endedAt !== undefined && { endedAt, durationMs: endedAt - startedAt }),
    ...(artifact && { artifact }),
    ...(status === 'failed' && failed?.error && { error: failed.error }),
    ...(state.kind === 'map' && { items: countsOf(state.id, items) }),
    ...(from && { from }),
  }
}

/** What was taken over was not attempted here. */
function attemptsOf(item: ItemRecord): number {
  return item.reused || resultOf(item)?.cache?.from !== undefined ? 0 : item.attempts
}

function statusOf(
  items: readonly ItemRecord[],
  last: ItemRecord | undefined,
  failed: ItemRecord | undefined,
  hasEnded: boolean,
): StateStatus {
  if (last?.output !== undefined) {
    if (last.reused) return 'reused'
    return isTakenOver(items) ? 'cached' : 'completed'
  }
  const isOpen = items.some(({ closedSeq }) => closedSeq === undefined)
  if (failed !== undefined && (hasEnded || !isOpen)) return 'failed'
  if (hasEnded) return 'canceled'
  return items.some(({ closedSeq, waits }) => closedSeq === undefined && waits) ? 'waiting' : 'running'
}

/** True when all code of the state was spared: the state itself, or every item of a map. */
function isTakenOver(items: readonly ItemRecord[]): boolean {
  const runs = items.filter(({ key }) => key.includes(':item:'))
  const own = runs.length > 0 ? runs : items
  return own.every((item) => resultOf(item)?.cache?.from !== undefined)
}

function countsOf(id: string, items: readonly ItemRecord[]): NonNullable<StateView['items']> {
  const runs = items.filter(({ key }) => key.startsWith(`${id}:item:`))
  return {
    total: runs.length,
    done: runs.filter(({ closedSeq }) => closedSeq !== undefined).length,
    cached: runs.filter((item) => resultOf(item)?.cache?.from !== undefined).length,
  }
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
