import { contentId, type ArtifactStore, type ContentId } from '@varve/store'

/** Every artifact of a list, after all of its bytes were read and checked. Throws for one that is not whole. */
export async function wholeArtifacts(artifacts: ArtifactStore): Promise<readonly ContentId[]> {
  const { items } = await artifacts.list({}, { limit: 1000 })
  for (const { id, size } of items) {
    const artifact = await artifacts.get(id)
    const bytes = await artifact.bytes()
    if (contentId(bytes) !== id || bytes.byteLength !== size || artifact.size !== size) throw new Error(`${id} is torn`)
  }
  return items.map(({ id }) => id)
}
