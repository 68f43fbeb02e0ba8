import { canonicalize, sealEvent, type ContentId, type SealedEvent, canonicalJson, type Json } from '@varve/store'
import { APPEND_ARTIFACTS, artifactsIn, artifactsInValue, mayHaveArtifacts } from '../artifacts/artifacts-in.ts'
import { KernelError, textOf } from '../errors.ts'
import type { ErrorInfo } from '../log/event-data.ts'
import { asLogEvent, type LogDraft } from '../log/log-event.ts'
import { isSameJson } from '../log/text-of.ts'
import { inputIn } from '../log/request-text.ts'
import type { Labels } from '../policy/labels.ts'
import type { AuthorizeRequest, Denial } from '../policy/policy.ts'
import type { Want } from '../stepper/stepper.ts'
import type { ItemRequest, UserEvent } from '../workflow/decision.ts'
import { parse } from '../workflow/schema.ts'
import { spentWhenDeciding } from './counts.ts'
import { fingerprintOfText, type OpenItem, type OpenWait } from './item.ts'
import { nameOf, openedItem, type OpeningEvent } from './open-item.ts'
import { located } from './located.ts'
import { derivedRunId, known, ownEntry, requestDraft } from './request-draft.ts'
import type { ReusableResult } from './reuse.ts'
import { applyEvent, type RunFold } from './run-fold.ts'
import { readyEvent, readyRequest, type Readiness } from './ready-event.ts'
import { isDelayed, isKnown, type Cancel, type System } from './system.ts'

/**
 * A turn decides at most so many events, besides those of an end: half of what an append has room for, so that as many results
 * can come with it. The number belongs to event format 1.
 */
export const TURN_EVENTS = 500

/**
 * A turn ends after a decision that brings its bodies to so many bytes; with one more body it still fits into half an
 * append. Belongs to event format 1, too.
 */
export const TURN_BYTES = 3 * 1024 * 1024

/** A turn ends before a decision that brings what its bodies refer to above what an append carries. */
const TURN_ARTIFACTS = APPEND_ARTIFACTS

/** What a decision depends on besides the fold. */
export interface Deciding extends Omit<Readiness, 'fold'> {
  /** Whether an action may run; asked with the seq that its event will have. */
  readonly verdict: (request: AuthorizeRequest, seq: number) => Denial | undefined
  /** What an action is labeled with; a log keeps the labels that it has. */
  readonly labels: (action: string, input: Json, seq: number) => Labels
  /** What was recorded elsewhere for an action that may run; asked with the seq that its event will have. */
  readonly reusable?: ((request: AuthorizeRequest, seq: number) => ReusableResult | undefined) | undefined
  /** Id of the child that a key starts; a copied log keeps the ids of the run it was copied from. */
  readonly childRunId: (key: string, seq: number) => string
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
  const { system } = fold
  // What is spread comes first: it is copied as a whole then, and a long log is decided anew step by step.
  const turn: Turn = { ...deciding, fold, runId: system.runId, events: [], bytes: 0, artifacts: new Set() }
  try {
    while (system.terminal === undefined) {
      if (isFull(turn)) return { events: turn.events, more: true }
      const step = advance(turn)
      if (step !== 'again') return { events: turn.events, more: step === 'more' }
    }
  } catch (error) {
    if (error === FULL) return { events: turn.events, more: true }
    if (error !== CUT) throw located(error, { runId: system.runId, seq: system.end.seq + 1 })
  }
  return { events: turn.events, more: false }
}

/** Thrown where a log is cut. */
const CUT = new Error('the log is cut here')

/** Thrown where the next event belongs into another append. */
const FULL = new Error('the turn is full')

interface Turn extends Deciding {
  readonly fold: RunFold
  readonly runId: string
  readonly events: SealedEvent[]
  bytes: number
  /** Ids that the events refer to. */
  readonly artifacts: Set<string>
}

/** What one look at the run leads to: it was moved and is to be looked at again, or it is done, or there is no more room. */
type Advance = 'again' | 'more' | 'done'

