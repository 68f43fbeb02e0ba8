import type { Json } from '@varve/store'
import { KernelError, textOf } from '../errors.ts'
import type { Guard, PureFunction } from '../guard/guard.ts'
import type { LogEvent } from '../log/log-event.ts'
import { nameOf } from '../run/open-item.ts'
import type { OpenItem } from '../run/item.ts'
import type { StepContext } from '../workflow/define-workflow.ts'
import { next } from '../workflow/next.ts'
import type { ReduceEvent, WorkflowTypes } from '../workflow/reduce-event.ts'
import { resultOf, type ItemResult } from '../workflow/results-state.ts'
import { decisionOf } from './decision-of.ts'
import { frozen } from './frozen.ts'
import { selectRequests } from './select-requests.ts'
import { stepContext } from './step-context.ts'
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
  return {
    apply: (event, closed) => {
      const seen = seenBy(event, closed)
      if (seen !== undefined) state.apply(seen)
    },
    want: (ask) => {
      const what = ask.canceling ? 'cancel' : 'step'
      return guarded(what, () => (ask.canceling ? cleanUp : proceed)(definition, state.current(), ask))
    },
    hold: () => state.hold(),
    load: (saved) => {
      state.load(saved)
    },
  }
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
  // A reducer that changes the state it is given is found in development; production does not pay for the search.
  const kept = process.env['NODE_ENV'] === 'production' ? (state: unknown) => state : frozen
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

function begin(definition: PureParts, event: Extract<SeenEvent, { type: 'RunStarted' }>): unknown {
  return definition.initialState?.(event.data.input as Json)
}

/** The stock state. Changed in place: copying it for each result would make long runs quadratic. */
function resultsKeeper(): StateKeeper {
  let input: Json = null
  let results: Record<string, ItemResult> = emptyRecord()
  let sinceHold = new Set<string>()
  return {
    apply: (event) => {
      if (event.type === 'RunStarted') input = event.data.input as Json
      const result = resultOf(event)
      if (result === undefined) return
      const { key } = event.data as { readonly key: string }
      results[key] = result
      sinceHold.add(key)
    },
    current: () => ({ input, results }),
    hold: () => {
      const added = (sinceHold = new Set())
      return () => ({ input, results: without(results, added) }) as unknown as Json
    },
    load: (saved) => {
      const state = saved as unknown as { readonly input: Json; readonly results: Readonly<Record<string, ItemResult>> }
      input = state.input
      results = without(state.results, new Set())
    },
  }
}

function without(
  results: Readonly<Record<string, ItemResult>>,
  dropped: ReadonlySet<string>,
): Record<string, ItemResult> {
  const kept = emptyRecord()
  for (const key of Object.keys(results)) if (!dropped.has(key)) kept[key] = results[key] as ItemResult
  return kept
}

/** Without a prototype, so that a key such as `__proto__` or `constructor` is a key like any other. */
function emptyRecord(): Record<string, ItemResult> {
  return Object.create(null) as Record<string, ItemResult>
}

/** The event as a reducer sees it, with the name of the item that it closes; undefined for those it never sees. */
function seenBy(event: LogEvent, closed: OpenItem | undefined): SeenEvent | undefined {
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
      return { type, seq, data: closed ? { ...event.data, action: nameOf(closed) } : event.data } as SeenEvent
    case 'ActionReused': {
      // To a workflow it makes no difference where a result comes from; else it would decide otherwise for that.
      const { key, action, output, attempts } = event.data
      return { type: 'ActionSucceeded', seq, data: { key, action, output, attempts } }
    }
    case 'Resumed':
    case 'InterruptExpired':
      return { type, seq, data: closed ? { ...event.data, kind: nameOf(closed) } : event.data } as SeenEvent
    case 'SignalDelivered':
    case 'WaitTimedOut':
      return { type, seq, data: closed ? { ...event.data, signal: nameOf(closed) } : event.data } as SeenEvent
    case 'ChildCompleted':
      return { type, seq, data: closed ? { ...event.data, workflow: nameOf(closed) } : event.data } as SeenEvent
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
    throw new KernelError('REDUCER_FAILED', `${what} of ${idOf(definition)} threw${at}: ${textOf(cause)}`, where)
  }
  if (isPromise(result)) {
    throw new KernelError('REDUCER_FAILED', `${what} of ${idOf(definition)} returned a promise; it must be pure`)
  }
  return result
}

function proceed(definition: PureParts, state: unknown, ask: Ask): Want {
  return wantOf(callStep(definition, definition.step, state, ask), ask)
}

/** Nothing to clean up is nothing wanted. */
function cleanUp(definition: PureParts, state: unknown, ask: Ask): Want {
  const { cancel } = definition
  const answer = cancel === undefined ? undefined : callStep(definition, cancel, state, ask)
  if (answer === undefined) return { kind: 'requests', known: [], fresh: [] }
  const want = wantOf(answer, ask)
  if (want.kind === 'requests' || want.kind === 'emit') return want
  throw new KernelError(
    'INVALID_STEP',
    `cancel of ${definition.name} cannot ${want.kind}; ask for items, or emit events`,
  )
}

function callStep(definition: PureParts, step: PureStep, state: unknown, ask: Ask): unknown {
  let result: unknown
  try {
    result = step(state, next, stepContext(ask))
  } catch (cause) {
    if (cause instanceof KernelError) throw cause
    throw new KernelError('STEP_FAILED', `the step of ${idOf(definition)} threw: ${textOf(cause)}`, { cause })
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
  if (!(value instanceof Promise)) return false
  value.catch(() => undefined)
  return true
}

function wantOf(answer: unknown, ask: Ask): Want {
  const decision = decisionOf(answer)
  if (decision.kind !== 'requests') return decision
  return { kind: 'requests', ...selectRequests(decision, ask) }
}
