import { contentId, isStoreError, type ArtifactStore } from '@varve/store'

/**
 * Artifacts of which a damaged one is replaced by whoever has its bytes: a state that makes again what was kept, and was damaged
 * since, leaves it whole. Streams cannot be read twice, so for them the store's refusal stands.
 */
export function mendingArtifacts(artifacts: ArtifactStore): ArtifactStore {
  return {
    put: async (content, options) => {
      try {
        return await artifacts.put(content, options)
      } catch (error) {
        if (!(content instanceof Uint8Array) || !isStoreError(error, 'ARTIFACT_CORRUPT')) throw error
        await artifacts.delete(contentId(content), { ifUnusedSince: Number.MAX_SAFE_INTEGER })
        return artifacts.put(content, options)
      }
    },
    get: async (id) => artifacts.get(id),
    has: async (id) => artifacts.has(id),
    touch: async (ids, options) => artifacts.touch(ids, options),
    list: async (filter, page) => artifacts.list(filter, page),
    delete: async (id, options) => artifacts.delete(id, options),
  }
}
