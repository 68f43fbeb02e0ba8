import { genesis, type BlockedOn, type Json, type LogEnd, type RunStatus } from '@varve/store'
import { KernelError } from '../errors.ts'
import { isDecision, type Counts, type ErrorInfo, type EventData } from '../log/event-data.ts'
import type { LogEvent } from '../log/log-event.ts'
import { deniedError } from '../policy/denied-error.ts'
import { ClosedItems } from './closed-items.ts'
import { countsAfter, nothingSpent } from './counts.ts'
import { fingerprint, type OpenAction, type OpenItem, type Fact } from './item.ts'
import { dueAt, nameOf, openedItem } from './open-item.ts'
import { OpenItems } from './open-items.ts'
import { findFact, withFact } from './facts.ts'

/**
 * What every log says regardless of its workflow: how the run stands, what is in flight, what was done. The fold that
 * keeps it is the single truth of driver, timeline, run row and command line. It is mutable inside; as a function of the
 * log it is pure.
 */
export interface System {
  readonly runId: string
  end: LogEnd
  /** `at` of the last event. */
  at: number
  /** Absent in a log that began without `RunStarted`. */
  started: EventData['RunStarted'] | undefined
  readonly open: OpenItems
  closed: ClosedItems
  /** Items that closed since the fold was last held, so that the fold before can be told; none are kept before it is held. */
  removed: OpenItem[] | undefined
  /** What the run was told for all its attempts, by fact key; absent until it was told something. */
  facts: Map<string, Fact> | undefined
  /** Signals that no wait has taken yet, earliest first. */
  signals: EventData['SignalReceived'][]
  /** The first request to cancel the run, and how many there were. */
  cancel: Cancel | undefined
  /** Whose results the run takes over instead of executing again; set by a fork. */
  reuse: Reuse | undefined
  terminal: TerminalEvent | undefined
  /** What the run has spent, itself and the runs that it continues. */
  counts: Counts
  /** True when the last event was a decision. */
  deciding: boolean
}

/** The log that a fork was taken from, and where. */
export type Reuse = Pick<EventData['RunForked'], 'fromRunId' | 'atSeq' | 'fromHash'>

/** That a run is to be canceled. */
export interface Cancel {
  readonly reason: string
  /** Set when the kernel asked for it: the run fails with this code instead of being canceled. */
  readonly code?: string
  readonly requests: number
  /** Keys of what was open at the last request: it is dropped before anything else is decided. */
  readonly doomed: readonly string[]
  /** When the clean-up ends at the latest, Unix milliseconds. */
  readonly graceUntil?: number
}

/** How a run ended. */
export type TerminalEvent =
  | { readonly type: 'Completed'; readonly output: Json }
  | { readonly type: 'Failed'; readonly error: ErrorInfo }
  | { readonly type: 'Canceled'; readonly reason: string }
  | { readonly type: 'ContinuedAsNew'; readonly newRunId: string }

/** A run before its first event. */
export function emptySystem(runId: string): System {
  const end = genesis(runId)
  const items = { open: new OpenItems(), closed: new ClosedItems(), removed: undefined, signals: [] }
  const none = { facts: undefined, started: undefined, cancel: undefined, reuse: undefined, terminal: undefined }
  return { runId, end, at: 0, ...items, ...none, counts: nothingSpent, deciding: false }
}

/**
 * Moves the system by one event.
 *
 * @param input - canonical JSON of the input that an action is requested with, for whoever knows it.
 * @returns the item that the event closed, if it closed one.
 * @throws KernelError `INVALID_LOG` for an event that cannot stand there; the system is unchanged then.
 */
export function applyToSystem(system: System, event: LogEvent, input?: string): OpenItem | undefined {
  if (system.terminal !== undefined) throw illegal(system, event, 'the run has ended')
  if (event.at < system.at) throw illegal(system, event, 'its time is before that of the event before')
  const counts = countsAfter(system, event)
  const closed = transition(system, event, input)
  system.counts = counts
  system.deciding = isDecision(event.type)
  system.end = { seq: event.seq, hash: event.hash }
  system.at = event.at
  return closed
}

