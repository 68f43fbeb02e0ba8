import type { NamesOf } from '@varve/store'
import type { ActionContext, Effect, RetryOptions, Schema, Secret } from '@varve/kernel'
import type { SchemaInput, SchemaOutput } from '@varve/kernel/stepper'
import type { Io } from './io.ts'
import { checkNode, checkSpec } from './check-node.ts'
import type { InquiryOptions } from './inquiry.ts'
import { edgesOf, type AnyState, type NeedIds, type NoNeeds, type Needs, type NeedValues } from './need.ts'
import type { StateNode } from './node.ts'
import type { OutputInput, OutputSpec, OutputValue } from './output.ts'

/** One state of a plan: it runs when what it needs is there, and its output is an artifact. */
export interface State<Id extends string = string, Output = unknown, Params = never, Needed extends string = string> {
  readonly id: Id
  /** The state without its types. */
  readonly node: StateNode
  /** Carries the types; never there at run time. */
  readonly types?: {
    readonly output: Output
    readonly params: (params: Params) => void
    readonly needs: Needed
  }
}

/** The params of a state that declares none. */
export type NoParams = Schema<unknown, undefined>

/** What all states may declare. */
export interface StateOptions<Id extends string, N extends Needs, P extends Schema> {
  /** Unique in the plan: a letter, then at most 62 letters, digits, `_` or `-`. */
  readonly id: Id
  /** To be changed with what the state does. Default `1`. */
  readonly version?: string
  /** States whose outputs it sees. */
  readonly needs?: N
  /** States that come first without being seen; it runs also where they were skipped. */
  readonly after?: readonly (AnyState | string)[]
  /** The part of the plan's params that it sees; what is not in there, it does not depend on. Its schema must be pure. */
  readonly params?: P
  /** Labels; a run skips states that have one of its `skipTags`. */
  readonly tags?: readonly string[]
  /** When a failed attempt is followed by another. Default: never. */
  readonly retry?: RetryOptions
  /**
   * An attempt that takes longer fails as transient, with its signal aborted, in ms; with `effect: 'at-most-once'` it is in doubt
   * then. Default: none.
   */
  readonly timeoutMs?: number
}

/** How a state that runs code does so. */
export interface RunOptions<O extends OutputSpec, C extends boolean> {
  readonly output: O
  /**
   * What may be assumed of an attempt whose outcome is not known. Default `idempotent`, and `pure` for a cached state.
   */
  readonly effect?: Effect
  /** True: the state is pure, has no `io`, and its output is taken over from any run that made it from the same. Default false. */
  readonly cache?: C
  /** Environment variables that the output depends on. Goes with `cache`. */
  readonly environment?: C extends true ? readonly string[] : never
}

/** A branded one is an object to TypeScript, too. */
type Primitive = string | number | boolean | bigint | null | undefined

/** A value as code sees it that is given the secrets in it. */
type Opened<T> =
  T extends Secret<infer V>
    ? V
    : T extends Primitive
      ? T
      : T extends object
        ? { readonly [K in keyof T]: Opened<T[K]> }
        : T

/** True for a type that has a secret in it, at any depth that params have. */
type HasSecret<T, Depth extends unknown[] = []> = Depth['length'] extends 5
  ? false
  : T extends Secret<unknown>
    ? true
    : T extends object
      ? true extends { [K in keyof T]: HasSecret<T[K], [...Depth, unknown]> }[keyof T]
        ? true
        : false
      : false

/** What a pure state sees. */
export interface PureContext<N extends Needs, P extends Schema> {
  /** Outputs of the states it needs. */
  readonly needs: NeedValues<N>
  /** The part of the params that it declares; what is a secret there is opened. */
  readonly params: true extends HasSecret<SchemaOutput<P>> ? Opened<SchemaOutput<P>> : SchemaOutput<P>
  /** Aborted when the attempt times out, the run ends, or this process is about to lose the run. */
  readonly signal: AbortSignal
}

/** What a state sees that is not cached. */
export interface StateContext<N extends Needs, P extends Schema>
  extends
    PureContext<N, P>,
    Pick<ActionContext, 'runId' | 'attempt' | 'idempotencyKey' | 'fencingToken' | 'heartbeat' | 'use'> {
  readonly stateId: string
  readonly io: Io
}

/** What a state's code is given. */
export type ContextOf<N extends Needs, P extends Schema, C extends boolean> = true extends C
  ? PureContext<N, P>
  : StateContext<N, P>

/** A state that runs once. */
export interface StateSpec<
  Id extends string,
  O extends OutputSpec,
  N extends Needs,
  P extends Schema,
  C extends boolean,
>
  extends StateOptions<Id, N, P>, RunOptions<O, C>, InquiryOptions<N, O, P> {
  readonly run: (context: ContextOf<N, P, C>) => OutputInput<O> | Promise<OutputInput<O>>
}

/** The names of what all states may declare. */
export const OF_ALL_STATES = { id: true, version: true, needs: true, after: true, params: true, tags: true } as const

const OF_CODE = {
  run: true,
  retry: true,
  timeoutMs: true,
  output: true,
  effect: true,
  cache: true,
  environment: true,
} as const

/** The names of what states with code may declare. */
export const OF_STATES_WITH_CODE = { ...OF_ALL_STATES, ...OF_CODE } as const

const PARTS: NamesOf<StateSpec<string, OutputSpec, Needs, Schema, boolean>> = {
  ...OF_STATES_WITH_CODE,
  ...({ reconcile: true, fenced: true } as const),
}

/**
 * Declares a state. Its dependencies are states themselves, so what it sees of them is typed by what they make.
 *
 * @throws PlanError `INVALID_DEFINITION`.
 * @example
 * ```ts
 * const rates = defineState({ id: 'rates', output: Rates, run: ({ io }) => io.fact('ecb', fetchRates) })
 * const quote = defineState({ id: 'quote', needs: { rates }, output: Quote, cache: true, run: ({ needs }) => price(needs.rates) })
 * ```
 */
export function defineState<
  const Id extends string,
  O extends OutputSpec,
  const N extends Needs = NoNeeds,
  P extends Schema = NoParams,
  const C extends boolean = false,
>(spec: StateSpec<Id, O, N, P, C>): State<Id, OutputValue<O>, SchemaInput<P>, NeedIds<N> & string> {
  checkSpec(spec, PARTS)
  const { run, reconcile, fenced = false } = spec
  const own = { list: false, run, reconcile, fenced } as const
  const node: StateNode = { kind: 'state', ...baseOf(spec), ...runOf(spec), ...own }
  return { id: spec.id, node: checkNode(node) }
}

/** The common half of a node. */
export function baseOf({
  id,
  version = '1',
  needs = {},
  after,
  params,
  tags = [],
  retry,
  timeoutMs,
}: StateOptions<string, Needs, Schema>): Pick<
  StateNode,
  'id' | 'version' | 'edges' | 'params' | 'tags' | 'retry' | 'timeoutMs'
> {
  return { id, version, edges: edgesOf(id, needs, after), params, tags: [...tags], retry, timeoutMs }
}

/** The half of a node that says how its code runs. */
export function runOf({
  output,
  effect,
  cache = false,
  environment = [],
}: RunOptions<OutputSpec, boolean>): Pick<StateNode, 'output' | 'effect' | 'cache' | 'environment'> {
  return { output, effect: effect ?? (cache ? 'pure' : 'idempotent'), cache, environment: [...environment] }
}
