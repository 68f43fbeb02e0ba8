import type { Clock } from '@varve/kernel'
import { repeatable } from '@varve/kernel/stepper'
import type { ArtifactStore, CacheStore, Store } from '@varve/store'

/** The same store with a cache as {@link steadyCache} makes it. It may be an instance of a class, which cannot be spread. */
export function steadyStore(store: Store, clock: Clock): Store {
  const { capabilities, events, runs, inbox, snapshots, artifacts, secrets, notifications } = store
  return {
    ...{ capabilities, events, runs, inbox, snapshots, artifacts, secrets },
    ...(notifications !== undefined && { notifications }),
    cache: steadyCache(store.cache, clock),
    now: async () => store.now(),
    [Symbol.asyncDispose]: async () => store[Symbol.asyncDispose](),
  }
}

/** The same cache, each call made again when its answer was lost or the store was away: none of them counts twice. */
function steadyCache(cache: CacheStore, clock: Clock): CacheStore {
  const steady = async <T>(call: () => Promise<T>): Promise<T> => repeatable({ clock }, call)
  return {
    find: async (key) => steady(async () => cache.find(key)),
    putIfAbsent: async (draft) => steady(async () => cache.putIfAbsent(draft)),
    delete: async (key) => steady(async () => cache.delete(key)),
    list: async (filter, page) => steady(async () => cache.list(filter, page)),
    referred: async (ids) => steady(async () => cache.referred(ids)),
  }
}

/** The same artifacts, as {@link steadyCache}; but for the put of a stream, which is there once. */
export function steadyArtifacts(artifacts: ArtifactStore, clock: Clock): ArtifactStore {
  const steady = async <T>(call: () => Promise<T>): Promise<T> => repeatable({ clock }, call)
  return {
    put: async (content, options) => {
      const put = async (): ReturnType<ArtifactStore['put']> => artifacts.put(content, options)
      return content instanceof Uint8Array ? steady(put) : put()
    },
    get: async (id) => steady(async () => artifacts.get(id)),
    has: async (id) => steady(async () => artifacts.has(id)),
    touch: async (ids, options) => steady(async () => artifacts.touch(ids, options)),
    list: async (filter, page) => steady(async () => artifacts.list(filter, page)),
    delete: async (id, options) => steady(async () => artifacts.delete(id, options)),
  }
}
