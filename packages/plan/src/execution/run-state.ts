import type { ActionArtifacts, ActionContext, ArtifactRef } from '@varve/kernel'
import type { Json } from '@varve/store'
import type { Graph } from '../definition/graph.ts'
import type { Io } from '../definition/io.ts'
import type { MapNode, WorkNode } from '../definition/node.ts'
import { PlanError } from '../errors.ts'
import type { ItemValue, RunRequest } from '../schedule/requests.ts'
import { keepOutput } from './keep-output.ts'
import { needValues, type ArtifactReader } from './need-values.ts'

/** What a state's code is run with: the driver's own context, or that of a replay. */
export interface Execution {
  readonly ctx: Pick<
    ActionContext,
    'runId' | 'attempt' | 'idempotencyKey' | 'fencingToken' | 'heartbeat' | 'use' | 'signal'
  >
  readonly io: Io
  readonly artifacts: ArtifactReader & Pick<ActionArtifacts, 'put' | 'putJson'>
}

/** Runs a state's code once and keeps its output. A failed execution leaves nothing that anybody sees. */
export async function runState(
  graph: Graph,
  node: WorkNode | MapNode,
  request: RunRequest,
  execution: Execution,
): Promise<ArtifactRef> {
  const { artifacts } = execution
  const edges = node.kind === 'map' ? node.shared : node.edges
  const needs = await needValues(graph, edges, request.needs, artifacts)
  const item = request.item && { key: request.item.key, item: await itemValue(request.item, artifacts) }
  const seen = { needs, params: request.params, signal: execution.ctx.signal, ...item }
  const context = node.cache ? pureContext(node.id, seen) : { ...seen, ...openContext(node.id, execution) }
  return keepOutput(node.id, node.output, await node.run(context as never), artifacts)
}

/** An item, read. */
async function itemValue(item: ItemValue, artifacts: ArtifactReader): Promise<Json> {
  return 'value' in item ? item.value : artifacts.json(item.artifact)
}

function openContext(stateId: string, { ctx, io }: Execution): object {
  const { runId, attempt, idempotencyKey, fencingToken, heartbeat, use } = ctx
  return { stateId, runId, attempt, idempotencyKey, fencingToken, heartbeat, use, io }
}

/** The types keep a pure state from its `io`; this keeps a state written in JavaScript from it. */
function pureContext(stateId: string, seen: object): object {
  return Object.defineProperty({ ...seen }, 'io', {
    get: () => {
      const text = `state ${stateId} is cached and has no io; drop cache: true, or make what it asks for a state of its own`
      throw new PlanError('IO_IN_PURE_STATE', text)
    },
  })
}
