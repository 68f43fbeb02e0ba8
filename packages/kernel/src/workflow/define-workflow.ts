import { checkId, checkOneOf, checkOptions, isFrom, sha256, shown, type Json, type NamesOf } from '@varve/store'
import { inDefinition, KernelError } from '../errors.ts'
import type { Guard } from '../guard/guard.ts'
import { checkNames } from '../known-names.ts'
import { checkLabels } from '../policy/labels.ts'
import { checkRetry } from '../policy/retry.ts'
import { reducerStepper, type PureParts } from '../stepper/reducer-stepper.ts'
import type { Stepper } from '../stepper/stepper.ts'
import { EFFECTS, type ActionInput, type AnyAction, type ActionOutput, type Actions, type LabelsFit } from './action.ts'
import type { Decision, Emit, OutputOf, Requests } from './decision.ts'
import type { MustBeJson, NeverUndefined } from './json-check.ts'
import type { DomainEvents, Interrupts, InterruptSpec, Next, Signals } from './next.ts'
import type { ReduceEvent, WorkflowTypes } from './reduce-event.ts'
import type { ResultsState } from './results-state.ts'
import type { Schema, SchemaInput, SchemaOutput } from './schema.ts'

/** What a workflow is: its name, its version and its doors to the outside. */
export interface WorkflowSpec<
  I extends Schema,
  A extends Actions,
  Q extends Interrupts,
  G extends Signals,
  E extends DomainEvents,
  S,
> {
  readonly name: string
  /** A run is pinned to the version it started with. */
  readonly version: string
  /** The run's input is what this schema makes of the value given to `start`. */
  readonly input: I
  readonly actions?: A
  readonly interrupts?: Q
  /** Messages that a run may wait for: the schema of each one's value, by name. */
  readonly signals?: G
  /** The workflow's own events by name; a payload is recorded as its schema returns it. */
  readonly events?: E
  /** State before the first event. Goes with a `reduce`; without both the state is {@link ResultsState}. */
  readonly initialState?: (input: SchemaOutput<I>) => S
}

/**
 * Tells the next state from the one before. A conditional type, since TypeScript puts the state that it has inferred by then into such
 * a one alone: without it the literals that a reducer answers, such as `status: 'paid'`, would be taken for any text.
 */
type Reducer<T extends WorkflowTypes, S> = [S] extends [unknown] ? (state: S, event: ReduceEvent<T>) => S : never

/**
 * What a workflow does. Both functions are pure: no clock, no randomness, no I/O, no promises. The state is what `initialState` and
 * `reduce` make it: a step may be written for a part of it.
 */
export interface WorkflowBehavior<T extends WorkflowTypes, S, D> {
  /** The state after one event. Never changes the state it is given. */
  readonly reduce?: Reducer<T, S>
  /** What should be in flight now. */
  readonly step: (state: NoInfer<S>, next: Next<T>, ctx: StepContext) => D
  /**
   * What should be cleaned up when the run is canceled; asked as `step` is, after everything open was dropped, until it
   * wants nothing any more. May ask for items and emit events, not end the run. Left out, there is nothing to clean up.
   */
  readonly cancel?: (state: NoInfer<S>, next: Next<T>, ctx: StepContext) => Requests | Emit | undefined
}

/** What a step may know besides the state. */
export interface StepContext {
  /** Unix milliseconds: the time of the events that this decision writes. Never goes back within a run. */
  readonly now: number
  /**
   * A number from 0 up to, but not including, 1; another one with each call. Derived from the run's seed and from where the
   * decision stands in its log, so that asking again answers the same. A later decision gets others: what has to last, such
   * as the input of an action that stays open, is emitted into the state first. A fork has the seed of the run it was copied
   * from; a log that begins without `RunStarted` has its run id instead.
   */
  readonly random: () => number
  /** A UUID in the shape of version 4, derived as {@link random} is. */
  readonly uuid: () => string
}

/** A workflow that a kernel can run. Made by {@link defineWorkflow}. */
export interface Workflow<Input = never, Output = unknown, State = unknown> {
  readonly name: string
  readonly version: string
  /** Code that runs it, without its types. */
  readonly definition: Definition
  /** Carries the types; never there at run time. */
  readonly types?: { readonly input: (input: Input) => void; readonly output: Output; readonly state: State }
}

