import type { Json } from '@varve/store'
import { KernelError, textOf } from '../errors.ts'
import type { Guard, PureFunction } from '../guard/guard.ts'
import type { LogEvent } from '../log/log-event.ts'
import { TURN_EVENTS } from '../run/decide.ts'
import type { StepContext } from '../workflow/define-workflow.ts'
import { next } from '../workflow/next.ts'
import type { ReduceEvent, WorkflowTypes } from '../workflow/reduce-event.ts'
import { resultOf, type ItemResult } from '../workflow/results-state.ts'
import { decisionOf } from './decision-of.ts'
import { frozen, frozenRemedy } from './frozen.ts'
import { isBounded, selectRequests } from './select-requests.ts'
import { stepContext, watchedContext } from './step-context.ts'
import type { Ask, Stepper, Want } from './stepper.ts'

/** The pure functions of a workflow, without their types. */
export interface PureParts {
  readonly name: string
  readonly version: string
  readonly initialState: ((input: Json) => unknown) | undefined
  readonly reduce: ((state: unknown, event: SeenEvent) => unknown) | undefined
  readonly step: PureStep
  readonly cancel: PureStep | undefined
}

type PureStep = (state: unknown, next: unknown, ctx: StepContext) => unknown

/**
 * A workflow's reducer and step as a stepper.
 *
 * @param guard - calls the pure functions.
 * @param initialState - state before the first event, for a log that begins without `RunStarted`.
 */
export function reducerStepper(definition: PureParts, guard: Guard, initialState?: Json): Stepper {
  const guarded = guardedCalls(definition, guard)
  const state = definition.reduce === undefined ? resultsKeeper() : reducedState(definition, guarded, initialState)
  // Asking for all of it again in each of the many turns that open it would take a time that grows with its square.
  let unfinished: WantedRequests | undefined
  let isWide = false
  const askStep = (ask: Ask): Want => {
    const what = ask.canceling ? 'cancel' : 'step'
    let stands = isWide
    const onPassing = (): void => {
      stands = false
    }
    const context = isWide ? watchedContext(ask, onPassing) : stepContext(ask)
    const call = { definition, ask, context, onPassing }
    const want = guarded(what, () => (ask.canceling ? cleanUp : proceed)(call, state.current()))
    isWide = isWideAnswer(want)
    unfinished = stands && isWideAnswer(want) ? want : undefined
    return want
  }
  return {
    ignores: UNSEEN,
    apply: (event, closed) => {
      const seen = seenBy(event, closed)
      if (seen === undefined) return
      unfinished = undefined
      state.apply(seen)
    },
    want: (ask) => {
      if (unfinished === undefined) return askStep(ask)
      const rest = restOf(unfinished, ask)
      unfinished = isWideAnswer(rest) ? rest : undefined
      return rest
    },
    hold: () => state.hold(),
    load: (saved) => {
      unfinished = undefined
      state.load(saved)
    },
  }
}

type WantedRequests = Extract<Want, { kind: 'requests' }>

/** True for what more turns than one are needed for. */
function isWideAnswer(want: Want): want is WantedRequests {
  return want.kind === 'requests' && want.fresh.length > TURN_EVENTS
}

/** The answer as it is now: what was opened for it was so in order. */
function restOf({ known, fresh }: WantedRequests, { isKnown }: Ask): WantedRequests {
  const next = fresh.findIndex(({ key }) => !isKnown(key))
  const opened = next < 0 ? fresh.length : next
  const rest = { known: [...known, ...fresh.slice(0, opened)], fresh: fresh.slice(opened) }
  return { kind: 'requests', ...rest, checked: known.length }
}

type SeenEvent = ReduceEvent<WorkflowTypes>

interface StateKeeper {
  apply(event: SeenEvent): void
  current(): unknown
  hold(): () => Json
  load(state: Json): void
}

type GuardedCalls = <T>(what: PureFunction['name'], call: () => T, seq?: number) => T

function guardedCalls({ name: workflow, version }: PureParts, guard: Guard): GuardedCalls {
  return (name, call, seq) => guard({ workflow, version, name, seq }, call)
}