function transition(system: System, event: LogEvent, input?: string): OpenItem | undefined {
  switch (event.type) {
    case 'RunStarted':
      if (event.seq !== 1) throw illegal(system, event, 'a run starts with its first event')
      system.started = event.data
      return undefined
    case 'StateUpdated':
    case 'DomainEvent':
      return undefined
    case 'SignalReceived':
      system.signals = [...system.signals, event.data]
      return undefined
    case 'RunForked':
      fork(system, event.data)
      return undefined
    case 'Migrated':
      migrate(system, event)
      return undefined
    case 'CancelRequested':
      system.cancel = requestCancel(system, event.data)
      return undefined
    case 'ActionRequested':
    case 'TimerStarted':
    case 'WaitStarted':
    case 'Interrupted':
    case 'ChildStarted':
      open(system, event, openedItem(event, input))
      return undefined
    case 'ActionAttemptStarted':
    case 'ActionAttemptFailed':
    case 'ActionAttemptAbandoned':
    case 'ActionInDoubt':
      system.open.put(moveAttempt(system, event))
      return undefined
    case 'FactRecorded':
      recordFact(system, event)
      return undefined
    case 'ActionDenied':
      return deny(system, event)
    case 'ActionReused':
      return reuse(system, event)
    case 'Completed':
    case 'Failed':
    case 'Canceled':
    case 'ContinuedAsNew':
      if (system.open.size > 0) throw illegal(system, event, 'items are open')
      system.terminal = terminalOf(event)
      return undefined
    default:
      return close(system, event)
  }
}

type AttemptEvent = Extract<
  LogEvent,
  { type: 'ActionAttemptStarted' | 'ActionAttemptFailed' | 'ActionAttemptAbandoned' | 'ActionInDoubt' }
>
type EndEvent = Extract<LogEvent, { type: 'Completed' | 'Failed' | 'Canceled' | 'ContinuedAsNew' }>

/** Events that close an item, by the kind of item they close; `ItemDropped` closes any. */
const CLOSES = {
  ActionSucceeded: 'action',
  ActionFailed: 'action',
  TimerFired: 'timer',
  SignalDelivered: 'wait',
  WaitTimedOut: 'wait',
  Resumed: 'interrupt',
  InterruptExpired: 'interrupt',
  ChildCompleted: 'child',
  ItemDropped: undefined,
} as const satisfies Partial<Record<LogEvent['type'], OpenItem['kind'] | undefined>>

type ClosingEvent = Extract<LogEvent, { type: keyof typeof CLOSES }>

/** What was open belongs to the run that was copied: it is asked for again here. Nobody waits for the copy, and it has time. */
function fork(system: System, { fromRunId, atSeq, fromHash, reuse }: EventData['RunForked']): void {
  for (const key of [...system.open.keys()]) system.open.delete(key)
  system.reuse = reuse === true ? { fromRunId, atSeq, fromHash } : undefined
  if (system.started === undefined) return
  const { parent: _parent, deadlineAt: _deadlineAt, ...started } = system.started
  system.started = started
}

/** A log that began without `RunStarted` does not say its version; its row does. */
function migrate(system: System, event: Extract<LogEvent, { type: 'Migrated' }>): void {
  const { fromVersion, toVersion } = event.data
  const { started } = system
  if (fromVersion === toVersion) throw illegal(system, event, 'the version stays the same')
  if (started === undefined) return
  const { version } = started
  if (version !== fromVersion) throw illegal(system, event, `the run is of version ${version}, not ${fromVersion}`)
  system.started = { ...started, version: toVersion }
}

function requestCancel(system: System, data: EventData['CancelRequested']): Cancel {
  const doomed = [...system.open.keys()]
  if (system.cancel !== undefined) return { ...system.cancel, requests: system.cancel.requests + 1, doomed }
  const { reason, code, graceUntil } = data
  return {
    ...{ reason, requests: 1, doomed },
    ...(code !== undefined && { code }),
    ...(graceUntil !== undefined && { graceUntil }),
  }
}

