import { shown, type ContentId } from '@varve/store'
import { verified } from '../cache/verified.ts'
import type { StateNode } from '../definition/node.ts'
import type { PlanDefinition } from '../definition/plan.ts'
import { isPlanError, PlanError } from '../errors.ts'
import type { PlanInput } from '../schedule/plan-input.ts'
import type { PartRequest } from '../schedule/requests.ts'
import { artifactsMade } from '../view/artifacts-made.ts'
import { stateIdOf } from '../view/plan-status.ts'
import type { ItemRecord, RunRecord } from '../view/run-record.ts'
import type { EngineParts } from './parts.ts'
import { pinnedStart, samePlan } from './pinned-run.ts'
import { isRepeatable, remakePart } from './remake-part.ts'
import { executeAgain, recordWithFacts, type RunFacts } from './replay-run.ts'
import { storeWriter } from './store-artifacts.ts'

/** What became of an artifact that was to be remade. */
export interface Remade {
  readonly artifact: ContentId
  /** False when it was whole, and nothing was done. */
  readonly remade: boolean
}

/**
 * Makes a state's artifact again when it is gone or corrupt: runs the state's code with the recorded inputs and facts, and
 * keeps what it makes. What the engine itself has made, such as the list of a map, it makes again. Nothing is written to the log.
 * Where it makes something else now, what is damaged stays as it is.
 */
export async function remakeArtifact(parts: EngineParts, runId: string, key: string): Promise<Remade> {
  const { input, manifest } = await pinnedStart(parts, runId)
  const { definition } = await samePlan(parts, runId, manifest)
  const { record, facts } = await recordWithFacts(parts, runId)
  const item = record.items.get(key)
  const made = item === undefined ? [] : artifactsMade(item)
  const [artifact] = made
  if (item === undefined || artifact === undefined) {
    throw new PlanError(
      'NO_OUTPUT',
      `run ${runId} has no output of ${shown(key)}; name a state that has made one, or its item as <state>:item:<key>`,
      { runId, key },
    )
  }
  const damaged = await damagedOf(parts, made)
  if (damaged[0] === undefined) return { artifact, remade: false }
  const missing: Missing = { runId, key, state: nodeOf(definition, key).id, artifact: damaged[0] }
  if (isOfChild(item)) await checkNotThere(parts, missing, childRunOf(record, input, missing.state))
  // What it was told stands in the log of the run that made it.
  if (item.reusedFrom !== undefined) return remakeElsewhere(parts, missing, item.reusedFrom)
  const again = makerOf(parts, definition, { runId, item, facts })
  if (again === undefined) {
    const { state, artifact: lost } = missing
    const text = `what ${key} of run ${runId} made cannot be made again from the log; restore ${lost}, or fork the run from ${state}`
    throw new PlanError('NO_OUTPUT', text, { runId, key })
  }
  const names = await again()
  if (!damaged.every((id) => names.has(id))) {
    const { id } = nodeOf(definition, key)
    const text = `${key} of run ${runId} made ${damaged[0]}, and makes ${[...names].join(', ')} now; fork the run from ${id}`
    throw new PlanError('NOT_REPRODUCIBLE', text, { runId, key })
  }
  return { artifact: damaged[0], remade: true }
}

/** What is to be made again. */
interface Missing {
  readonly runId: string
  readonly key: string
  readonly state: string
  readonly artifact: ContentId
}

/** True for what the engine has taken from a child run as it was. */
function isOfChild(item: ItemRecord): boolean {
  const part = (item.input as { readonly part?: PartRequest['part'] } | null)?.part
  return item.childRunId !== undefined || part === 'adopt' || (part === 'entries' && !isRepeatable(item))
}

function childRunOf({ items }: RunRecord, { children = {} }: PlanInput, state: string): string | undefined {
  const own = items.get(`${state}:child`)?.childRunId
  return own ?? (Object.hasOwn(children, state) ? children[state]?.runId : undefined)
}

/** @throws PlanError `NO_OUTPUT` when the child run that made it is there: it is to be remade in that. */
async function checkNotThere(parts: EngineParts, missing: Missing, child: string | undefined): Promise<void> {
  if (child === undefined || (await parts.kernel.find(child)) === undefined) return
  const { runId, key, state } = missing
  const text =
    `what ${key} of run ${runId} has was made by its child run ${child}; ` +
    `remake it there, by the key that verify of that run tells, or fork the run from ${state}`
  throw new PlanError('NO_OUTPUT', text, { runId, key })
}

async function remakeElsewhere(parts: EngineParts, missing: Missing, from: string): Promise<Remade> {
  const { runId, key, state, artifact } = missing
  return remakeArtifact(parts, from, key).catch((error: unknown) => {
    if (!isPlanError(error, 'RUN_NOT_FOUND')) throw error
    const text = `run ${from} is gone, which made ${key} of run ${runId}; restore ${artifact}, or fork the run from ${state}`
    throw new PlanError('NO_OUTPUT', text, { runId, key, cause: error })
  })
}

/** Makes what an item has made, and keeps it. @returns the names of it. */
type Maker = () => Promise<ReadonlySet<ContentId>>

interface Making {
  readonly runId: string
  readonly item: ItemRecord
  readonly facts: RunFacts
}

/** Undefined for what cannot be made again. */
function makerOf(parts: EngineParts, plan: PlanDefinition, { runId, item, facts }: Making): Maker | undefined {
  const node = nodeOf(plan, item.key)
  if (isRepeatable(item)) return async () => remakePart(parts, plan, node, item)
  const isItem = node.kind === 'map' && item.key !== node.id
  if ((node.kind !== 'state' && !isItem) || node.effect === 'at-most-once') return undefined
  const writer = storeWriter(parts.artifacts)
  return async () => new Set([await executeAgain(parts, plan, node, item, runId, facts.of(item), writer)])
}

function nodeOf(plan: PlanDefinition, key: string): StateNode {
  return plan.graph.nodeOf(stateIdOf(key))
}

async function damagedOf({ artifacts }: EngineParts, made: readonly ContentId[]): Promise<readonly ContentId[]> {
  const damaged: ContentId[] = []
  for (const id of made) if (!(await verified(artifacts, id))) damaged.push(id)
  return damaged
}
