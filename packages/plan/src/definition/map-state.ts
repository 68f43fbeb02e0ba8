import type { Schema } from '@varve/kernel'
import type { SchemaInput, SchemaOutput } from '@varve/kernel/stepper'
import { shown, type NamesOf } from '@varve/store'
import { PlanError } from '../errors.ts'
import { checkNode, checkSpec } from './check-node.ts'
import { edgesOf, type NeedIds, type NoNeeds, type Needs, type NeedValues } from './need.ts'
import type { StateNode } from './node.ts'
import type { MapEntry, OutputInput, OutputSpec, OutputValue } from './output.ts'
import {
  baseOf,
  runOf,
  type ContextOf,
  type NoParams,
  OF_STATES_WITH_CODE,
  type RunOptions,
  type State,
  type StateOptions,
} from './state.ts'

/** A state that runs once per item. */
export interface MapSpec<
  Id extends string,
  Item,
  O extends OutputSpec,
  N extends Needs,
  W extends Needs,
  P extends Schema,
  C extends boolean,
>
  extends StateOptions<Id, N, P>, RunOptions<O, C> {
  /** The list, JSON; pure. Seen from the outputs that the state `needs`. */
  readonly items: (context: {
    readonly needs: NeedValues<N>
    readonly params: SchemaOutput<P>
  }) => readonly Item[] | Promise<readonly Item[]>
  /**
   * Tells an item from all others, in this run and the next ones: 1-100 characters as `length` counts them, none of which is a
   * control character.
   */
  readonly key: (item: NoInfer<Item>, index: number) => string
  /** Outputs that every item sees besides itself. An item depends on these, on the params and on itself, not on the list. */
  readonly with?: W
  /** Items at once. Default: as many as the run allows. */
  readonly concurrency?: number
  readonly run: (
    context: ContextOf<W, P, C> & { readonly item: NoInfer<Item>; readonly key: string },
  ) => OutputInput<O> | Promise<OutputInput<O>>
}

const PARTS: NamesOf<MapSpec<string, unknown, OutputSpec, Needs, Needs, Schema, boolean>> = {
  ...OF_STATES_WITH_CODE,
  ...({ items: true, key: true, with: true, concurrency: true } as const),
}

/**
 * Declares a state that fans out over a list known at run time. Each item is an execution of its own, retried and cached by
 * itself; the output is the list of theirs, in the order of the items.
 *
 * @throws PlanError `INVALID_DEFINITION`.
 */
export function mapState<
  const Id extends string,
  Item,
  O extends OutputSpec,
  const N extends Needs = NoNeeds,
  const W extends Needs = NoNeeds,
  P extends Schema = NoParams,
  const C extends boolean = false,
>(
  spec: MapSpec<Id, Item, O, N, W, P, C>,
): State<Id, readonly MapEntry<OutputValue<O>>[], SchemaInput<P>, (NeedIds<N> | NeedIds<W>) & string> {
  checkSpec(spec, PARTS)
  const { items, key, with: shared = {}, concurrency, run } = spec
  if (concurrency !== undefined && !(Number.isInteger(concurrency) && concurrency >= 1)) {
    const text = `state ${spec.id}: concurrency must be a whole number from 1, got ${shown(concurrency)}`
    throw new PlanError('INVALID_DEFINITION', text)
  }
  // The manifest names what items see so, beside what the list is made of.
  const twice = Object.keys(shared).find((name) => Object.hasOwn(spec.needs ?? {}, `with ${name}`))
  if (twice !== undefined) {
    const text = `state ${spec.id}: the need "with ${twice}" has the name that ${twice} of with has in manifests; rename it`
    throw new PlanError('INVALID_DEFINITION', text)
  }
  const common = { ...baseOf(spec), ...runOf(spec) }
  const node: StateNode = {
    kind: 'map',
    ...common,
    list: true,
    shared: edgesOf(spec.id, shared),
    items,
    key,
    run,
    concurrency,
  }
  return { id: spec.id, node: checkNode(node) }
}
