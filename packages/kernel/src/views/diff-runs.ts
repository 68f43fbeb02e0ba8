import { canonicalJson, type Json, type Store } from '@varve/store'
import { itemKeyOf, type LogEvent } from '../log/log-event.ts'
import { readEvents } from './read-events.ts'

/** How two runs differ. */
export interface RunDiff {
  /** True when both logs hold the same types and data; times, hashes and seeds are not compared. */
  readonly same: boolean
  /** How many events from the first on are the same. */
  readonly sameUntil: number
  /** The first event of each that differs; absent where a log has ended. */
  readonly first?: { readonly a?: DiffEvent; readonly b?: DiffEvent }
  /** Keys of items whose outcome differs, or that one of the runs did not have. */
  readonly keys: readonly string[]
}

/** An event of one side. */
export interface DiffEvent {
  readonly seq: number
  readonly type: string
  readonly data: Json
}

/** Compares two runs event by event, and item by item. */
export async function diffRuns(store: Store, a: string, b: string): Promise<RunDiff> {
  const [logA = [], logB = []] = await Promise.all(
    [a, b].map(async (runId) => Array.fromAsync(readEvents(store, runId))),
  )
  let sameUntil = 0
  while (sameUntil < logA.length && sameEvent(logA[sameUntil], logB[sameUntil])) sameUntil++
  const same = sameUntil === logA.length && sameUntil === logB.length
  const [eventA, eventB] = [logA[sameUntil], logB[sameUntil]]
  const first = { ...(eventA && { a: shown(eventA) }), ...(eventB && { b: shown(eventB) }) }
  return { same, sameUntil, ...(!same && { first }), keys: differentKeys(logA, logB) }
}

function sameEvent(a: LogEvent | undefined, b: LogEvent | undefined): boolean {
  if (a === undefined || b === undefined) return false
  return a.type === b.type && comparable(a) === comparable(b)
}

/** A run's seed is drawn anew for each run, and says nothing of what it did. */
function comparable({ type, data }: LogEvent): string {
  return canonicalJson(type === 'RunStarted' ? { ...data, seed: '' } : data)
}

function shown({ seq, type, data }: LogEvent): DiffEvent {
  return { seq, type, data: data as unknown as Json }
}

/** What was reused became of its key just what became of it where it was executed. */
function outcomeOf(event: LogEvent): LogEvent {
  if (event.type !== 'ActionReused') return event
  const { key, output, attempts } = event.data
  return { ...event, type: 'ActionSucceeded', data: { key, output, attempts } }
}

/** The last event about each key tells what became of it. */
function differentKeys(a: readonly LogEvent[], b: readonly LogEvent[]): string[] {
  const [endsA, endsB] = [endsByKey(a), endsByKey(b)]
  const keys = new Set([...endsA.keys(), ...endsB.keys()])
  return [...keys].filter((key) => !sameEvent(endsA.get(key), endsB.get(key)))
}

function endsByKey(log: readonly LogEvent[]): Map<string, LogEvent> {
  const ends = new Map<string, LogEvent>()
  for (const event of log) {
    const key = itemKeyOf(event)
    if (key !== undefined) ends.set(key, outcomeOf(event))
  }
  return ends
}
