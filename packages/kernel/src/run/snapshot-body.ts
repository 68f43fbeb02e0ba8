import { canonicalJson, formatPath, isStoreError, type Json, type LogEnd } from '@varve/store'
import { KernelError, textOf } from '../errors.ts'
import type { Counts, EventData } from '../log/event-data.ts'
import { ClosedItems, type SavedItems } from './closed-items.ts'
import { fingerprintOfText, type Fact, type OpenAction, type OpenItem } from './item.ts'
import type { RunFold } from './run-fold.ts'
import type { Cancel, Reuse, System, TerminalEvent } from './system.ts'

/** Version of the format of a snapshot's body; others are passed over. */
export const SNAPSHOT_FORMAT = 2

/** A fold at a point of its log, ready to be made a snapshot. */
export interface HeldFold {
  readonly runId: string
  readonly end: LogEnd
  /** The fold as JSON, properties in the order in which they were given. May be called until an event that is no decision is applied. */
  readonly body: () => string
}

/**
 * Remembers the fold as it stands, at no cost. What decisions add and close can be told from what was there before them:
 * that is what lets a snapshot stand before the run's last decision.
 */
export function holdFold({ system, stepper }: RunFold): HeldFold {
  const { runId, end, at, started, signals, cancel, reuse, terminal, counts, deciding } = system
  const closedBefore = system.closed.size
  // This hold's own: a turn that decides nothing holds anew, and must not take from the hold before it.
  const removed: OpenItem[] = (system.removed = [])
  const state = stepper.hold()
  const body = (): string => {
    const items = [...system.open.values(), ...removed].filter(({ seq }) => seq <= end.seq)
    const open = items.sort((a, b) => a.seq - b.seq).map((item) => savedItem(item))
    const closed = system.closed.saved(closedBefore)
    const ends = { cancel: cancel ?? null, terminal: terminal ?? null }
    const rest = { started: started ?? null, signals, ...ends, reuse: reuse ?? null }
    const saved = {
      at,
      open,
      closed,
      ...rest,
      facts: [...(system.facts ?? [])],
      counts,
      deciding,
      state: keptState(state()),
    }
    // Not canonical: a step that walks over the state's properties must meet them in the order it gave them.
    return JSON.stringify(saved)
  }
  return { runId, end, body }
}

/** An open item as a snapshot holds it. */
type SavedItem = Exclude<OpenItem, OpenAction> | (Omit<OpenAction, 'request'> & { readonly input: Json })

function savedItem(item: OpenItem): SavedItem {
  const fingerprint = fingerprintOfText(item.fingerprint)
  if (item.kind !== 'action') return { ...item, fingerprint }
  const { request, ...rest } = item
  return { ...rest, fingerprint, input: request.input }
}

function openItem(saved: SavedItem): OpenItem {
  if (saved.kind !== 'action') return saved
  const { input, ...rest } = saved
  return { ...rest, request: { input } }
}

/** @throws KernelError `STATE_NOT_JSON` with the path of what would be lost. */
export function checkedState(state: Json): Json {
  try {
    canonicalJson(state, { name: 'state' })
    return state
  } catch (cause) {
    if (!isStoreError(cause)) throw cause
    const { path } = cause.where
    throw new KernelError('STATE_NOT_JSON', textOf(cause), { cause, ...(path !== undefined && { path }) })
  }
}

/** A state that comes back as it is: from a snapshot a run must decide what it decides from its log. */
function keptState(state: Json): Json {
  if (isReadableAndKept(state)) return state
  const path: (string | number)[] = ['state']
  const changed = changedIn(checkedState(state), path)
  if (changed === undefined) return state
  const where = formatPath(path)
  const text = `${where} is ${changed}, which a snapshot would not give back; without one the run is read from its whole log`
  throw new KernelError('STATE_NOT_JSON', text, { path: where })
}

/** How deep a state may nest, as for {@link checkedState}. */
const ROOM = 100

