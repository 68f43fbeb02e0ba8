import type { ArtifactRef } from '@varve/kernel'
import { canonicalize, type Json } from '@varve/store'
import type { Graph } from '../definition/graph.ts'
import type { Edge } from '../definition/need.ts'
import { doesOnce, type MapNode, type StateNode } from '../definition/node.ts'
import type { PlanDefinition } from '../definition/plan.ts'
import { paramsOf } from '../definition/validate.ts'
import { MapProgress } from './map-progress.ts'
import { closeNames, openNames } from '../manifest/named-secrets.ts'
import type { Failure, ItemOutcome } from './outcome.ts'
import { childInput, type PlanInput } from './plan-input.ts'
import type { EntriesResult, Given, ItemsResult, StateResult } from './requests.ts'
import { askTask, childTask, partTask, runTask, type Task } from './task.ts'
import { TaskQueue } from './task-queue.ts'

/** How a state stands: `blocked` will never run, because something that it needs has failed. */
type Standing = 'waiting' | 'begun' | 'done' | 'skipped' | 'failed' | 'blocked'

/** Phases in which a state does what it is for, itself or by its child plan. */
const DOING: ReadonlySet<Task['phase']> = new Set<Task['phase']>(['run', 'item', 'child'])

/** A state that has failed for good. */
export interface FailedState {
  readonly id: string
  readonly error: Failure
}

/**
 * Where a run of a plan stands, and what is due: a fold over the items that have closed, which moves in time that grows with
 * the edges of the state that they are of.
 */
export class Schedule {
  readonly #graph: Graph
  readonly #input: PlanInput
  readonly #params: Json
  readonly #queue = new TaskQueue()
  readonly #standings: Standing[]
  readonly #waitingFor: number[]
  readonly #outputs: (ArtifactRef | undefined)[]
  readonly #maps = new Map<number, MapProgress>()
  readonly #adoptions = new Map<number, Adoption>()
  readonly #failures = new Map<string, Failure>()
  #settled = 0

  constructor(plan: PlanDefinition, input: PlanInput) {
    this.#graph = plan.graph
    this.#input = input
    this.#params = openNames(input.params)
    this.#standings = plan.graph.nodes.map(() => 'waiting')
    this.#waitingFor = [...plan.graph.indegrees]
    this.#outputs = plan.graph.nodes.map(() => undefined)
    this.#arrive(plan.graph.indegrees.flatMap((degree, at) => (degree === 0 ? [at] : [])))
  }

  /** Takes in how an item closed. */
  close(key: string, outcome: ItemOutcome): void {
    const task = this.#queue.close(key)
    if (task === undefined) return
    if ('error' in outcome) this.#fail(task, outcome.error)
    else this.#proceed(task, outcome.output)
  }

  /** What is to be opened now, at most `most`. */
  due(isKnown: (key: string) => boolean, most: number): readonly Task[] {
    return this.#queue.due(isKnown, this.#input.config.maxConcurrency, most)
  }

  /** True when every state has settled, and every item has closed. */
  get isOver(): boolean {
    return this.#settled === this.#graph.nodes.length && this.#queue.isEmpty
  }