function open(system: System, event: LogEvent, item: OpenItem): void {
  if (isKnown(system, item.key)) throw illegal(system, event, `the key ${item.key} was used before`)
  system.open.put(item)
}

function deny(system: System, event: Extract<LogEvent, { type: 'ActionDenied' }>): OpenItem {
  return openAndClose(system, event, deniedError(event.data))
}

function reuse(system: System, event: Extract<LogEvent, { type: 'ActionReused' }>): OpenItem {
  const { from } = event.data
  if (from.runId !== system.reuse?.fromRunId || from.seq <= system.reuse.atSeq) {
    throw illegal(system, event, `the run does not reuse seq ${from.seq} of run ${from.runId}`)
  }
  return openAndClose(system, event, undefined)
}

/** An action that nothing is executed for opens and closes in one. */
function openAndClose(
  system: System,
  event: Extract<LogEvent, { type: 'ActionDenied' | 'ActionReused' }>,
  error: ErrorInfo | undefined,
): OpenItem {
  const { key, action, input } = event.data
  const idle = { attempt: 0, failures: 0, attempting: false, inDoubt: false, effect: 'idempotent' } as const
  const item: OpenItem = {
    kind: 'action',
    key,
    seq: event.seq,
    action,
    request: { input },
    fingerprint: fingerprint(input),
    ...idle,
  }
  open(system, event, item)
  remember(system, item, error)
  return item
}

function close(system: System, event: ClosingEvent): OpenItem {
  const { key } = event.data
  const kind = CLOSES[event.type]
  const item = system.open.get(key)
  if (item === undefined || (kind !== undefined && item.kind !== kind)) {
    throw illegal(system, event, `no ${kind ?? 'item'} with the key ${key} is open`)
  }
  if (event.type === 'SignalDelivered') takeSignal(system, event, item)
  remember(system, item, 'error' in event.data ? event.data.error : undefined)
  return item
}

function takeSignal(system: System, event: Extract<LogEvent, { type: 'SignalDelivered' }>, item: OpenItem): void {
  const { signalId } = event.data
  // In a fork an id may have come twice: with what was copied, and to the fork itself.
  const isTaken = ({ signalId: id, name }: EventData['SignalReceived']): boolean =>
    id === signalId && item.kind === 'wait' && name === item.signal
  const kept = system.signals.find(isTaken)
  if (kept === undefined) {
    throw illegal(system, event, `no signal ${signalId} for it is kept`)
  }
  system.signals = system.signals.filter((signal) => signal !== kept)
}

function remember(system: System, item: OpenItem, error: ErrorInfo | undefined): void {
  system.open.delete(item.key)
  system.removed?.push(item)
  const { kind, key, fingerprint } = item
  const closed = { kind, name: nameOf(item), fingerprint }
  system.closed.add(key, error ? { ...closed, error } : closed)
}

function moveAttempt(system: System, event: AttemptEvent): OpenAction {
  const item = system.open.get(event.data.key)
  if (item?.kind !== 'action') throw illegal(system, event, `no action with the key ${event.data.key} is open`)
  const { attempt } = event.data
  const { retryAt: _retryAt, failure: _failure, notExecuted: _notExecuted, ...rest } = item
  if (event.type === 'ActionAttemptStarted') {
    if (item.attempting || attempt !== item.attempt + 1) throw illegal(system, event, 'it is not the next attempt')
    return { ...rest, attempt, attempting: true, inDoubt: false }
  }
  if (!item.attempting || attempt !== item.attempt) throw illegal(system, event, 'it is not the attempt under way')
  if (event.type === 'ActionAttemptAbandoned') {
    return { ...rest, attempting: false, ...(event.data.notExecuted !== undefined && { notExecuted: true }) }
  }
  if (event.type === 'ActionInDoubt') return { ...rest, attempting: false, inDoubt: true }
  const { error: failure, retryAt } = event.data
  const { facts: _facts, ...failed } = rest
  return { ...failed, attempting: false, failures: item.failures + 1, failure, retryAt }
}

