import { PlanError } from '../errors.ts'
import type { AnyState } from './need.ts'
import { allEdges, type StateNode } from './node.ts'

/** The states of a plan in an order in which every one comes after those that it needs. */
export interface Graph {
  /** In topological order: Kahn's algorithm with a queue, stable in the order of declaration. */
  readonly nodes: readonly StateNode[]
  /** For each node, by position, the positions of those that wait for it; one that waits twice stands there twice. */
  readonly dependents: readonly (readonly number[])[]
  /** How many edges lead into each node. */
  readonly indegrees: readonly number[]
  readonly indexOf: ReadonlyMap<string, number>
  /** @throws PlanError `STATE_NOT_FOUND`. */
  nodeOf(id: string): StateNode
}

/**
 * Checks and sorts the states of a plan, in time that grows with states and edges.
 *
 * @throws PlanError, checked in this order: `EMPTY_PLAN`, `DUPLICATE_STATE`, `MISSING_STATE`, `CIRCULAR_DEPENDENCY`.
 */
export function graphOf(planId: string, states: readonly AnyState[]): Graph {
  if (states.length === 0) throw new PlanError('EMPTY_PLAN', `plan ${planId} has no states; give it one`)
  const declared = byId(planId, states)
  const links = linksOf(planId, states, declared)
  const order = kahn(links)
  if (order.length < states.length) throw cycleError(planId, states, links, order)
  const position = new Map(order.map((declaredAt, at) => [declaredAt, at]))
  const nodes = order.map((at) => (states[at] as AnyState).node)
  const indexOf = new Map(nodes.map(({ id }, at) => [id, at]))
  return {
    nodes,
    dependents: order.map((at) => (links.dependents[at] as number[]).map((to) => position.get(to) as number)),
    indegrees: order.map((at) => links.indegrees[at] as number),
    indexOf,
    nodeOf: (id) => {
      const at = indexOf.get(id)
      if (at !== undefined) return nodes[at] as StateNode
      throw new PlanError('STATE_NOT_FOUND', `plan ${planId} has no state ${JSON.stringify(id)}; name one of its own`, {
        details: { state: id },
      })
    },
  }
}

function byId(planId: string, states: readonly AnyState[]): ReadonlyMap<string, number> {
  const declared = new Map<string, number>()
  for (const [at, { id }] of states.entries()) {
    if (declared.has(id)) {
      throw new PlanError('DUPLICATE_STATE', `plan ${planId} has two states with the id ${id}; rename one of them`, {
        details: { state: id },
      })
    }
    declared.set(id, at)
  }
  return declared
}

interface Links {
  readonly dependents: readonly number[][]
  readonly indegrees: readonly number[]
}

function linksOf(planId: string, states: readonly AnyState[], declared: ReadonlyMap<string, number>): Links {
  const dependents: number[][] = states.map(() => [])
  const indegrees = states.map(() => 0)
  for (const [to, { id, node }] of states.entries()) {
    for (const edge of allEdges(node)) {
      const from = declared.get(edge.id)
      const another = from !== undefined && edge.state !== undefined && edge.state.node !== states[from]?.node
      if (from === undefined || another) {
        const why = another ? 'and the plan has another one of that id' : 'which the plan does not have'
        const text = `state ${id} of plan ${planId} needs state ${edge.id}, ${why}; add it to the plan's states`
        throw new PlanError('MISSING_STATE', text, { details: { state: id, missing: edge.id } })
      }
      dependents[from]?.push(to)
      indegrees[to] = (indegrees[to] ?? 0) + 1
    }
  }
  return { dependents, indegrees }
}

/** @returns positions in topological order; fewer than there are when some lie on or behind a cycle. */
function kahn({ dependents, indegrees }: Links): number[] {
  const left = [...indegrees]
  const order: number[] = []
  for (const [at, degree] of left.entries()) if (degree === 0) order.push(at)
  // The list grows while it is gone through.
  for (const at of order) {
    for (const to of dependents[at] as number[]) {
      left[to] = (left[to] as number) - 1
      if (left[to] === 0) order.push(to)
    }
  }
  return order
}

/** So many states of a circle are named in the error's text; its details have them all. */
const SHOWN = 20

function cycleError(planId: string, states: readonly AnyState[], links: Links, sorted: readonly number[]): PlanError {
  const done = new Set(sorted)
  // What is left lies on a cycle or behind one; walking against the edges stays among it, so it closes a cycle.
  const sources = states.map(() => [] as number[])
  for (const [from, tos] of links.dependents.entries()) for (const to of tos) sources[to]?.push(from)
  const seen = new Map<number, number>()
  const walk: number[] = []
  let at = states.findIndex((_, i) => !done.has(i))
  while (!seen.has(at)) {
    seen.set(at, walk.length)
    walk.push(at)
    at = sources[at]?.find((from) => !done.has(from)) as number
  }
  const cycle = walk.slice(seen.get(at)).map((i) => (states[i] as AnyState).id)
  const path = [...cycle, cycle[0] as string].reverse()
  const shown = path.length > SHOWN ? [...path.slice(0, SHOWN), `… -> ${path[0]}`] : path
  const text = `the states of plan ${planId} wait for each other in a circle: ${shown.join(' -> ')}; take one of these needs out`
  return new PlanError('CIRCULAR_DEPENDENCY', text, { details: { cycle: path } })
}