/** A workflow as the kernel sees it: its doors, and whatever decides what should go through them. */
export interface Definition {
  readonly name: string
  readonly version: string
  readonly input: Schema
  readonly actions: Actions
  readonly interrupts: Interrupts
  readonly signals: Signals
  readonly events: DomainEvents
  /** A stepper before the first event; with an initial state for a log that begins without `RunStarted`. */
  readonly stepper: (guard: Guard, initialState?: Json) => Stepper
  /** Hash of the texts of its functions and of its version: tells builds apart. */
  readonly build: string
}

declare const noName: unique symbol

/** Names of a workflow that declares none: `keyof` has no string in it. */
type NoNames = { readonly [noName]?: never }

/**
 * The actions that are declared by name; none where there are no names. The default of `A` has to be the constraint, and
 * not {@link NoNames}: while a handler's parameters wait for their types, TypeScript looks for them in the default.
 */
type Declared<A extends Actions> = string extends keyof A ? NoNames : A

/** Refuses actions whose inputs or outputs cannot be recorded, or whose labels are told from other inputs. */
type ActionsMustBeJson<A extends Actions> = {
  readonly actions?: {
    readonly [N in keyof A]: MustBeJson<ActionInput<A[N]>> &
      NeverUndefined<ActionInput<A[N]>> &
      MustBeJson<ActionOutput<A[N]>> &
      LabelsFit<A[N], ActionInput<A[N]>>
  }
}

/**
 * Declares a workflow: what it is, and what it does. Two objects, so that the types of the second are inferred from the
 * first whatever the order of their properties.
 *
 * @throws KernelError `INVALID_DEFINITION`, also for an option that no workflow, action or interrupt has.
 */
export function defineWorkflow<
  I extends Schema,
  D extends Decision,
  A extends Actions = Actions,
  Q extends Interrupts = NoNames,
  G extends Signals = NoNames,
  E extends DomainEvents = NoNames,
  S = ResultsState<SchemaOutput<I>>,
>(
  spec: WorkflowSpec<I, A, Q, G, E, S> & MustBeJson<S> & ActionsMustBeJson<A>,
  behavior: WorkflowBehavior<TypesOf<I, Declared<A>, Q, G, E>, S, D>,
): Workflow<SchemaInput<I>, OutputOf<D>, NoInfer<S>> {
  checkNamesAndActions(spec, OF_WORKFLOW)
  const { name, version, input, initialState } = spec
  inDefinition(() => checkOptions(`what ${name} does`, behavior))
  checkNames(`what ${name} does`, behavior, OF_BEHAVIOR)
  const { reduce, step, cancel } = behavior
  checkFunctions(name, { step }, { reduce, cancel, initialState })
  if ((initialState !== undefined) !== (reduce !== undefined)) {
    const text = `${name}: initialState and reduce go together; leave both out for the stock { input, results }`
    throw new KernelError('INVALID_DEFINITION', text)
  }
  const pure = { name, version, initialState, reduce, step, cancel } as unknown as PureParts
  const definition: Definition = {
    ...{ name, version, input },
    stepper: (guard, state) => reducerStepper(pure, guard, state),
    actions: spec.actions ?? {},
    interrupts: spec.interrupts ?? {},
    signals: spec.signals ?? {},
    events: spec.events ?? {},
    build: buildOf(version, [
      initialState,
      reduce,
      step,
      cancel,
      ...Object.values(spec.actions ?? {}).map(({ run }) => run),
    ]),
  }
  return { name, version, definition }
}

interface TypesOf<
  I extends Schema,
  A extends Actions,
  Q extends Interrupts,
  G extends Signals,
  E extends DomainEvents,
> extends WorkflowTypes {
  readonly start: SchemaInput<I>
  readonly input: SchemaOutput<I>
  readonly actions: A
  readonly interrupts: Q
  readonly signals: G
  readonly events: E
}

/** What every workflow has, whatever decides in it. */
interface CheckedSpec {
  readonly name: string
  readonly version: string
  readonly input: Schema
  readonly actions?: Actions
  readonly interrupts?: Interrupts
  readonly signals?: Signals
  readonly events?: DomainEvents
}

/**
 * @param names - of what a workflow is made of.
 * @throws KernelError `INVALID_DEFINITION`.
 */