function advance(turn: Turn): Advance {
  const { system, stepper } = turn.fold
  const { cancel } = system
  // Until its time has come a run only keeps what it is sent. Canceled before, there is nothing to clean up.
  if (isDelayed(system, turn.at)) return cancel === undefined ? 'done' : endCanceled(turn, cancel)
  if (cancel !== undefined && dropDoomed(turn, cancel)) return 'again'
  if (cancel !== undefined && cancel.requests > 1) return endCanceled(turn, cancel)
  if (deliver(turn)) return 'again'
  const ask = {
    now: turn.at,
    // A log that begins without `RunStarted` has no seed.
    seed: system.started?.seed ?? system.runId,
    seq: system.end.seq + 1,
    isOpen: (key: string) => system.open.has(key),
    isKnown: (key: string) => isKnown(system, key),
    isUnderWay: (key: string) => isUnderWay(system.open.get(key)),
    canceling: cancel !== undefined,
  }
  return follow(turn, stepper.want(ask))
}

function isUnderWay(item: OpenItem | undefined): boolean {
  return item !== undefined && (item.kind !== 'action' || item.attempting || item.inDoubt)
}

/** What was open when the run was canceled is given up before anything else. @returns true when there was something. */
function dropDoomed(turn: Turn, cancel: Cancel): boolean {
  const { open } = turn.fold.system
  const doomed = cancel.doomed.filter((key) => open.has(key)).slice(0, TURN_EVENTS - turn.events.length)
  for (const key of doomed) drop(turn, key)
  return doomed.length > 0
}

function endCanceled(turn: Turn, { reason, code }: Cancel): 'done' {
  if (code === undefined) end(turn, { type: 'Canceled', data: { reason } })
  else end(turn, failed({ message: reason, kind: 'permanent', code }, 'kernel'))
  return 'done'
}

/** The earliest kept signal of its name closes a wait. The log itself forces it, so no step is asked. */
function deliver(turn: Turn): boolean {
  const { open, signals } = turn.fold.system
  let first: OpenWait | undefined
  let taken: System['signals'][number] | undefined
  for (const kept of signals) {
    const wait = open.firstWait(kept.name)
    if (wait === undefined || (first !== undefined && first.seq <= wait.seq)) continue
    first = wait
    taken = kept
  }
  if (first === undefined || taken === undefined) return false
  const { signalId, value } = taken
  push(turn, { type: 'SignalDelivered', data: { key: first.key, signalId, value } })
  return true
}

function follow(turn: Turn, want: Want): Advance {
  switch (want.kind) {
    case 'emit':
      return emit(turn, want.events)
    case 'complete':
      end(turn, { type: 'Completed', data: { output: (want.output ?? null) as never } })
      return 'done'
    case 'continue':
      return continueAsNew(turn, want)
    case 'fail': {
      const { message, code } = want.error
      end(turn, failed({ message: textOf(message), kind: 'permanent', ...(code !== undefined && { code }) }, 'step'))
      return 'done'
    }
    case 'requests':
      for (let i = want.checked ?? 0; i < want.known.length; i++) checkSame(turn, want.known[i] as ItemRequest)
      return want.fresh.length > 0 ? openAll(turn, want.fresh) : settle(turn, want.known)
  }
}

/** The key under which the successor's id is derived; no item can have it. */
const SUCCESSOR = '\n'

function continueAsNew(turn: Turn, want: Extract<Want, { kind: 'continue' }>): 'done' {
  const { definition, limits, runId } = turn
  const parsed = parse(definition.input, want.input, 'the input to continue with', 'INVALID_STEP')
  canonicalize(parsed, { name: 'the input to continue with', maxDepth: limits.depth })
  const input = canonicalize(want.input, { name: 'input', maxDepth: limits.depth }).copy
  checkSuccessor(turn, input)
  const { version } = want
  const data = { newRunId: derivedRunId(runId, SUCCESSOR), input, ...(version !== undefined && { version }) }
  end(turn, { type: 'ContinuedAsNew', data })
  return 'done'
}