  /** The states that have failed for good, in the order in which they did. */
  get failures(): readonly FailedState[] {
    return [...this.#failures].map(([id, error]) => ({ id, error }))
  }

  get hasFailures(): boolean {
    return this.#failures.size > 0
  }

  /** True while something is under way that must not be given up; of a child plan that may do such a thing, while it runs. */
  isDoingOnce(isUnderWay: (key: string) => boolean): boolean {
    for (const { node, phase, key } of this.#queue.pending()) {
      if (DOING.has(phase) && doesOnce(this.#graph.nodes[node] as StateNode) && isUnderWay(key)) return true
    }
    return false
  }

  /** The output of a state; undefined while there is none. */
  outputOf(id: string): ArtifactRef | undefined {
    return this.#outputs[this.#graph.indexOf.get(id) ?? -1]
  }

  /** What was open is asked for again: the log was copied from another run's. */
  reopen(): void {
    this.#queue.reopen()
  }

  /** All that these states wait for has settled. A loop over a list that grows: chains of states may be long. */
  #arrive(arrived: number[]): void {
    for (const at of arrived) {
      const node = this.#graph.nodes[at] as StateNode
      this.#outputs[at] = ownOf(this.#input.replaced, node.id)
      const standing = this.#outputs[at] === undefined ? this.#standingOnArrival(node) : 'done'
      if (standing === 'begun') this.#begin(at)
      else arrived.push(...this.#settle(at, standing))
    }
  }

  #standingOnArrival(node: StateNode): 'begun' | 'done' | 'skipped' | 'blocked' {
    const edges = node.kind === 'map' ? [...node.edges, ...node.shared] : node.edges
    const standings = edges.map((edge) => ({ edge, of: this.#standings[this.#graph.indexOf.get(edge.id) as number] }))
    if (standings.some(({ of }) => of === 'failed' || of === 'blocked')) return 'blocked'
    const { skipTags } = this.#input.config
    if (node.tags.some((tag) => skipTags.includes(tag))) return 'skipped'
    const lacks = standings.some(({ edge, of }) => of === 'skipped' && edge.name !== undefined && !edge.optional)
    return lacks ? 'skipped' : 'begun'
  }

  /** @returns the states that this leaves nothing to wait for. */
  #settle(at: number, standing: Exclude<Standing, 'waiting' | 'begun'>): number[] {
    this.#standings[at] = standing
    this.#settled++
    const free: number[] = []
    for (const to of this.#graph.dependents[at] as readonly number[]) {
      const left = (this.#waitingFor[to] as number) - 1
      this.#waitingFor[to] = left
      if (left === 0) free.push(to)
    }
    return free
  }

  #begin(at: number): void {
    this.#standings[at] = 'begun'
    for (const task of this.#firstTasks(at)) this.#queue.push(task)
  }

  #firstTasks(at: number): readonly Task[] {
    const node = this.#graph.nodes[at] as StateNode
    const { id } = node
    const given = (): Given => this.#ownGiven(node)
    switch (node.kind) {
      case 'state':
        return [runTask(at, id, id, () => this.#given(node, node.edges))]
      case 'map':
        return this.#mapOf(at, node).begin()
      case 'approval':
        return [partTask(at, id, 'question', `${id}:question`, () => ({ part: 'question', ...given() }))]
      case 'child': {
        const { config, depth } = this.#input
        return [partTask(at, id, 'start', `${id}:start`, () => ({ part: 'start', config, depth, ...given() }))]
      }
    }
  }

  #mapOf(at: number, node: MapNode): MapProgress {
    const given = (): Given => this.#ownGiven(node)
    const itemGiven = (): Given => this.#given(node, node.shared)
    const map = this.#maps.get(at) ?? new MapProgress(node, at, given, itemGiven)
    this.#maps.set(at, map)
    return map
  }

  /** What the engine's part of a state is given, in which no secret is opened. */
  #ownGiven(node: StateNode): Given {
    const { params, ...given } = this.#given(node, node.edges)
    return { ...given, ...(params !== undefined && { params: closeNames(params) }) }
  }

  #given(node: StateNode, edges: readonly Edge[]): Given {
    const named = edges.filter((edge): edge is Edge & { readonly name: string } => edge.name !== undefined)
    const needs = Object.fromEntries(named.map(({ name, id }) => [name, this.outputOf(id) ?? null]))
    const fresh = ownOf(this.#input.fresh, node.id)
    const given = { needs, ...(fresh !== undefined && { fresh }) }
    if (node.params === undefined) return given
    const params = paramsOf(node.id, node.params, this.#params)
    if (params === undefined) return given
    return { ...given, params: canonicalize(params, { name: 'params' }).copy }
  }

  #proceed({ node: at, phase, key }: Task, output: Json): void {
    const node = this.#graph.nodes[at] as StateNode
    if (phase === 'run') {
      this.#outputs[at] = (output as unknown as StateResult).artifact
      this.#arrive(this.#settle(at, 'done'))
      return
    }
    for (const task of this.#nextTasks(at, node, phase, key, output)) this.#queue.push(task)
  }

  #nextTasks(at: number, node: StateNode, phase: Task['phase'], key: string, output: Json): readonly Task[] {
    const { id } = node
    if (node.kind === 'map') {
      const map = this.#mapOf(at, node)
      if (phase === 'items') return map.listed(output as unknown as ItemsResult)
      if (phase === 'page') return map.pageDone(key, output as unknown as StateResult)
      // The others of a map that has failed come to nothing.
      if (this.#failures.has(id)) return this.#afterFailedItem(at, map)
      return map.itemDone(key, output as unknown as StateResult)
    }
    if (node.kind === 'approval' && phase === 'question') return [askTask(at, id, output, node.expiresInMs)]
    if (node.kind === 'approval') return [partTask(at, id, 'run', id, () => recordOf(output))]
    if (node.kind === 'child' && phase === 'start') {
      const { plan } = node
      const done = ownOf(this.#input.children, id)
      if (done?.input === childInput(output as unknown as PlanInput)) return this.#adopt(at, node, 'child', done.output)
      return [childTask(at, id, plan.id, plan.version, output)]
    }
    return this.#adopt(at, node, phase, output)
  }

  /** What a child has made becomes the state's output; the entries of a list are named first, a stretch at a time. */
  #adopt(at: number, node: StateNode, phase: Task['phase'], output: Json): readonly Task[] {
    const { id, list } = node
    // The child has skipped the state whose output was to be its own.
    if (phase === 'child' && output === null && node.kind === 'child' && node.plan.definition.output !== undefined) {
      this.#arrive(this.#settle(at, 'skipped'))
      return []
    }
    if (phase === 'child') {
      this.#adoptions.set(at, { output, stretches: [], asked: 0 })
      if (list && output !== null) {
        return [partTask(at, id, 'entries', `${id}:entries`, () => ({ part: 'entries', output }))]
      }
    }
    const adoption = this.#adoptions.get(at) as Adoption
    if (phase === 'entries') {
      adoption.stretches = (output as unknown as EntriesResult).stretches ?? adoption.stretches
      const stretch = adoption.stretches[adoption.asked]
      const key = `${id}:entries:${adoption.asked++}`
      if (stretch !== undefined) return [partTask(at, id, 'entries', key, () => ({ part: 'entries', stretch }))]
    }
    return [partTask(at, id, 'run', id, () => ({ part: 'adopt', output: adoption.output }))]
  }

  #fail({ node: at, phase }: Pick<Task, 'node' | 'phase'>, error: Failure): void {
    const node = this.#graph.nodes[at] as StateNode
    if (!this.#failures.has(node.id)) this.#failures.set(node.id, error)
    if (node.kind === 'map' && phase === 'item') {
      for (const task of this.#afterFailedItem(at, this.#mapOf(at, node))) this.#queue.push(task)
      return
    }
    // Several pages of one map may fail.
    if (this.#standings[at] === 'begun') this.#arrive(this.#settle(at, 'failed'))
  }

  /** The items that are left run all the same, so that their outputs are there when the run is taken up again. */
  #afterFailedItem(at: number, map: MapProgress): readonly Task[] {
    const { due, isOver } = map.itemFailed()
    if (isOver) this.#arrive(this.#settle(at, 'failed'))
    return due
  }
}

/** What a child has made, on its way to be the state's output. */
interface Adoption {
  readonly output: Json
  stretches: readonly ArtifactRef[]
  /** How many of the stretches were asked for. */
  asked: number
}

function recordOf(output: Json): object {
  const { value, by } = output as { readonly value: { approved: boolean; comment?: string }; readonly by?: string }
  return { part: 'record', ...value, ...(by !== undefined && { by }) }
}

/** States may be called as what all objects have. */
function ownOf<T>(byId: Readonly<Record<string, T>> | undefined, id: string): T | undefined {
  return byId !== undefined && Object.hasOwn(byId, id) ? byId[id] : undefined
}
