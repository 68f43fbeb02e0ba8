import { canonicalize, checkId, sealEvent, type Limits, type SealedEvent } from '@varve/store'
import { KernelError, textOf } from '../errors.ts'
import type { ErrorInfo } from '../log/event-data.ts'
import { asLogEvent, type LogDraft } from '../log/log-event.ts'
import type { AuthorizeRequest, Denial } from '../policy/policy.ts'
import type { Want } from '../stepper/stepper.ts'
import type { ActionRequest, InterruptRequest, ItemRequest, UserEvent } from '../workflow/decision.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { parse } from '../workflow/schema.ts'
import { fingerprint } from './item.ts'
import { applyEvent, type RunFold } from './run-fold.ts'
import { isKnown, nameOf } from './system.ts'

/** A turn decides at most so many events, besides those of an end. The number belongs to event format 1. */
export const TURN_EVENTS = 256

/**
 * A turn ends after a decision that brings its bodies to so many bytes; with one more body it still fits into half an
 * append. Belongs to event format 1, too.
 */
const TURN_BYTES = 3 * 1024 * 1024

/** What a decision depends on besides the fold. */
export interface Deciding {
  readonly definition: Definition
  /** `at` of the events that are decided. */
  readonly at: number
  readonly limits: Limits
  /** Whether an action may run; asked with the seq that its event will have. */
  readonly verdict: (request: AuthorizeRequest, seq: number) => Denial | undefined
}

/** What a turn decided. */
export interface Decided {
  readonly events: readonly SealedEvent[]
  /** True when the turn's bound cut it off: there may be more to decide. */
  readonly more: boolean
}

/**
 * Asks the stepper what should be in flight and turns the answer into sealed events, which are applied to the fold as
 * they come. Depends on nothing but its arguments, so the same log leads to the same events on every machine.
 *
 * @throws KernelError when the step cannot be followed; the fold is not to be used afterwards.
 */
export function decide(fold: RunFold, deciding: Deciding): Decided {
  const turn: Turn = { fold, ...deciding, events: [], bytes: 0 }
  const { system, stepper } = fold
  const ask = {
    runId: system.runId,
    now: deciding.at,
    isOpen: (key: string) => system.open.has(key),
    isKnown: (key: string) => isKnown(system, key),
  }
  while (system.terminal === undefined) {
    if (isFull(turn)) return { events: turn.events, more: true }
    const step = follow(turn, stepper.want(ask))
    if (step !== 'again') return { events: turn.events, more: step === 'more' }
  }
  return { events: turn.events, more: false }
}

interface Turn extends Deciding {
  readonly fold: RunFold
  readonly events: SealedEvent[]
  bytes: number
}

function follow(turn: Turn, want: Want): 'again' | 'more' | 'done' {
  switch (want.kind) {
    case 'emit':
      return emit(turn, want.events)
    case 'complete':
      end(turn, { type: 'Completed', data: { output: (want.output ?? null) as never } })
      return 'done'
    case 'fail': {
      const { message, code } = want.error
      end(turn, failed({ message: textOf(message), kind: 'permanent', ...(code !== undefined && { code }) }, 'step'))
      return 'done'
    }
    case 'requests':
      for (const request of want.known) checkSame(turn, request)
      return want.fresh.length > 0 ? openAll(turn, want.fresh) : settle(turn, want.known)
  }
}

function push(turn: Turn, draft: LogDraft): void {
  const { system } = turn.fold
  const sealed = sealEvent(system.runId, system.end, draft, turn.at, turn.limits)
  applyEvent(turn.fold, asLogEvent(sealed))
  turn.events.push(sealed)
  turn.bytes += Buffer.byteLength(sealed.stored.body)
}

function isFull(turn: Turn): boolean {
  return turn.events.length >= TURN_EVENTS || turn.bytes >= TURN_BYTES
}

function emit(turn: Turn, events: readonly UserEvent[]): 'again' | 'more' {
  if (events.length === 0) throw noProgress('it emits no events')
  if (events.length > TURN_EVENTS) {
    const text = `the step emits ${events.length} events at once; ${TURN_EVENTS} are the most, so emit them in parts`
    throw new KernelError('INVALID_STEP', text)
  }
  if (turn.events.length + events.length > TURN_EVENTS) return 'more'
  for (const event of events) push(turn, userEvent(turn, event))
  return 'again'
}

function userEvent({ definition }: Turn, event: UserEvent): LogDraft {
  const stepId = event.stepId !== undefined && { stepId: event.stepId }
  if (event.type === 'StateUpdated') return { type: event.type, data: { payload: event.payload as never, ...stepId } }
  // A step written in JavaScript may try any type.
  if ((event.type as string) !== 'DomainEvent') {
    throw new KernelError(
      'INVALID_STEP',
      `a step cannot emit ${event.type as string}: only StateUpdated and DomainEvent`,
    )
  }
  const schema = ownEntry(definition.events, event.name)
  if (schema === undefined) {
    throw new KernelError(
      'INVALID_STEP',
      `${definition.name} declares no event ${event.name}${known(definition.events)}`,
    )
  }
  const payload = parse(schema, event.payload, `the payload of ${event.name}`, 'INVALID_STEP')
  return { type: 'DomainEvent', data: { name: event.name, payload, ...stepId } }
}

