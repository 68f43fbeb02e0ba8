import { isStoreError, type ArtifactStore, type ContentId } from '@varve/store'

/** True when an artifact is there, whole, and has the hash that names it. Reads all of it, a chunk at a time. */
export async function verified(artifacts: ArtifactStore, id: ContentId): Promise<boolean> {
  try {
    const stored = await artifacts.get(id)
    for await (const _chunk of stored.stream());
    return true
  } catch (error) {
    if (isStoreError(error, 'ARTIFACT_NOT_FOUND') || isStoreError(error, 'ARTIFACT_CORRUPT')) return false
    throw error
  }
}
