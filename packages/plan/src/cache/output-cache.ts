import type { ArtifactRef } from '@varve/kernel'
import type { ArtifactStore, CacheStore, ContentId } from '@varve/store'
import { z } from 'zod'
import { PlanError } from '../errors.ts'
import { artifactRef } from '../schedule/plan-input.ts'
import { cacheKey, type KeyParts } from './cache-key.ts'
import { verified } from './verified.ts'
import { TouchBatch } from './touch-batch.ts'

/** An output that is kept for other runs, and where it comes from. */
export interface CachedOutput {
  readonly artifact: ArtifactRef
  readonly runId: string
  /** Key of the execution that made it. */
  readonly key: string
  readonly parts: KeyParts
}

/** Outputs of pure states, shared by all runs on one store. */
export interface OutputCache {
  /** The output of an equal execution; a hit counts only when it reads as one, and its bytes are there and have their hash. */
  readonly find: (parts: KeyParts) => Promise<CachedOutput | undefined>
  /** @throws PlanError `NOT_REPRODUCIBLE` when another execution made another output from the same parts. */
  readonly keep: (output: CachedOutput) => Promise<void>
}

const schema = z.object({
  artifact: artifactRef,
  runId: z.string(),
  key: z.string(),
  parts: z.record(z.string(), z.string()),
})

/** What an entry of the cache keeps; undefined for one that was damaged. */
export function keptOutput(body: unknown): CachedOutput | undefined {
  return schema.safeParse(body).success ? (body as CachedOutput) : undefined
}

/** The group under which the outputs of an execution are listed: those of a state, or of one item of a map. */
export function cacheGroup(executionKey: string): string {
  return `state:${executionKey}`
}

/** The cache on a store. */
export function outputCache(cache: CacheStore, artifacts: ArtifactStore): OutputCache {
  const touches = new TouchBatch(artifacts)
  return {
    find: async (parts) => {
      const entry = await cache.find(cacheKey(parts))
      if (entry === undefined) return undefined
      const found = keptOutput(entry.body)
      if (found === undefined) {
        // It would stand in the way of the one that is made now.
        await cache.delete(entry.key)
        return undefined
      }
      // Used before it is read, so that it is not collected in between.
      const isThere = await touches.touch(found.artifact.$artifact)
      return isThere && (await verified(artifacts, found.artifact.$artifact)) ? found : undefined
    },
    keep: async (output) => {
      const { artifact, key, parts } = output
      const kept = await cache.putIfAbsent({
        key: cacheKey(parts),
        group: cacheGroup(key),
        artifacts: [artifact.$artifact],
        body: output as never,
      })
      const first = keptOutput(kept.body)
      if (first !== undefined) checkSame(first, output)
    },
  }
}

function checkSame(first: CachedOutput, second: CachedOutput): void {
  const [one, other]: readonly ContentId[] = [first.artifact.$artifact, second.artifact.$artifact]
  if (one === other) return
  const text =
    `${second.key} of run ${second.runId} made ${other} from the same inputs from which ${first.key} of run ` +
    `${first.runId} had made ${one}; a cached state must depend on nothing else: declare what it depends on, or drop cache: true`
  const details = { first: { runId: first.runId, artifact: one }, second: { runId: second.runId, artifact: other } }
  throw new PlanError('NOT_REPRODUCIBLE', text, { details: details as never })
}
