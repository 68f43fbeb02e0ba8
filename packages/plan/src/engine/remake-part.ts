import type { ContentId } from '@varve/store'
import type { StateNode } from '../definition/node.ts'
import type { PlanDefinition } from '../definition/plan.ts'
import type { ArtifactWriter } from '../execution/keep-output.ts'
import { partAction } from '../execution/part-action.ts'
import type { EntriesResult, PartRequest } from '../schedule/requests.ts'
import type { ItemRecord } from '../view/run-record.ts'
import type { EngineParts } from './parts.ts'
import { storeReader, storeWriter } from './store-artifacts.ts'

/** What the engine does for a state with nothing but what it was asked for: doing it again makes the same. */
const REPEATABLE: ReadonlySet<PartRequest['part']> = new Set<PartRequest['part']>([
  'items',
  'stretch',
  'page',
  'collect',
  'join',
  'record',
])

/** True for a request to the engine itself that can be answered again. */
export function isRepeatable({ input, output }: Pick<ItemRecord, 'input' | 'output'>): boolean {
  const part = (input as { readonly part?: PartRequest['part'] } | null)?.part as PartRequest['part']
  // The entries of a child's list are the child's; the stretches of that are made here.
  if (part === 'entries') return (output as unknown as EntriesResult | undefined)?.stretches !== undefined
  return REPEATABLE.has(part)
}

/**
 * Does again what the engine did for a state, such as listing the outputs of a map, and keeps it.
 *
 * @returns the names of what it makes.
 */
export async function remakePart(
  { artifacts, runtime }: Pick<EngineParts, 'artifacts' | 'runtime'>,
  plan: PlanDefinition,
  node: StateNode,
  { input }: ItemRecord,
): Promise<ReadonlySet<ContentId>> {
  const names = new Set<ContentId>()
  const writer = storeWriter(artifacts)
  const noted: ArtifactWriter = {
    put: async (content, options) => {
      const ref = await writer.put(content, options)
      names.add(ref.$artifact)
      return ref
    },
    putJson: async (value) => {
      const ref = await writer.putJson(value)
      names.add(ref.$artifact)
      return ref
    },
  }
  const ctx = { artifacts: { ...storeReader(artifacts), ...noted } }
  await partAction(plan, node, runtime.provenance)(input as unknown as PartRequest, ctx)
  return names
}
