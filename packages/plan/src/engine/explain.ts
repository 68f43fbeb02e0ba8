import { changedParts, keyParts, type FindState, type KeyParts } from '../cache/cache-key.ts'
import { cacheGroup, keptOutput } from '../cache/output-cache.ts'
import type { ManifestState } from '../manifest/manifest-state.ts'
import type { RunRequest } from '../schedule/requests.ts'
import { planStatus, stateIdOf, type StateStatus, type StateView } from '../view/plan-status.ts'
import { resultOf, type ItemRecord, type RunRecord } from '../view/run-record.ts'
import { isPlanError } from '../errors.ts'
import type { EngineParts } from './parts.ts'
import { manifestState, pinnedRun, type PinnedRun } from './pinned-run.ts'

/** One part of what an output was computed from, in the former run and in this one; absent where it was no part. */
export interface ChangedPart {
  /** Such as `needs.rates`, `params.cents`, `version`, `code`, `environment.TZ`. */
  readonly part: string
  readonly before?: string
  readonly now?: string
}

/** Why a state, or an item of a map, did or did not run. */
export interface Explanation {
  /** The state's id; with the item's key for one of a map. */
  readonly key: string
  readonly status: StateStatus
  /** One sentence. */
  readonly reason: string
  /** What it is compared with: the run whose output was taken over, or the one that came nearest. */
  readonly comparedWith?: { readonly runId: string; readonly key: string }
  /** What differs from there; empty when the output was taken over. */
  readonly changed: readonly ChangedPart[]
}

/** How an explanation is asked for. */
export interface ExplainOptions {
  /** The run to compare with. Default: for a cached state the newest like it in the cache, for others the run it was forked from. */
  readonly against?: string
}

/** Says why a state of a run did or did not run: first the state, then its items, if it is a map. */
export async function explainState(
  parts: EngineParts,
  runId: string,
  stateId: string,
  { against }: ExplainOptions = {},
): Promise<readonly Explanation[]> {
  const run = await pinnedRun(parts, runId)
  const state = manifestState(run, stateId)
  const former = against ?? (await forkedFrom(parts, runId))
  const other =
    former === undefined
      ? undefined
      : await pinnedRun(parts, former).catch((error: unknown) => {
          // The run that this one was forked from has been removed since.
          if (against === undefined && isPlanError(error, 'RUN_NOT_FOUND')) return undefined
          throw error
        })
  const view = planStatus(run.record, run.manifest).states.find(({ id }) => id === stateId) as StateView
  const executions = [...run.record.items.values()].filter(
    ({ key }) => key === stateId || key.startsWith(`${stateId}:item:`),
  )
  const explained = await Promise.all(
    executions.map(async (item) => explainItem(parts, { run, state, view, item, other })),
  )
  const own = explained.find(({ key }) => key === stateId) ?? ownExplanation(state, view)
  return [own, ...explained.filter(({ key }) => key !== stateId)]
}

/** Of states whose last execution is the engine's own. */
const OWN_REASONS: Readonly<Partial<Record<ManifestState['kind'], string>>> = {
  map: 'lists the outputs of its items',
  approval: 'asks a person in every run',
  child: 'runs another plan, which explains itself',
}

interface Explaining {
  readonly run: PinnedRun
  readonly state: ManifestState
  readonly view: StateView
  readonly item: ItemRecord
  readonly other: PinnedRun | undefined
}

async function explainItem(parts: EngineParts, { run, state, view, item, other }: Explaining): Promise<Explanation> {
  const { key } = item
  const status = key === state.id ? view.status : itemStatus(item, run.record)
  const from = resultOf(item)?.cache?.from
  if (from !== undefined) {
    return { key, status, reason: `equal to ${from.key} of run ${from.runId}`, comparedWith: from, changed: [] }
  }
  if (item.reused) {
    return { key, status, reason: 'asked for as in the run that this one was forked from', changed: [] }
  }
  const own = OWN_REASONS[state.kind]
  if (own !== undefined && key === state.id) {
    return status === 'failed' ? ownExplanation(state, view) : { key, status, reason: own, changed: [] }
  }
  const now = partsOf(state, run, item)
  const before = other === undefined ? await nearest(parts, run.record, state, item, now) : formerParts(other, item)
  if (before === undefined) return { key, status, reason: firstReason(state, key), changed: [] }
  return { key, status, ...compared(before, now, item, state) }
}

function compared(
  { parts: before, runId, key }: Former,
  now: ItemParts,
  item: ItemRecord,
  { cache }: ManifestState,
): Pick<Explanation, 'reason' | 'comparedWith' | 'changed'> {
  const comparedWith = { runId, key }
  const changed = changedNames(before, now).map((part): ChangedPart => {
    const [was, is] = [before.known[part], now.known[part]]
    return { part, ...(was !== undefined && { before: was }), ...(is !== undefined && { now: is }) }
  })
  const names = changed.map(({ part }) => part).join(', ')
  if (names !== '') return { reason: `changed: ${names}`, comparedWith, changed }
  return { reason: unchangedReason(item, cache), comparedWith, changed }
}