function recordFact(system: System, event: Extract<LogEvent, { type: 'FactRecorded' }>): void {
  const { key, scope, actionKey, requestHash, value } = event.data
  const item = system.open.get(actionKey)
  if (item?.kind !== 'action' || !item.attempting) {
    throw illegal(system, event, `no action with the key ${actionKey} is being attempted`)
  }
  if (findFact(system, event.data) !== undefined) throw illegal(system, event, `the fact ${key} is recorded already`)
  const fact = { requestHash, value }
  if (scope === 'run') (system.facts ??= new Map()).set(key, fact)
  else system.open.put(withFact(item, key, fact))
}

function terminalOf(event: EndEvent): TerminalEvent {
  switch (event.type) {
    case 'Completed':
      return { type: event.type, output: event.data.output }
    case 'Failed':
      return { type: event.type, error: event.data.error }
    case 'Canceled':
      return { type: event.type, reason: event.data.reason }
    case 'ContinuedAsNew':
      return { type: event.type, newRunId: event.data.newRunId }
  }
}

function illegal(system: System, event: LogEvent, why: string): KernelError {
  const { runId } = system
  return new KernelError('INVALID_LOG', `${event.type} cannot stand at seq ${event.seq} of run ${runId}: ${why}`, {
    runId,
    seq: event.seq,
  })
}

/** True for a key that an item of the run has, or had. */
export function isKnown(system: System, key: string): boolean {
  return system.open.has(key) || system.closed.has(key)
}

const STATUS_AT_END = {
  Completed: 'completed',
  Failed: 'failed',
  Canceled: 'canceled',
  ContinuedAsNew: 'continued',
} as const

/** The key that a run is blocked on until it is to begin; no item can have it. */
const START = '\nstart'

/**
 * True for a run that is not to begin yet: nothing is decided for it, whatever comes. The log tells without an event: what is
 * decided first has a time that is not before the start.
 *
 * @param now - Unix milliseconds. Default: the time of the last event.
 */
export function isDelayed({ at, started }: Pick<System, 'at' | 'started'>, now = at): boolean {
  return started?.startAt !== undefined && Math.max(at, now) < started.startAt
}

/** How the run stands: `blocked` when items are open and none of them is an action being attempted, and until it begins. */
export function statusOf(system: System): RunStatus {
  if (system.terminal !== undefined) return STATUS_AT_END[system.terminal.type]
  if (isDelayed(system)) return system.cancel === undefined ? 'blocked' : 'running'
  return system.open.size === 0 || system.open.isAttempting() ? 'running' : 'blocked'
}

/** So many items that time or other runs close are listed: the row is written with every append. */
const LISTED_ITEMS = 100

/**
 * What is open, as the run row shows it: whatever waits for people, and the first hundred of all else; for a run that has not
 * begun, its start.
 */
export function blockedOn(system: System): BlockedOn[] {
  if (isDelayed(system)) return [{ kind: 'timer', key: START, name: 'start', until: system.started?.startAt as number }]
  return system.open.listed(LISTED_ITEMS).map((item) => {
    const until = dueAt(item)
    const inDoubt = item.kind === 'action' && item.inDoubt
    return {
      ...{ kind: item.kind, key: item.key, name: nameOf(item) },
      ...(until !== undefined && { until }),
      ...(inDoubt && { inDoubt }),
    }
  })
}

/**
 * When a blocked run moves by itself: the least time that something of it is due, in whole milliseconds, which is what rows keep;
 * null when only a post moves it.
 */
export function wakeAt(system: System, which: 'all' | 'waiting' = 'all'): number | null {
  const { cancel, started } = system
  let least = (cancel === undefined ? started?.deadlineAt : cancel.graceUntil) ?? Infinity
  if (isDelayed(system)) least = Math.min(least, started?.startAt ?? Infinity)
  least = Math.min(least, system.open.movesAt(which))
  return least === Infinity ? null : Math.ceil(least)
}