function openAll(turn: Turn, requests: readonly ItemRequest[]): 'again' | 'more' | 'done' {
  let denied = false
  for (const request of requests) {
    if (isFull(turn)) return 'more'
    if (isKnown(turn.fold.system, request.key)) checkSame(turn, request)
    else denied = openOne(turn, request) || denied
  }
  return denied ? 'again' : 'done'
}

/** @returns true when the request was denied. */
function openOne(turn: Turn, request: ItemRequest): boolean {
  checkId('a key', request.key)
  if (request.kind === 'interrupt') {
    const value = askOf(turn, request)
    push(turn, { type: 'Interrupted', data: { key: request.key, kind: request.interrupt, value } })
    return false
  }
  const { system } = turn.fold
  const { key, action } = request
  const spec = ownEntry(turn.definition.actions, action)
  if (spec === undefined) {
    throw new KernelError(
      'UNKNOWN_ACTION',
      `${turn.definition.name} defines no action ${action}${known(turn.definition.actions)}`,
      { key },
    )
  }
  const input = inputOf(request, turn)
  const asked = { runId: system.runId, workflow: turn.definition.name, key, action, input }
  const denial = turn.verdict(asked, system.end.seq + 1)
  if (denial !== undefined) push(turn, { type: 'ActionDenied', data: { key, action, input, ...denial } })
  else push(turn, { type: 'ActionRequested', data: { key, action, input, effect: spec.effect ?? 'idempotent' } })
  return denial !== undefined
}

function inputOf(request: ActionRequest, { limits }: Turn) {
  return canonicalize(request.input, { name: `input of ${request.key}`, maxDepth: limits.depth }).copy
}

function askOf(turn: Turn, request: InterruptRequest) {
  const { definition, limits } = turn
  const spec = ownEntry(definition.interrupts, request.interrupt)
  if (spec === undefined) {
    const text = `${definition.name} declares no interrupt ${request.interrupt}${known(definition.interrupts)}`
    throw new KernelError('INVALID_STEP', text, { key: request.key })
  }
  const value = parse(spec.ask, request.value, `the question of ${request.key}`, 'INVALID_STEP')
  return canonicalize(value, { name: `question of ${request.key}`, maxDepth: limits.depth }).copy
}

/** A key names one item: asking it again must mean the same thing. */
function checkSame(turn: Turn, request: ItemRequest): void {
  const { system } = turn.fold
  const { key } = request
  const open = system.open.get(key)
  const item = open === undefined ? system.closed.get(key) : { ...open, name: nameOf(open) }
  if (item === undefined) return
  const asked = fingerprint(request.kind === 'action' ? inputOf(request, turn) : askOf(turn, request))
  const name = request.kind === 'action' ? request.action : request.interrupt
  if (item.kind === request.kind && item.name === name && item.fingerprint === asked) return
  const text = `the key ${key} was asked for another action or input before; number the keys of a loop: { key: \`name:\${n}\` }`
  throw new KernelError('KEY_REUSED', text, { key })
}

/** Nothing new is wanted: the run waits for what is open, fails with what failed, or is stuck. */
function settle(turn: Turn, wanted: readonly ItemRequest[]): 'done' {
  const { system } = turn.fold
  if (wanted.some(({ key }) => system.open.has(key))) return 'done'
  for (const { key } of wanted) {
    const error = system.closed.get(key)?.error
    if (error === undefined) continue
    end(turn, failed(error, 'kernel'))
    return 'done'
  }
  if (system.open.size > 0) return 'done'
  const keys = wanted.map(({ key }) => key).join(', ')
  throw noProgress(keys === '' ? 'it wants nothing' : `it wants only what is done already (${keys})`)
}

function noProgress(why: string): KernelError {
  const text = `the step makes no progress: ${why}; ask for something new, complete, or fail`
  return new KernelError('NO_PROGRESS', text)
}

function end(turn: Turn, terminal: LogDraft): void {
  for (const item of [...turn.fold.system.open.values()]) {
    const outcome = item.kind === 'action' && item.attempting ? 'unknown' : 'not started'
    push(turn, { type: 'ItemDropped', data: { key: item.key, outcome } })
  }
  push(turn, terminal)
}

function failed(error: ErrorInfo, by: 'step' | 'kernel'): LogDraft {
  return { type: 'Failed', data: { error, by } }
}

function ownEntry<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

function known(record: Readonly<Record<string, unknown>>): string {
  const names = Object.keys(record)
  return names.length === 0 ? '' : `; there are ${names.join(', ')}`
}
