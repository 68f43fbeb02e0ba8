import type { Effect, RetryOptions, Schema } from '@varve/kernel'
import type { Json } from '@varve/store'
import type { Edge } from './need.ts'
import type { OutputSpec } from './output.ts'
import type { AnyPlan } from './plan.ts'

/** A state without its types: what the engine works with. */
export type StateNode = WorkNode | MapNode | ApprovalNode | ChildNode

/** What all states have. */
export interface NodeBase {
  readonly id: string
  readonly version: string
  readonly edges: readonly Edge[]
  /** The part of the plan's params that the state sees. */
  readonly params: Schema | undefined
  readonly tags: readonly string[]
  readonly retry: RetryOptions | undefined
  /** Of one attempt, ms. */
  readonly timeoutMs: number | undefined
  readonly effect: Effect
  readonly output: OutputSpec
  /** True when the output is a list of entries of that. */
  readonly list: boolean
  /** True for a pure state whose outputs are shared with other runs. */
  readonly cache: boolean
  /** Names of environment variables that the output depends on. */
  readonly environment: readonly string[]
}

type Call = (context: never) => unknown

/** Runs once. */
export interface WorkNode extends NodeBase {
  readonly kind: 'state'
  readonly run: Call
  /** Asks what became of an attempt in doubt. Not a part of the plan's hash: it may be mended while a run waits for it. */
  readonly reconcile: Call | undefined
  /** True when `not-executed` is final. */
  readonly fenced: boolean
}

/** Runs once per item of a list that is known when the state's turn has come. */
export interface MapNode extends NodeBase {
  readonly kind: 'map'
  /** Dependencies of the items' runs, not of the list. */
  readonly shared: readonly Edge[]
  readonly items: Call
  readonly key: (item: never, index: number) => string
  readonly run: Call
  /** Items at once; undefined for as many as the run allows. */
  readonly concurrency: number | undefined
}

/** Asks a person. */
export interface ApprovalNode extends NodeBase {
  readonly kind: 'approval'
  readonly question: ((context: never) => Json) | undefined
  readonly expiresInMs: number | undefined
}

/** Runs another plan. */
export interface ChildNode extends NodeBase {
  readonly kind: 'child'
  readonly plan: AnyPlan
  readonly childParams: Call
}

/** All dependencies of a state in order. */
export function allEdges(node: StateNode): readonly Edge[] {
  return node.kind === 'map' ? [...node.edges, ...node.shared] : node.edges
}

/** True for a state that does something at most once, itself or in a plan that it runs. */
export function doesOnce(node: StateNode): boolean {
  return node.kind === 'child' ? node.plan.definition.doesOnce : node.effect === 'at-most-once'
}