export function checkNamesAndActions(spec: CheckedSpec, names: Readonly<Record<string, true>>): void {
  inDefinition(() => checkOptions('a workflow', spec))
  const { name, actions = {}, interrupts = {}, signals = {}, events = {} } = spec
  inDefinition(() => {
    checkId('the name of a workflow', name)
    checkId(`the version of ${name}`, spec.version)
  })
  checkNames(`the workflow ${name}`, spec, names)
  checkSchema(`the input of ${name}`, spec.input)
  inDefinition(() => {
    for (const [what, parts] of Object.entries({ actions, interrupts, signals, events })) {
      checkOptions(`the ${what} of ${name}`, parts)
    }
    for (const [kind, question] of Object.entries(interrupts)) checkOptions(`the interrupt ${name}.${kind}`, question)
  })
  for (const [kind, question] of Object.entries(interrupts)) {
    checkNames(`the interrupt ${name}.${kind}`, question, OF_INTERRUPT)
  }
  for (const [action, is] of Object.entries(actions)) {
    inDefinition(() => {
      checkId(`the name of an action of ${name}`, action)
    })
    checkAction(`${name}.${action}`, is)
  }
  for (const [kind, { ask, answer }] of Object.entries(interrupts)) {
    checkSchema(`ask of ${name}.${kind}`, ask)
    checkSchema(`answer of ${name}.${kind}`, answer)
  }
  for (const [signal, schema] of Object.entries(signals)) checkSchema(`the signal ${name}.${signal}`, schema)
  for (const [event, schema] of Object.entries(events)) checkSchema(`the event ${name}.${event}`, schema)
}

function checkAction(what: string, action: AnyAction): void {
  inDefinition(() => checkOptions(`the action ${what}`, action))
  checkNames(`the action ${what}`, action, OF_ACTION)
  const { run, retry, reconcile, fenced, timeoutMs, effect = 'idempotent' } = action
  checkFunctions(what, { run }, { reconcile })
  if (retry !== undefined) checkRetry(retry, `retry of ${what}`)
  checkLabels(action, what)
  inDefinition(() => checkOneOf(`the effect of ${what}`, effect, EFFECTS))
  if (timeoutMs !== undefined && !isFrom(Number.MIN_VALUE, timeoutMs)) {
    throw new KernelError('INVALID_DEFINITION', `timeoutMs of ${what} must be above 0, got ${shown(timeoutMs)}`)
  }
  if (effect !== 'at-most-once' && (reconcile !== undefined || fenced)) {
    const text = `${what}: reconcile and fenced go with effect: 'at-most-once', not with ${effect}`
    throw new KernelError('INVALID_DEFINITION', text)
  }
}

const OF_WORKFLOW: NamesOf<WorkflowSpec<Schema, Actions, Interrupts, Signals, DomainEvents, unknown>> = {
  ...{ name: true, version: true, input: true, actions: true, interrupts: true, signals: true, events: true },
  ...{ initialState: true },
}

const OF_BEHAVIOR: NamesOf<WorkflowBehavior<WorkflowTypes, unknown, unknown>> = {
  ...{ reduce: true, step: true, cancel: true },
}

const OF_ACTION: NamesOf<AnyAction> = {
  ...{
    run: true,
    effect: true,
    retry: true,
    timeoutMs: true,
    tool: true,
    provider: true,
    reconcile: true,
    fenced: true,
  },
}

const OF_INTERRUPT: NamesOf<InterruptSpec> = { ask: true, answer: true }

function checkFunctions(what: string, needed: object, optional: object): void {
  for (const [name, given] of Object.entries<unknown>({ ...optional, ...needed })) {
    if (typeof given === 'function' || (given === undefined && !(name in needed))) continue
    throw new KernelError('INVALID_DEFINITION', `${name} of ${what} must be a function, got ${shown(given)}`)
  }
}

function checkSchema(what: string, schema: Schema | undefined): void {
  const { '~standard': standard } = Object(schema) as Partial<Schema>
  const { validate } = Object(standard) as { readonly validate?: unknown }
  if (typeof validate === 'function') return
  const text = `${what} must be a schema (https://standardschema.dev), got ${shown(schema)}`
  throw new KernelError('INVALID_DEFINITION', text)
}

function buildOf(version: string, functions: readonly (((...args: never) => unknown) | undefined)[]): string {
  return sha256([version, ...functions.map((code) => code?.toString() ?? '')].join('\n\0\n'))
}