function unchangedReason({ input }: ItemRecord, cache: boolean): string {
  if ((input as unknown as RunRequest).fresh !== undefined) return 'a fork runs it again'
  return cache
    ? 'nothing changed, but the output that was kept was gone or damaged'
    : 'nothing changed, and its output was not kept for other runs'
}

/** What an execution depends on. What the environment was, its result alone says. */
interface ItemParts {
  readonly known: KeyParts
  readonly knowsEnvironment: boolean
}

interface Former {
  readonly runId: string
  readonly key: string
  readonly parts: ItemParts
}

/** Names of the parts that differ, as far as both sides are known. */
function changedNames(before: ItemParts, now: ItemParts): readonly string[] {
  const names = changedParts(before.known, now.known)
  if (before.knowsEnvironment && now.knowsEnvironment) return names
  return names.filter((name) => !name.startsWith('environment.'))
}

function formerParts(run: PinnedRun, { key }: ItemRecord): Former | undefined {
  const { record, manifest } = run
  const item = record.items.get(key)
  const state = manifest.states.find(({ id }) => id === stateIdOf(key))
  return item && state && { runId: record.runId, key, parts: partsOf(state, run, item) }
}

/** So many of the newest entries of an execution are looked at. */
const LOOKED_AT = 50

/** The output kept before an execution was asked for that differs in the fewest parts. */
async function nearest(
  { store }: EngineParts,
  { runId }: RunRecord,
  state: ManifestState,
  { key, startedAt }: ItemRecord,
  now: ItemParts,
): Promise<Former | undefined> {
  if (!state.cache) return undefined
  const filter = { group: cacheGroup(key), createdBefore: startedAt + 1 }
  const { items } = await store.cache.list(filter, { limit: LOOKED_AT })
  const others = items
    .flatMap(({ body, createdAt }) => {
      const kept = keptOutput(body)
      return kept === undefined || kept.runId === runId ? [] : [{ kept, createdAt }]
    })
    .map(({ kept, createdAt }) => {
      const parts = { known: kept.parts, knowsEnvironment: true }
      return {
        former: { runId: kept.runId, key: kept.key, parts },
        createdAt,
        distance: changedNames(parts, now).length,
      }
    })
    // An equal output of the same millisecond was kept behind this one's look for it.
    .filter(({ createdAt, distance }) => distance > 0 || createdAt < startedAt)
  // Of equals, the newest.
  return others.toSorted((a, b) => a.distance - b.distance)[0]?.former
}

function partsOf(state: ManifestState, { manifest }: PinnedRun, item: ItemRecord): ItemParts {
  const find: FindState = (id) => manifest.states.find((each) => each.id === id)
  const environment = resultOf(item)?.cache?.environment
  return {
    known: keyParts(state, find, item.input as unknown as RunRequest, environment ?? {}),
    knowsEnvironment: environment !== undefined || state.environment.length === 0,
  }
}

function itemStatus(item: ItemRecord, { end }: RunRecord): StateStatus {
  if (item.error !== undefined) return 'failed'
  if (item.output === undefined) return end === undefined ? 'running' : 'canceled'
  if (item.reused) return 'reused'
  return resultOf(item)?.cache?.from === undefined ? 'completed' : 'cached'
}

function firstReason({ id, cache }: ManifestState, key: string): string {
  if (cache && key !== id) return 'no run has kept an output of this item before'
  return cache ? 'no run has kept an output of it before' : 'it is not cached, and runs in every run'
}

/** Of a state whose own execution the log has nothing of, or says nothing about why it came to this. */
function ownExplanation(state: ManifestState, view: StateView): Explanation {
  return { key: view.id, status: view.status, reason: ownReason(state, view), changed: [] }
}

function ownReason({ kind }: ManifestState, { status, error, startedAt }: StateView): string {
  if (status === 'failed') return `it failed: ${error?.message ?? 'no more is known'}`
  if (status === 'waiting') return kind === 'child' ? 'its child plan has not ended' : 'nobody has answered'
  if (status === 'running') return 'what it is made of is under way'
  const hasBegun = startedAt !== undefined
  if (status === 'skipped' && hasBegun) return 'its child plan has skipped the state whose output it would have'
  if (status === 'canceled' && hasBegun) return 'the run ended before it did'
  return IDLE_REASONS[status] ?? status
}

const IDLE_REASONS: Readonly<Partial<Record<StateStatus, string>>> = {
  pending: 'what it needs is not there yet',
  skipped: 'one of its tags, or a state that it needs, is skipped by the run config',
  blocked: 'a state that it needs has failed',
  canceled: 'the run ended before its turn',
  replaced: 'a fork has put another output in its place',
}

async function forkedFrom({ kernel }: EngineParts, runId: string): Promise<string | undefined> {
  return (await kernel.lineage(runId)).forkedFrom.at(-1)?.runId
}
