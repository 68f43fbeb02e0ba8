import type { LogEvent, WatchOptions } from '@varve/kernel'
import {
  activeView,
  isSettled,
  planStatus,
  stateIdOf,
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

/** Keeps the view of every state, and looks again at those alone that an event can have moved. */
class ProgressTracker {
  readonly #record: RunRecord
  readonly #manifest: Manifest
  readonly #states: ReadonlyMap<string, ManifestState>
  #tallies = new Map<string, StateTally>()
  readonly #views = new Map<string, StateView>()
  #done = 0

  constructor(runId: string, manifest: Manifest) {
    this.#record = emptyRecord(runId)
    this.#manifest = manifest
    this.#states = new Map(manifest.states.map((state) => [state.id, state]))
  }

  /** @returns undefined when no state has moved. */
  take(event: LogEvent): Progress | undefined {
    const key = recordEvent(this.#record, event)
    const changed = this.#changedBy(event, key)
    const { end, runId } = this.#record
    if (changed.length === 0 && end === undefined) return undefined
    const status = end?.status ?? 'running'
    return { runId, seq: event.seq, at: event.at, status, done: this.#done, total: this.#states.size, changed }
  }

  #changedBy(event: LogEvent, key: string | undefined): readonly StateView[] {
    const state = key === undefined ? undefined : this.#states.get(stateIdOf(key))
    const item = key === undefined ? undefined : this.#record.items.get(key)
    if (state !== undefined && item !== undefined) tallyOf(this.#tallies, state.id).take(item)
    const hasFailed = item?.error !== undefined && item.closedSeq === event.seq
    // These move states that the log says nothing of.
    if (event.type === 'RunStarted' || event.type === 'RunForked' || hasFailed || this.#record.end !== undefined) {
      return this.#lookAtAll(event.type === 'RunForked')
    }
    if (state === undefined || item === undefined) return []
    return this.#moved([activeView(state, tallyOf(this.#tallies, state.id), this.#record)])
  }

  #lookAtAll(isFork: boolean): readonly StateView[] {
    if (isFork) this.#tallies = talliesOf(this.#record)
    return this.#moved(planStatus(this.#record, this.#manifest, this.#tallies).states)
  }

  #moved(views: readonly StateView[]): readonly StateView[] {
    return views.filter((view) => {
      const before = this.#views.get(view.id)
      if (before !== undefined && JSON.stringify(before) === JSON.stringify(view)) return false
      this.#views.set(view.id, view)
      this.#done += Number(isSettled(view)) - Number(before !== undefined && isSettled(before))
      return true
    })
  }
}
