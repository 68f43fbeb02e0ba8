import { ActionError, type ActionContext } from '@varve/kernel'
import { isStoreError, sha256, type ArtifactStore } from '@varve/store'
import { cacheKey, keyParts, type FindState } from '../cache/cache-key.ts'
import type { OutputCache } from '../cache/output-cache.ts'
import type { MapNode, WorkNode } from '../definition/node.ts'
import type { PlanDefinition } from '../definition/plan.ts'
import type { ManifestState } from '../manifest/manifest-state.ts'
import type { CacheRecord, RunRequest, StateResult } from '../schedule/requests.ts'
import { liveIo } from './live-io.ts'
import { runState } from './run-state.ts'
import type { TransportRegistry } from './transport-registry.ts'

/** What executions take from the engine. */
export interface Runtime {
  readonly cache: OutputCache
  readonly artifacts: ArtifactStore
  readonly transports: TransportRegistry
  /** The environment variables that cached states may declare. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** The handler of a state's own action: its code, once or for one item. */
export function stateAction(plan: PlanDefinition, node: WorkNode | MapNode, runtime: Runtime) {
  const run = async (request: RunRequest, ctx: ActionContext): Promise<StateResult> => {
    const execution = { ctx, artifacts: ctx.artifacts, io: liveIo(ctx, runtime.transports) }
    return { artifact: await named(node.id, async () => runState(plan.graph, node, request, execution)) }
  }
  return node.cache ? cached(plan, node, runtime, run) : run
}

type Run = (request: RunRequest, ctx: ActionContext) => Promise<StateResult>

function cached(plan: PlanDefinition, node: WorkNode | MapNode, { cache, environment }: Runtime, run: Run): Run {
  const find: FindState = (id) => plan.states[plan.graph.indexOf.get(id) as number]
  const state = find(node.id) as ManifestState
  return async (request, ctx) => {
    const hashes = environmentHashes(node, environment)
    const parts = keyParts(state, find, request, hashes)
    const { runId, key } = ctx
    const record: CacheRecord = { key: cacheKey(parts), environment: hashes }
    const hit = request.fresh === undefined ? await cache.find(parts) : undefined
    // What this very execution had kept before its process died is no other run's.
    if (hit?.runId === runId && hit.key === key) return { artifact: hit.artifact, cache: record }
    if (hit !== undefined) {
      return { artifact: hit.artifact, cache: { ...record, from: { runId: hit.runId, key: hit.key } } }
    }
    const { artifact } = await run(request, ctx)
    await cache.keep({ artifact, runId, key, parts })
    return { artifact, cache: record }
  }
}

/** Hashes, since an environment is no place to look into for whoever reads a log. */
function environmentHashes(
  { environment: names }: WorkNode | MapNode,
  values: Runtime['environment'],
): Record<string, string> {
  return Object.fromEntries(
    names.map((name) => {
      const value = Object.hasOwn(values, name) ? values[name] : undefined
      return [name, value === undefined ? 'unset' : sha256(value)]
    }),
  )
}

/** Says of which state an artifact is gone or corrupt, and what helps. */
async function named<T>(id: string, execute: () => Promise<T>): Promise<T> {
  try {
    return await execute()
  } catch (error) {
    if (!isStoreError(error, 'ARTIFACT_CORRUPT') && !isStoreError(error, 'ARTIFACT_NOT_FOUND')) throw error
    const text = `state ${id} cannot read what it needs: ${error.message}; remake the state that made it`
    throw new ActionError('permanent', text, { code: error.code, cause: error })
  }
}
