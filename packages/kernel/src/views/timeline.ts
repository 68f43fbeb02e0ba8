import type { RunStatus, Store } from '@varve/store'
import type { EventType } from '../log/event-data.ts'
import type { LogEvent } from '../log/log-event.ts'
import type { Spent } from '../policy/policy.ts'
import { spentAt } from '../run/counts.ts'
import { statusOf } from '../run/system.ts'
import { readSystem } from './read-fold.ts'

/** What happened in a run, in order. */
export interface Timeline {
  readonly runId: string
  readonly status: RunStatus
  /** Seq of the last event; 0 when there is none. */
  readonly head: number
  /** Hash of the whole log. */
  readonly hash: string
  /** What it has spent up to its last event, with the runs that it continues. */
  readonly spent: Spent
  readonly events: readonly TimelineEntry[]
}

/** One event of a timeline. */
export interface TimelineEntry {
  readonly seq: number
  readonly type: EventType
  /** Unix milliseconds. */
  readonly at: number
  /** The item it is about. */
  readonly key?: string
  readonly stepId?: string
  readonly attempt?: number
}

/** Reads a run's timeline, and checks the log on the way. Needs no code of the workflow. */
export async function readTimeline(store: Store, runId: string): Promise<Timeline> {
  const events: TimelineEntry[] = []
  const system = await readSystem(store, runId, (event) => events.push(entryOf(event)))
  const spent = spentAt(system, system.at)
  return { runId, status: statusOf(system), head: system.end.seq, hash: system.end.hash, spent, events }
}

function entryOf({ seq, type, at, data }: LogEvent): TimelineEntry {
  return {
    ...{ seq, type, at },
    ...('key' in data && { key: data.key }),
    ...('stepId' in data && data.stepId !== undefined && { stepId: data.stepId }),
    ...('attempt' in data && { attempt: data.attempt }),
  }
}
