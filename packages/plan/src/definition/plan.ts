import type { Schema } from '@varve/kernel'
import type { SchemaInput, SchemaOutput } from '@varve/kernel/stepper'
import { asDefinition, PlanError } from '../errors.ts'
import { statesOf, type ManifestState } from '../manifest/manifest-state.ts'
import { canonicalJson, checkNames, checkOptions, contentId, shown, type ContentId, type NamesOf } from '@varve/store'
import { checkName, checkVersion } from './check-node.ts'
import { graphOf, type Graph } from './graph.ts'
import { isState, type AnyState } from './need.ts'
import { doesOnce } from './node.ts'
import type { NoParams, State } from './state.ts'
import { isSchema } from './validate.ts'

/** What a plan is. */
export interface PlanSpec<
  P extends Schema,
  S extends readonly AnyState[],
  O extends S[number] | undefined = S[number] | undefined,
> {
  /** A letter, then at most 62 letters, digits, `_` or `-`. */
  readonly id: string
  /** A run is pinned to the version it started with. */
  readonly version: string
  /** What a run is started with, JSON. Pure, or a second start is one with other params. Default: nothing. */
  readonly params?: P
  /** In any order; where the dependencies leave a choice, states run in this one. */
  readonly states: S & StatesFit<S, SchemaOutput<P>>
  /** The state whose output is the plan's. Default: none. */
  readonly output?: O
}

/** Refuses states that need what the plan does not have, or params that it does not take. */
type StatesFit<S extends readonly AnyState[], Params> = {
  readonly [K in keyof S]: StateFits<S[K], S[number]['id'], Params>
}

type StateFits<S, Ids extends string, Params> =
  S extends State<string, unknown, infer Taken, infer Needed>
    ? [Exclude<Needed, Ids>] extends [never]
      ? ParamsFit<Params, Taken>
      : { readonly planHasNoState: Exclude<Needed, Ids> }
    : unknown

/** What is known at run time alone takes `never`, and is checked when a run starts. */
type ParamsFit<Params, Taken> = [Taken] extends [never]
  ? unknown
  : [Params] extends [Taken]
    ? unknown
    : { readonly stateTakesOtherParams: Taken }

/** A plan that an engine can run. Made by {@link definePlan}. */
export interface Plan<Params = never, Output = unknown> {
  readonly id: string
  readonly version: string
  readonly definition: PlanDefinition
  /** Carries the types; never there at run time. */
  readonly types?: { readonly params: (params: Params) => void; readonly output: Output }
}

/** Any plan, whatever it takes and makes. */
export type AnyPlan = Plan

/** A plan without its types. */
export interface PlanDefinition {
  readonly id: string
  readonly version: string
  readonly params: Schema | undefined
  readonly graph: Graph
  /** Id of the state whose output is the plan's. */
  readonly output: string | undefined
  /** The states as a manifest has them. */
  readonly states: readonly ManifestState[]
  /** True when one of its states, or of the plans that they run, does something at most once. */
  readonly doesOnce: boolean
  /** Names states, edges, versions and code: two plans of one hash do the same. */
  readonly hash: ContentId
}

/** A schema that takes anything makes what fits {@link NoParams}, too. */
type PlanParams<P> = unknown extends SchemaOutput<P> ? SchemaInput<P> : P extends NoParams ? undefined : SchemaInput<P>

type PlanOutput<O> = O extends { readonly types?: infer T }
  ? NonNullable<T> extends { readonly output: infer Out }
    ? Out
    : never
  : null

const PARTS: NamesOf<PlanSpec<Schema, readonly AnyState[]>> = {
  ...{ id: true, version: true, params: true, states: true, output: true },
}

/**
 * Declares a plan, and checks it entirely: what is returned can be run.
 *
 * @throws PlanError `INVALID_DEFINITION` | `EMPTY_PLAN` | `DUPLICATE_STATE` | `MISSING_STATE` | `CIRCULAR_DEPENDENCY`.
 */
export function definePlan<
  P extends Schema = NoParams,
  const S extends readonly AnyState[] = readonly AnyState[],
  O extends S[number] | undefined = undefined,
>(spec: PlanSpec<P, S, O>): Plan<PlanParams<P>, PlanOutput<O>> {
  asDefinition(checkOptions, 'what a plan is made of', spec)
  const { id, version, params, states, output } = spec
  checkName('the id of a plan', id)
  asDefinition(checkNames, `plan ${id}`, spec, PARTS)
  checkVersion(`the version of plan ${id}`, version)
  checkStates(id, states)
  if (params !== undefined && !isSchema(params)) {
    throw new PlanError('INVALID_DEFINITION', `the params of plan ${id} must be a schema (https://standardschema.dev)`)
  }
  const graph = graphOf(id, states)
  if (output !== undefined && !isState(output)) {
    const text = `the output of plan ${id} must be one of its states, itself and not its id, got ${shown(output)}`
    throw new PlanError('INVALID_DEFINITION', text)
  }
  if (output !== undefined && graph.nodes[graph.indexOf.get(output.id) ?? -1] !== output.node) {
    const text = `the output of plan ${id} is state ${output.id}, which is none of its states; add it`
    throw new PlanError('MISSING_STATE', text, { details: { missing: output.id } })
  }
  const described = statesOf(graph)
  const hash = contentId(canonicalJson({ id, version, states: described, output: output?.id ?? null }))
  const once = graph.nodes.some(doesOnce)
  const definition = { id, version, params, graph, output: output?.id, states: described, doesOnce: once, hash }
  return { id, version, definition }
}

/** @throws PlanError `INVALID_DEFINITION`. */
function checkStates(id: string, states: readonly unknown[]): void {
  const refuse = (what: string): never => {
    throw new PlanError('INVALID_DEFINITION', `${what}; make states with defineState and the like`)
  }
  if (!Array.isArray(states)) return refuse(`the states of plan ${id} are no list`)
  const at = states.findIndex((state) => !isState(state))
  if (at !== -1) refuse(`state ${at} of plan ${id} is none`)
}

/** True for what {@link definePlan} has made. */
export function isPlan(value: unknown): value is AnyPlan {
  if (typeof value !== 'object' || value === null || !('definition' in value)) return false
  return typeof value.definition === 'object' && value.definition !== null && 'graph' in value.definition
}