function reducedState(definition: PureParts, guarded: GuardedCalls, initialState: Json | undefined): StateKeeper {
  const kept = keeping()
  let state: unknown = kept(initialState)
  const call = (what: 'initialState' | 'reduce', pure: () => unknown, seq?: number): unknown =>
    kept(guarded(what, () => callPure(definition, what, pure, seq), seq))
  return {
    apply: (event) => {
      if (event.type === 'RunStarted') state = call('initialState', () => begin(definition, event))
      state = call('reduce', () => definition.reduce?.(state, event), event.seq)
    },
    current: () => state,
    hold: () => {
      const held = state
      return () => held as Json
    },
    load: (saved) => {
      state = kept(saved)
    },
  }
}

/** A function that changes the state it is given is found in development; production does not pay for the search. */
function keeping(): (state: unknown) => unknown {
  return process.env['NODE_ENV'] === 'production' ? (state) => state : frozen
}

function begin(definition: PureParts, event: Extract<SeenEvent, { type: 'RunStarted' }>): unknown {
  return definition.initialState?.(event.data.input as Json)
}

/** The stock state. Changed in place: copying it for each result would make long runs quadratic. */
function resultsKeeper(): StateKeeper {
  const kept = keeping() as (part: unknown) => never
  let input: Json = null
  let results: Record<string, ItemResult> = emptyRecord()
  const isProduction = process.env['NODE_ENV'] === 'production'
  // The record itself grows, so it cannot be frozen as a whole.
  const put = isProduction ? assign : assignForGood
  let sinceHold = new Set<string>()
  return {
    apply: (event) => {
      if (event.type === 'RunStarted') input = kept(event.data.input)
      const result = resultOf(event)
      if (result === undefined) return
      const { key } = event.data as { readonly key: string }
      put(results, key, kept(result))
      sinceHold.add(key)
    },
    current: () => (isProduction ? { input, results } : Object.freeze({ input, results })),
    hold: () => {
      const added = (sinceHold = new Set())
      // Plain, as it comes back from a snapshot; `load` takes the prototype away again.
      return () => ({ input, results: { ...without(results, added) } }) as unknown as Json
    },
    load: (saved) => {
      const state = saved as unknown as { readonly input: Json; readonly results: Readonly<Record<string, ItemResult>> }
      input = kept(state.input)
      results = without(kept(state.results), new Set(), put)
    },
  }
}

function without(
  results: Readonly<Record<string, ItemResult>>,
  dropped: ReadonlySet<string>,
  put = assign,
): Record<string, ItemResult> {
  const kept = emptyRecord()
  for (const key of Object.keys(results)) if (!dropped.has(key)) put(kept, key, results[key] as ItemResult)
  return kept
}

function assign(results: Record<string, ItemResult>, key: string, value: ItemResult): void {
  results[key] = value
}

/** As a property that nobody can overwrite or take away. */
function assignForGood(results: Record<string, ItemResult>, key: string, value: ItemResult): void {
  Object.defineProperty(results, key, { value, enumerable: true })
}

/** Without a prototype, so that a key such as `__proto__` or `constructor` is a key like any other. */
function emptyRecord(): Record<string, ItemResult> {
  return Object.create(null) as Record<string, ItemResult>
}

/** What no reducer sees, and most of a log is. */
const UNSEEN: ReadonlySet<LogEvent['type']> = new Set(['ActionRequested', 'ActionAttemptStarted'])

