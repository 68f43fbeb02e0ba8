import type { LogEvent, WatchOptions } from '@varve/kernel'
import {
  dependenciesOf,
  isSettled,
  stateIdOf,
  stateView,
  talliesOf,
  tallyOf,
  type PlanStatus,
  type StateView,
} from '../view/plan-status.ts'
import { emptyRecord, recordEvent, type RunRecord } from '../view/run-record.ts'
import type { StateTally } from '../view/state-tally.ts'
import type { Manifest } from '../manifest/manifest.ts'
import type { ManifestState } from '../manifest/manifest-state.ts'
import type { EngineParts } from './parts.ts'
import { pinnedStart } from './pinned-run.ts'

/** A step of a run: where it stands since an event. */
export interface Progress {
  readonly runId: string
  /** Seq of the event. */
  readonly seq: number
  /** Unix milliseconds. */
  readonly at: number
  readonly status: PlanStatus['status']
  /** States that will not move any more. */
  readonly done: number
  readonly total: number
  /** The states that have moved; all of them in the first step. */
  readonly changed: readonly StateView[]
}

/** How progress is followed. */
export type ProgressOptions = Pick<WatchOptions, 'signal'>

/** Follows a run from its first event to its end, and yields where it stands whenever a state has moved. */
export async function* planProgress(
  parts: EngineParts,
  runId: string,
  options: ProgressOptions = {},
): AsyncGenerator<Progress, void, undefined> {
  const { manifest } = await pinnedStart(parts, runId)
  const tracker = new ProgressTracker(runId, manifest)
  for await (const event of parts.kernel.watch(runId, options)) {
    const step = tracker.take(event)
    if (step !== undefined) yield step
  }
}

/** A state, and those that depend on it. */
interface Place {
  readonly state: ManifestState
  readonly dependents: Place[]
  /** How many of those that it depends on may still move. */
  waitsFor: number
}

/** Keeps the view of every state, and looks again at those alone that an event can have moved. */
export class ProgressTracker {
  readonly #record: RunRecord
  readonly #skipTags: readonly string[]
  /** In topological order. */
  readonly #places: ReadonlyMap<string, Place>
  #tallies = new Map<string, StateTally>()
  readonly #views = new Map<string, StateView>()
  #done = 0

  constructor(runId: string, { states, config }: Pick<Manifest, 'states' | 'config'>) {
    this.#record = emptyRecord(runId)
    this.#skipTags = config.skipTags
    this.#places = placesOf(states)
  }

  /** @returns undefined when no state has moved. */
  take(event: LogEvent): Progress | undefined {
    const key = recordEvent(this.#record, event)
    const changed = this.#changedBy(event, key)
    const { end, runId } = this.#record
    if (changed.length === 0 && end === undefined) return undefined
    const status = end?.status ?? 'running'
    return { runId, seq: event.seq, at: event.at, status, done: this.#done, total: this.#places.size, changed }
  }

  #changedBy(event: LogEvent, key: string | undefined): readonly StateView[] {
    const place = key === undefined ? undefined : this.#places.get(stateIdOf(key))
    const item = key === undefined ? undefined : this.#record.items.get(key)
    if (place !== undefined && item !== undefined) tallyOf(this.#tallies, place.state.id).take(item)
    if (event.type === 'RunForked') this.#tallies = talliesOf(this.#record)
    // These move states that the log says nothing of.
    const movesAll = event.type === 'RunStarted' || event.type === 'RunForked' || this.#record.end !== undefined
    if (movesAll) return this.#lookAt(this.#places.values())
    return place !== undefined && item !== undefined ? this.#lookAt([place]) : []
  }

  /** Looks at states, and at those behind them that have nothing to wait for any more. */
  #lookAt(places: Iterable<Place>): readonly StateView[] {
    const moved: StateView[] = []
    // A list that grows: chains of states may be long.
    const due = [...places]
    for (const place of due) {
      const before = this.#views.get(place.state.id)
      const view = this.#viewOf(place)
      if (before !== undefined && JSON.stringify(before) === JSON.stringify(view)) continue
      this.#views.set(view.id, view)
      moved.push(view)
      due.push(...this.#settle(place, view, before))
    }
    return moved
  }

  #viewOf({ state }: Place): StateView {
    const seen = { views: this.#views, skipTags: this.#skipTags, record: this.#record }
    return stateView(state, this.#tallies.get(state.id), seen)
  }

  /** @returns the dependents that wait for nothing any more, or in vain. */
  #settle({ dependents }: Place, view: StateView, before: StateView | undefined): readonly Place[] {
    const settled = Number(isSettled(view)) - Number(before !== undefined && isSettled(before))
    if (settled === 0) return []
    this.#done += settled
    const isInVain = view.status === 'failed' || view.status === 'blocked'
    return dependents.filter((dependent) => {
      dependent.waitsFor -= settled
      const known = this.#views.get(dependent.state.id)
      // Before the first look at all of them its turn is yet to come.
      if (known === undefined) return false
      return isInVain ? known.status !== 'blocked' : dependent.waitsFor === 0
    })
  }
}

function placesOf(states: readonly ManifestState[]): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>()
  for (const state of states) {
    const needed = dependenciesOf(state)
    const place: Place = { state, dependents: [], waitsFor: needed.length }
    for (const id of needed) places.get(id)?.dependents.push(place)
    places.set(state.id, place)
  }
  return places
}
