import { shown, type Json } from '@varve/store'
import { PlanError } from '../errors.ts'
import type { State } from './state.ts'

/** Any state, whatever it makes and takes. */
export type AnyState = State

/** A dependency on a state that may have been skipped: its value is then undefined. */
export interface OptionalNeed<S extends AnyState | string = AnyState | string> {
  readonly optional: S
}

/** What a state may depend on: a state by reference, typed; or by id, for plans that are built from data. */
export type Need = AnyState | string | OptionalNeed

/** A state's dependencies by the names it knows them under. */
export type Needs = Readonly<Record<string, Need>>

declare const noNeed: unique symbol

/** The dependencies of a state that has none. */
export type NoNeeds = { readonly [noNeed]?: never }

/** What a state sees of its dependencies. */
export type NeedValues<N extends Needs> = { readonly [K in keyof N & string]: NeedValue<N[K]> }

type NeedValue<N> = N extends OptionalNeed<infer S> ? ValueOf<S> | undefined : ValueOf<N>

type ValueOf<S> = S extends { readonly types?: infer T }
  ? NonNullable<T> extends { readonly output: infer O }
    ? O
    : never
  : Json

/** Ids of the states that are needed. */
export type NeedIds<N extends Needs> = { [K in keyof N & string]: IdOf<N[K]> }[keyof N & string]

type IdOf<N> = N extends OptionalNeed<infer S> ? IdOf<S> : N extends { readonly id: infer Id extends string } ? Id : N

/**
 * A dependency that a skipped state does not take along: where the state was skipped, its value is undefined. Without this,
 * what needs a skipped state is skipped, too.
 */
export function optional<S extends AnyState | string>(state: S): OptionalNeed<S> {
  return { optional: state }
}

/** A dependency as the graph knows it. */
export interface Edge {
  /** Under what name the state sees it; absent for one that only says what comes first. */
  readonly name?: string
  readonly id: string
  /** The state meant; absent when only its id was given. */
  readonly state?: AnyState
  readonly optional: boolean
}

/**
 * The edges that needs and `after` mean, in their order.
 *
 * @throws PlanError `INVALID_DEFINITION`.
 */
export function edgesOf(stateId: string, needs: Needs, after: readonly (AnyState | string)[] = []): readonly Edge[] {
  const named = Object.entries(needs).map(([name, need]) => ({
    name,
    ...edgeOf(`need ${name} of state ${stateId}`, need),
  }))
  return [...named, ...after.map((state, i) => edgeOf(`after[${i}] of state ${stateId}`, state))]
}

function edgeOf(what: string, need: unknown): Edge {
  if (typeof need === 'string') return { id: need, optional: false }
  if (typeof need === 'object' && need !== null && 'optional' in need) {
    return { ...edgeOf(what, need.optional), optional: true }
  }
  if (isState(need)) return { id: need.id, state: need, optional: false }
  const text = `${what} is no state, but ${shown(need)}; where files import each other in a circle, name it by its id`
  throw new PlanError('INVALID_DEFINITION', text)
}

/** True for what `defineState` and the like have made. */
export function isState(value: unknown): value is AnyState {
  if (typeof value !== 'object' || value === null || !('node' in value)) return false
  return typeof value.node === 'object' && value.node !== null && 'edges' in value.node
}