/** What throws when it is read is found once more by {@link checkedState}, which says where. */
function isReadableAndKept(state: Json): boolean {
  try {
    return isSurelyKept(state, ROOM)
  } catch {
    return false
  }
}

/** True only for what JSON gives back as it is. Takes a third of the time of writing it. */
function isSurelyKept(part: unknown, room: number): boolean {
  switch (typeof part) {
    case 'string':
      return part.isWellFormed()
    case 'number':
      return Number.isInteger(part) ? Number.isSafeInteger(part) && !Object.is(part, -0) : Number.isFinite(part)
    case 'object':
      return part === null || (room > 0 && Object.getOwnPropertySymbols(part).length === 0 && areSurelyKept(part, room))
    default:
      return typeof part === 'boolean'
  }
}

function areSurelyKept(part: object, room: number): boolean {
  const keys = Object.keys(part)
  if (Array.isArray(part)) {
    if (keys.length !== part.length || Object.getPrototypeOf(part) !== Array.prototype || 'toJSON' in part) return false
    for (const child of part) if (!isSurelyKept(child, room - 1)) return false
    return true
  }
  if (Object.getPrototypeOf(part) !== Object.prototype || 'toJSON' in part) return false
  for (const key of keys) {
    if (!key.isWellFormed() || !isSurelyKept((part as Readonly<Record<string, unknown>>)[key], room - 1)) return false
  }
  return true
}

/**
 * What JSON gives back as something else, of which a step could tell the difference; undefined where there is nothing.
 *
 * @param path - to the part; afterwards, to what was found.
 */
function changedIn(part: unknown, path: (string | number)[]): string | undefined {
  if (Object.is(part, -0)) return '-0 (make it 0)'
  if (typeof part !== 'object' || part === null) return undefined
  if (typeof (part as { toJSON?: unknown }).toJSON === 'function')
    return 'something that says itself how it is written (take its toJSON away)'
  // That of an array is an array itself, in every realm.
  if (Array.isArray(part) && !Array.isArray(Object.getPrototypeOf(part))) return 'an array of a class (make it [...it])'
  if (Object.getPrototypeOf(part) === null) return 'an object without a prototype (make it { ...it })'
  for (const [key, child] of Object.entries(part)) {
    path.push(Array.isArray(part) ? Number(key) : key)
    const changed = changedIn(child, path)
    if (changed !== undefined) return changed
    path.pop()
  }
  return undefined
}

interface SavedFold {
  readonly at: number
  readonly open: readonly SavedItem[]
  readonly closed: SavedItems
  readonly started: EventData['RunStarted'] | null
  readonly signals: readonly EventData['SignalReceived'][]
  readonly cancel: Cancel | null
  readonly reuse: Reuse | null
  readonly terminal: TerminalEvent | null
  readonly facts: readonly (readonly [key: string, fact: Fact])[]
  readonly counts: Counts
  readonly deciding: boolean
  readonly state: Json
}

/** Puts a fresh fold to where a snapshot stood. @throws anything for a body that is none; callers fall back then. */
export function loadSnapshot(fold: RunFold, end: LogEnd, body: string): void {
  const saved = JSON.parse(body) as SavedFold
  const system: System = fold.system
  system.end = end
  system.at = saved.at
  system.started = saved.started ?? undefined
  system.signals = [...saved.signals]
  system.cancel = saved.cancel ?? undefined
  system.reuse = saved.reuse ?? undefined
  system.terminal = saved.terminal ?? undefined
  // Counting anew from here on would give the run its budgets back.
  if ((saved.counts as Counts | undefined)?.usage === undefined) throw new TypeError('a snapshot without counts')
  system.counts = saved.counts
  system.deciding = saved.deciding
  system.closed = new ClosedItems(saved.closed)
  if (saved.facts.length > 0) system.facts = new Map(saved.facts)
  for (const item of saved.open) system.open.put(openItem(item))
  fold.stepper.load(saved.state)
}
