import type { ContentId } from '@varve/store'
import { verified } from '../cache/verified.ts'
import { PlanError } from '../errors.ts'
import { executeAgain, recordWithFacts } from './replay-run.ts'
import type { EngineParts } from './parts.ts'
import { pinnedStart, samePlan } from './pinned-run.ts'
import { storeWriter } from './store-artifacts.ts'
import { artifactOf } from '../view/run-record.ts'
import { stateIdOf } from '../view/plan-status.ts'

/** What became of an artifact that was to be remade. */
export interface Remade {
  readonly artifact: ContentId
  /** False when it was whole, and nothing was done. */
  readonly remade: boolean
}

/**
 * Makes a state's artifact again when it is gone or corrupt: runs the state's code with the recorded inputs and facts, and
 * keeps what it makes. Nothing is written to the log.
 */
export async function remakeArtifact(parts: EngineParts, runId: string, key: string): Promise<Remade> {
  const { artifacts } = parts
  const { manifest } = await pinnedStart(parts, runId)
  const { definition } = await samePlan(parts, runId, manifest)
  const { record, facts } = await recordWithFacts(parts, runId)
  const item = record.items.get(key)
  const artifact = artifactOf(item)?.$artifact
  if (item === undefined || artifact === undefined) {
    throw new PlanError('NO_OUTPUT', `run ${runId} has no output of ${key}`, { runId, key })
  }
  if (await verified(artifacts, artifact)) return { artifact, remade: false }
  // What it was told stands in the log of the run that made it.
  if (item.reusedFrom !== undefined) return remakeArtifact(parts, item.reusedFrom, key)
  const node = definition.graph.nodeOf(stateIdOf(key))
  const isItem = node.kind === 'map' && key !== node.id
  if ((node.kind !== 'state' && !isItem) || node.effect === 'at-most-once') {
    const text = `what ${key} of run ${runId} made cannot be made again from the log; restore ${artifact}, or fork the run from ${node.id}`
    throw new PlanError('NO_OUTPUT', text, { runId, key })
  }
  // First by name alone: what is corrupt is not given up for something else.
  const again = async (keep: boolean): Promise<ContentId> =>
    executeAgain(parts, definition, node, item, runId, facts.of(item), ...(keep ? [storeWriter(artifacts)] : []))
  const check = (made: ContentId): void => {
    if (made === artifact) return
    const text = `${key} of run ${runId} made ${artifact}, and makes ${made} now; fork the run from ${node.id}`
    throw new PlanError('NOT_REPRODUCIBLE', text, { runId, key })
  }
  check(await again(false))
  await artifacts.delete(artifact, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
  check(await again(true))
  return { artifact, remade: true }
}