/** A run that has ended for the sake of one that can never be created would be lost. */
function checkSuccessor({ fold, limits, runId }: Turn, input: Json): void {
  const started = { ...fold.system.started, input, previous: runId, spent: fold.system.counts }
  if (Buffer.byteLength(canonicalJson(started)) > limits.bodyBytes) {
    const text = 'the input to continue with is too large for the start of a run; keep it outside and pass a reference'
    throw new KernelError('LIMIT_EXCEEDED', text)
  }
  checkTakenAlong(input, fold.system.signals)
}

/** All that a successor begins with stands in one append. */
function checkTakenAlong(input: Json, signals: System['signals']): void {
  const { length } = artifactsInValue([input, ...signals.map(({ value }) => value)])
  if (length <= APPEND_ARTIFACTS) return
  const what = 'the input to continue with, and the signals that no wait has taken,'
  const remedy = 'wait for some of the signals first'
  const text = `${what} refer to ${length} artifacts, ${APPEND_ARTIFACTS} are allowed together; ${remedy}`
  throw new KernelError('LIMIT_EXCEEDED', text)
}

function push(turn: Turn, draft: LogDraft): void {
  const { system } = turn.fold
  if (turn.lastSeq !== undefined && system.end.seq >= turn.lastSeq) throw CUT
  add(turn, readyEvent(turn, draft) ?? sealEvent(system.runId, system.end, draft, turn.at, turn.limits))
}

function add(turn: Turn, sealed: SealedEvent): void {
  const { type, body } = sealed.stored
  if (mayHaveArtifacts(body)) addArtifacts(turn, artifactsIn(body))
  applyEvent(turn.fold, asLogEvent(sealed), type === 'ActionRequested' ? inputIn(body) : undefined)
  turn.events.push(sealed)
  turn.bytes += Buffer.byteLength(body)
}

function addArtifacts(turn: Turn, ids: readonly ContentId[]): void {
  const fresh = ids.filter((id) => !turn.artifacts.has(id))
  if (turn.artifacts.size + fresh.length > TURN_ARTIFACTS && turn.events.length > 0) throw FULL
  for (const id of fresh) turn.artifacts.add(id)
}

function isFull(turn: Turn): boolean {
  return turn.events.length >= TURN_EVENTS || turn.bytes >= TURN_BYTES
}

