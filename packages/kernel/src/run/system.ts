import { genesis, type BlockedOn, type Json, type LogEnd, type RunStatus } from '@varve/store'
import { KernelError } from '../errors.ts'
import type { ErrorInfo, EventData } from '../log/event-data.ts'
import type { LogEvent } from '../log/log-event.ts'
import { fingerprint, type ClosedItem, type OpenAction, type OpenItem } from './item.ts'

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
  readonly open: Map<string, OpenItem>
  readonly closed: Map<string, ClosedItem>
  terminal: TerminalEvent | undefined
}

/** How a run ended. */
export type TerminalEvent =
  { readonly type: 'Completed'; readonly output: Json } | { readonly type: 'Failed'; readonly error: ErrorInfo }

/** A run before its first event. */
export function emptySystem(runId: string): System {
  const end = genesis(runId)
  return { runId, end, at: 0, started: undefined, open: new Map(), closed: new Map(), terminal: undefined }
}

/**
 * Moves the system by one event.
 *
 * @returns the item that the event closed, if it closed one.
 * @throws KernelError `INVALID_LOG` for an event that cannot stand there; the system is unchanged then.
 */
export function applyToSystem(system: System, event: LogEvent): OpenItem | undefined {
  if (system.terminal !== undefined) throw illegal(system, event, 'the run has ended')
  if (event.at < system.at) throw illegal(system, event, 'its time is before that of the event before')
  const closed = transition(system, event)
  system.end = { seq: event.seq, hash: event.hash }
  system.at = event.at
  return closed
}

function transition(system: System, event: LogEvent): OpenItem | undefined {
  switch (event.type) {
    case 'RunStarted':
      if (event.seq !== 1) throw illegal(system, event, 'a run starts with its first event')
      system.started = event.data
      return undefined
    case 'StateUpdated':
    case 'DomainEvent':
      return undefined
    case 'ActionRequested':
    case 'Interrupted':
      open(system, event, newItem(event))
      return undefined
    case 'ActionAttemptStarted':
    case 'ActionAttemptFailed':
    case 'ActionAttemptAbandoned':
      system.open.set(event.data.key, moveAttempt(system, event))
      return undefined
    case 'ActionDenied':
      return deny(system, event)
    case 'ActionSucceeded':
      return close(system, event, 'action')
    case 'ActionFailed':
      return close(system, event, 'action', event.data.error)
    case 'Resumed':
      return close(system, event, 'interrupt')
    case 'ItemDropped':
      return close(system, event, undefined)
    case 'Completed':
    case 'Failed':
      if (system.open.size > 0) throw illegal(system, event, 'items are open')
      system.terminal = terminalOf(event)
      return undefined
  }
}

type OpeningEvent = Extract<LogEvent, { type: 'ActionRequested' | 'Interrupted' }>
type AttemptEvent = Extract<
  LogEvent,
  { type: 'ActionAttemptStarted' | 'ActionAttemptFailed' | 'ActionAttemptAbandoned' }
>
type ClosingEvent = Extract<LogEvent, { type: 'ActionSucceeded' | 'ActionFailed' | 'Resumed' | 'ItemDropped' }>

function newItem(event: OpeningEvent): OpenItem {
  if (event.type === 'Interrupted') {
    const { key, kind, value } = event.data
    return { kind: 'interrupt', key, interrupt: kind, value, fingerprint: fingerprint(value) }
  }
  const { key, action, input } = event.data
  const begun = { attempt: 1, failures: 0, attempting: true }
  return { kind: 'action', key, action, input, fingerprint: fingerprint(input), ...begun }
}

function open(system: System, event: LogEvent, item: OpenItem): void {
  if (isKnown(system, item.key)) throw illegal(system, event, `the key ${item.key} was used before`)
  system.open.set(item.key, item)
}

function deny(system: System, event: Extract<LogEvent, { type: 'ActionDenied' }>): OpenItem {
  const { key, action, input, policy, reason } = event.data
  const denied = { key, action, input, fingerprint: fingerprint(input), attempt: 0, failures: 0 }
  const item: OpenItem = { kind: 'action', ...denied, attempting: false }
  open(system, event, item)
  const error: ErrorInfo = { message: `${policy}: ${reason}`, kind: 'permanent', code: 'ACTION_DENIED' }
  remember(system, item, error)
  return item
}

function close(system: System, event: ClosingEvent, kind: OpenItem['kind'] | undefined, error?: ErrorInfo): OpenItem {
  const item = system.open.get(event.data.key)
  if (item === undefined || (kind !== undefined && item.kind !== kind)) {
    throw illegal(system, event, `no ${kind ?? 'item'} with the key ${event.data.key} is open`)
  }
  remember(system, item, error)
  return item
}

function remember(system: System, item: OpenItem, error: ErrorInfo | undefined): void {
  system.open.delete(item.key)
  const { kind, key, fingerprint } = item
  system.closed.set(key, { kind, name: nameOf(item), fingerprint, ...(error && { error }) })
}

function moveAttempt(system: System, event: AttemptEvent): OpenAction {
  const item = system.open.get(event.data.key)
  if (item?.kind !== 'action') throw illegal(system, event, `no action with the key ${event.data.key} is open`)
  const { attempt } = event.data
  const { retryAt: _, ...rest } = item
  if (event.type === 'ActionAttemptStarted') {
    if (item.attempting || attempt !== item.attempt + 1) throw illegal(system, event, 'it is not the next attempt')
    return { ...rest, attempt, attempting: true }
  }
  if (!item.attempting || attempt !== item.attempt) throw illegal(system, event, 'it is not the attempt under way')
  if (event.type === 'ActionAttemptAbandoned') return { ...rest, attempting: false }
  return { ...rest, attempting: false, failures: item.failures + 1, retryAt: event.data.retryAt }
}

function terminalOf(event: Extract<LogEvent, { type: 'Completed' | 'Failed' }>): TerminalEvent {
  return event.type === 'Completed'
    ? { type: 'Completed', output: event.data.output }
    : { type: 'Failed', error: event.data.error }
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

/** How the run stands: `blocked` when items are open and none of them is an action being attempted. */
export function statusOf(system: System): RunStatus {
  if (system.terminal !== undefined) return system.terminal.type === 'Completed' ? 'completed' : 'failed'
  if (system.open.size === 0) return 'running'
  for (const item of system.open.values()) if (item.kind === 'action' && item.attempting) return 'running'
  return 'blocked'
}

/** Everything that is open, as the run row shows it. */
export function blockedOn(system: System): BlockedOn[] {
  return [...system.open.values()].map((item) => {
    const until = dueAt(item)
    return { kind: item.kind, key: item.key, name: nameOf(item), ...(until !== undefined && { until }) }
  })
}

/** When a blocked run moves by itself: the least time that an open item is due; null when only a post moves it. */
export function wakeAt(system: System): number | null {
  let least: number | null = null
  for (const item of system.open.values()) {
    const due = dueAt(item)
    if (due !== undefined && (least === null || due < least)) least = due
  }
  return least
}

function dueAt(item: OpenItem): number | undefined {
  return item.kind === 'action' ? item.retryAt : undefined
}

/** The action's name, or the interrupt's kind. */
export function nameOf(item: OpenItem): string {
  return item.kind === 'action' ? item.action : item.interrupt
}
