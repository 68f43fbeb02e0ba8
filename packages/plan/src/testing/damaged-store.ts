import { storedArtifact, type ContentId, type Store } from '@varve/store'

/** A store whose artifacts can be damaged, as by a failing disk: they read as other bytes until they are put again, or deleted. */
export function damageable(store: Store): { readonly store: Store; readonly damage: (id: ContentId) => void } {
  const damaged = new Set<ContentId>()
  const { artifacts } = store
  const spoiled = async function* (): AsyncGenerator<Uint8Array, void> {
    yield Uint8Array.of(0)
  }
  return {
    damage: (id) => damaged.add(id),
    store: {
      ...store,
      artifacts: {
        put: async (...args) => {
          const id = await artifacts.put(...args)
          damaged.delete(id)
          return id
        },
        has: async (...args) => artifacts.has(...args),
        touch: async (...args) => artifacts.touch(...args),
        list: async (...args) => artifacts.list(...args),
        get: async (id) => {
          const { size, mediaType, ...kept } = await artifacts.get(id)
          return damaged.has(id) ? storedArtifact({ id, mediaType, size }, spoiled) : { ...kept, size, mediaType }
        },
        delete: async (id, options) => {
          const isGone = await artifacts.delete(id, options)
          if (isGone) damaged.delete(id)
          return isGone
        },
      },
    },
  }
}

/** Takes an artifact out of a store, whoever refers to it. */
export async function lose(store: Store, id: ContentId): Promise<void> {
  await store.artifacts.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
}
