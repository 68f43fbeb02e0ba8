import type { ActionArtifacts, ArtifactRef } from '@varve/kernel'
import type { Json, StoredArtifact } from '@varve/store'
import type { Graph } from '../definition/graph.ts'
import type { Edge } from '../definition/need.ts'
import { isBytes, type BytesOutput, type MapEntry } from '../definition/output.ts'
import type { ManifestState } from '../manifest/manifest-state.ts'
import type { ListEntry, NeedRefs } from '../schedule/requests.ts'

/** Reads artifacts against the hash that names them. */
export type ArtifactReader = Pick<ActionArtifacts, 'get' | 'json'>

/** The media type of a list of artifacts: the output of a map. */
export const LIST = 'application/vnd.varve.list+json'

/** The outputs that an execution sees, read. */
export async function needValues(
  graph: Graph,
  edges: readonly Edge[],
  refs: NeedRefs,
  artifacts: ArtifactReader,
): Promise<Record<string, unknown>> {
  const named = edges.filter((edge): edge is Edge & { readonly name: string } => edge.name !== undefined)
  const values = await Promise.all(
    named.map(async ({ name, id }) => {
      const ref = refs[name]
      if (ref == null) return [name, undefined] as const
      const { output, list } = graph.nodeOf(id)
      return [name, await outputValue({ makes: isBytes(output) ? 'bytes' : 'json', list }, ref, artifacts)] as const
    }),
  )
  return Object.fromEntries(values)
}

/** How an output is read. */
type OutputShape = Pick<ManifestState, 'makes' | 'list'>

/** An output as those see it that need it. */
export async function outputValue(shape: OutputShape, ref: ArtifactRef, artifacts: ArtifactReader): Promise<unknown> {
  if (!shape.list) return oneValue(shape, ref, artifacts)
  const entries = await listEntries(ref, artifacts)
  return Promise.all(
    entries.map(async ({ key, output }): Promise<MapEntry<unknown>> => ({
      key,
      value: await oneValue(shape, output, artifacts),
    })),
  )
}

/** What a list of artifacts names. */
export async function listEntries(ref: ArtifactRef, artifacts: ArtifactReader): Promise<readonly ListEntry[]> {
  return (await artifacts.json(ref)) as unknown as readonly ListEntry[]
}

async function oneValue(
  { makes }: OutputShape,
  ref: ArtifactRef,
  artifacts: ArtifactReader,
): Promise<Json | BytesOutput> {
  if (makes === 'json') return artifacts.json(ref)
  return bytesOutput(ref, await artifacts.get(ref))
}

function bytesOutput(ref: ArtifactRef, stored: StoredArtifact): BytesOutput {
  const { id, size } = stored
  // The store's is that of whoever has put the same bytes first.
  const { mediaType } = ref
  return { ref, id, size, mediaType, bytes: async () => stored.bytes(), stream: () => stored.stream() }
}