/** The event as a reducer sees it, with the name of the item that it closes; undefined for those it never sees. */
function seenBy(event: LogEvent, closed: string | undefined): SeenEvent | undefined {
  const { type, seq } = event
  switch (type) {
    case 'RunStarted':
      return { type, seq, data: { input: event.data.input } }
    case 'StateUpdated':
    case 'DomainEvent':
    case 'RunForked':
    case 'TimerFired':
    case 'CancelRequested':
    case 'ItemDropped':
      return { type, seq, data: event.data } as SeenEvent
    case 'ActionSucceeded':
    case 'ActionFailed':
    case 'ActionDenied':
      return { type, seq, data: closed !== undefined ? { ...event.data, action: closed } : event.data } as SeenEvent
    case 'ActionReused': {
      // To a workflow it makes no difference where a result comes from; else it would decide otherwise for that.
      const { key, action, output, attempts } = event.data
      return { type: 'ActionSucceeded', seq, data: { key, action, output, attempts } }
    }
    case 'Resumed':
    case 'InterruptExpired':
      return { type, seq, data: closed !== undefined ? { ...event.data, kind: closed } : event.data } as SeenEvent
    case 'SignalDelivered':
    case 'WaitTimedOut':
      return { type, seq, data: closed !== undefined ? { ...event.data, signal: closed } : event.data } as SeenEvent
    case 'ChildCompleted':
      return { type, seq, data: closed !== undefined ? { ...event.data, workflow: closed } : event.data } as SeenEvent
    default:
      return undefined
  }
}

function callPure<T>(definition: PureParts, what: 'initialState' | 'reduce', call: () => T, seq?: number): T {
  let result: T
  try {
    result = call()
  } catch (cause) {
    const at = seq === undefined ? '' : ` at seq ${seq}`
    const where = { cause, ...(seq !== undefined && { seq }) }
    const why = `${textOf(cause)}${frozenRemedy(cause)}`
    throw new KernelError('REDUCER_FAILED', `${what} of ${idOf(definition)} threw${at}: ${why}`, where)
  }
  if (isPromise(result)) {
    throw new KernelError('REDUCER_FAILED', `${what} of ${idOf(definition)} returned a promise; it must be pure`)
  }
  return result
}

/** The step of a workflow at a moment. */
interface StepCall {
  readonly definition: PureParts
  readonly ask: Ask
  readonly context: StepContext
  /**
   * Called when the step, seeing nothing new, might all the same want something else later: it looks at the moment, or bounds how many
   * are open, which may be asked for elsewhere, too.
   */
  readonly onPassing: () => void
}

function proceed(call: StepCall, state: unknown): Want {
  return wantOf(call, callStep(call, call.definition.step, state))
}

/** Nothing to clean up is nothing wanted. */
function cleanUp(call: StepCall, state: unknown): Want {
  const { definition } = call
  const { cancel } = definition
  const answer = cancel === undefined ? undefined : callStep(call, cancel, state)
  if (answer === undefined) return { kind: 'requests', known: [], fresh: [] }
  const want = wantOf(call, answer)
  if (want.kind === 'requests' || want.kind === 'emit') return want
  throw new KernelError(
    'INVALID_STEP',
    `cancel of ${definition.name} cannot ${want.kind}; ask for items, or emit events`,
  )
}

function callStep({ definition, context }: StepCall, step: PureStep, state: unknown): unknown {
  let result: unknown
  try {
    result = step(state, next, context)
  } catch (cause) {
    if (cause instanceof KernelError) throw cause
    const why = `${textOf(cause)}${frozenRemedy(cause)}`
    throw new KernelError('STEP_FAILED', `the step of ${idOf(definition)} threw: ${why}`, { cause })
  }
  if (isPromise(result)) {
    const text = `the step of ${idOf(definition)} returned a promise; move what it awaits into an action`
    throw new KernelError('INVALID_STEP', text)
  }
  return result
}

function idOf({ name, version }: PureParts): string {
  return `${name}@${version}`
}

/** A promise is refused; its rejection, if any, must not end the process as an unhandled one. */
function isPromise(value: unknown): boolean {
  try {
    if (!(value instanceof Promise)) return false
  } catch {
    // A proxy that was revoked: no decision, either.
    return false
  }
  value.catch(() => undefined)
  return true
}

function wantOf({ ask, onPassing }: StepCall, answer: unknown): Want {
  const decision = decisionOf(answer)
  if (decision.kind !== 'requests') return decision
  const { known, fresh } = selectRequests(decision, ask)
  if (fresh.length > TURN_EVENTS && isBounded(decision)) onPassing()
  return { kind: 'requests', known, fresh }
}