function emit(turn: Turn, events: readonly UserEvent[]): Advance {
  if (events.length === 0) throw noProgress('it emits no events; emit some, or ask for something')
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

function openAll(turn: Turn, requests: readonly ItemRequest[]): Advance {
  let closed = false
  for (const request of requests) {
    if (isFull(turn)) return 'more'
    if (isKnown(turn.fold.system, request.key)) checkSame(turn, request)
    else closed = openOne(turn, request) || closed
  }
  if (closed) return 'again'
  // Also where all that was asked for is opened: a stepper may ask for no more at once than a turn takes.
  if (isFull(turn)) return 'more'
  // A new wait may find its signal kept already; what it closes changes the state, so the step is asked again.
  return deliver(turn) ? 'again' : 'done'
}

/** @returns true when it is closed already, because nothing is executed for it. */
function openOne(turn: Turn, request: ItemRequest): boolean {
  const ready = readyRequest(turn, request)
  if (ready !== undefined) {
    add(turn, ready)
    return false
  }
  const draft = requestDraft(turn, request)
  if (draft.type === 'ChildStarted') {
    const childRunId = turn.childRunId(request.key, turn.fold.system.end.seq + 1)
    push(turn, { type: draft.type, data: { ...draft.data, childRunId } })
    return false
  }
  if (draft.type !== 'ActionRequested') {
    push(turn, draft)
    return false
  }
  const { system } = turn.fold
  const seq = system.end.seq + 1
  const { key, action, input, effect } = draft.data
  const labels = turn.labels(action, input, seq)
  const what = { runId: turn.runId, workflow: turn.definition.name, key, action, input, effect, ...labels }
  const spent = spentWhenDeciding(system, turn.at)
  const about = { tags: system.started?.tags ?? [], spent, canceling: system.cancel !== undefined }
  const asked = { ...what, ...about }
  const denial = turn.verdict(asked, seq)
  const reused = denial === undefined ? reusableFor(turn, asked, seq) : undefined
  if (denial !== undefined) push(turn, { type: 'ActionDenied', data: { key, action, input, ...labels, ...denial } })
  else if (reused !== undefined) push(turn, { type: 'ActionReused', data: { key, action, input, ...reused } })
  else push(turn, { type: draft.type, data: { ...draft.data, ...labels } })
  return denial !== undefined || reused !== undefined
}

/** A clean-up is for what this run has done, so it is executed. */
function reusableFor(turn: Turn, asked: AuthorizeRequest, seq: number): ReusableResult | undefined {
  return turn.fold.system.cancel === undefined ? turn.reusable?.(asked, seq) : undefined
}

/** A key names one item: asking it again must mean the same thing. */
function checkSame(turn: Turn, request: ItemRequest): void {
  const { system } = turn.fold
  const { key } = request
  const open = system.open.get(key)
  if (open !== undefined && isAskedAgain(turn, open, request)) return
  const item = open === undefined ? system.closed.get(key) : { ...open, name: nameOf(open) }
  if (item === undefined) return
  const asked = openedItem({ ...requestDraft(turn, request), at: turn.at } as OpeningEvent)
  if (item.kind === asked.kind && item.name === nameOf(asked) && isSamePrint(item, asked)) return
  const text = `the key ${key} was asked for something else before; number the keys of a loop: { key: \`name:\${n}\` }`
  throw new KernelError('KEY_REUSED', text, { key })
}

function isSamePrint(a: Pick<OpenItem, 'fingerprint'>, b: Pick<OpenItem, 'fingerprint'>): boolean {
  return a.fingerprint === b.fingerprint || fingerprintOfText(a.fingerprint) === fingerprintOfText(b.fingerprint)
}

/** True only for the same action with an equal input, which a step that waits for many asks for in every turn. */
function isAskedAgain({ definition, limits }: Turn, open: OpenItem, request: ItemRequest): boolean {
  if (open.kind !== 'action' || request.kind !== 'action' || open.action !== request.action) return false
  return (
    ownEntry(definition.actions, open.action) !== undefined &&
    isSameJson(request.input, open.request.input, limits.depth)
  )
}

/** Nothing new is wanted: the run waits for what is open, fails with what failed, or is stuck. */
function settle(turn: Turn, wanted: readonly ItemRequest[]): 'done' {
  const { system } = turn.fold
  if (system.cancel !== undefined) return system.open.size > 0 ? 'done' : endCanceled(turn, system.cancel)
  if (wanted.some(({ key }) => system.open.has(key))) return 'done'
  for (const { key } of wanted) {
    const error = system.closed.get(key)?.error
    if (error === undefined) continue
    end(turn, failed(error, 'kernel'))
    return 'done'
  }
  if (system.open.size > 0) return 'done'
  const keys = wanted.map(({ key }) => key).join(', ')
  const why =
    keys === ''
      ? 'it wants nothing; ask for something, complete, or fail'
      : `it wants only what is done already (${keys}); complete or fail, or give what is to be done once more a key of its own`
  throw noProgress(why)
}

function noProgress(why: string): KernelError {
  return new KernelError('NO_PROGRESS', `the step makes no progress: ${why}`)
}

function end(turn: Turn, terminal: LogDraft): void {
  for (const key of [...turn.fold.system.open.keys()]) drop(turn, key)
  push(turn, terminal)
}

function drop(turn: Turn, key: string): void {
  const item = turn.fold.system.open.get(key)
  push(turn, { type: 'ItemDropped', data: { key, outcome: mayHaveBegun(item) ? 'unknown' : 'not started' } })
}

/** A child is started behind the append that asks for it: whether it was, and what it has done since, only its own log tells. */
function mayHaveBegun(item: OpenItem | undefined): boolean {
  if (item?.kind !== 'action') return item?.kind === 'child'
  const { attempting, inDoubt, effect, attempt, notExecuted } = item
  if (attempting || inDoubt) return true
  // What must not happen twice is tried again only where nothing has happened; of anything else an attempt that failed may have done its part.
  return effect !== 'at-most-once' && (attempt > 1 || notExecuted !== true)
}

function failed(error: ErrorInfo, by: 'step' | 'kernel'): LogDraft {
  return { type: 'Failed', data: { error, by } }
}
