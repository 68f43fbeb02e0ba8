import { StoreError, type CacheEntry, type ContentId, type RunUpdate, type Store } from '@varve/store'
import { opening, pause, spoiling, unless, type Mutant } from './mutant.ts'

type Cache = Store['cache']

/** A cache that knows some keys by another name. */
function renaming(rename: (id: string) => string): (healthy: Cache) => Partial<Cache> {
  return (healthy) => ({
    find: async (key) => healthy.find(typeof key === 'string' ? rename(key) : key),
    putIfAbsent: async (draft) =>
      healthy.putIfAbsent(typeof draft.key === 'string' ? { ...draft, key: rename(draft.key) } : draft),
  })
}

const weakEntries = spoiling('cache', 'cache', {
  'the last entry stays': (healthy) => ({
    putIfAbsent: async (draft) => {
      await healthy.putIfAbsent(draft)
      await healthy.delete(draft.key)
      return healthy.putIfAbsent(draft)
    },
  }),
  'who comes second is told his own entry': (healthy) => ({
    putIfAbsent: async (draft) => ({ ...(await healthy.putIfAbsent(draft)), body: draft.body }),
  }),
  'others get in between the look and the put': (healthy) => ({
    putIfAbsent: async (draft) => {
      if (typeof draft.body !== 'number') return healthy.putIfAbsent(draft)
      const found = await healthy.find(draft.key)
      await pause()
      if (found === undefined) await healthy.delete(draft.key)
      return healthy.putIfAbsent(draft)
    },
  }),
  'who loses is told that the store is busy': (healthy) => ({
    putIfAbsent: async (draft) => {
      if ((await healthy.find(draft.key)) !== undefined) throw new StoreError('STORE_BUSY', 'somebody was faster')
      return healthy.putIfAbsent(draft)
    },
  }),
  'nothing is deleted': (healthy) => ({
    delete: async (key) => (await healthy.find(key)) !== undefined,
  }),
  'a delete does not tell whether there was an entry': (healthy) => ({
    delete: async (key) => {
      await healthy.delete(key)
      return true
    },
  }),
  'a delete deletes the whole group': (healthy) => ({
    delete: async (key) => {
      const group = (await healthy.find(key))?.group
      const { items } = await healthy.list(group === undefined ? {} : { group }, { limit: 1000 })
      for (const entry of items) if (entry.group === group) await healthy.delete(entry.key)
      return group !== undefined || healthy.delete(key)
    },
  }),
  'it keeps the memory of its caller': (healthy) => {
    const given = new Map<string, CacheEntry['body']>()
    return {
      putIfAbsent: async (draft) => {
        const kept = await healthy.putIfAbsent(draft)
        given.set(draft.key, given.get(draft.key) ?? draft.body)
        return kept
      },
      find: async (key) => {
        const found = await healthy.find(key)
        return found && { ...found, body: given.get(key) ?? found.body }
      },
    }
  },
  'it reads the entry of a put some time after the call': (healthy) => ({
    putIfAbsent: async (draft) => {
      await pause()
      return healthy.putIfAbsent(draft)
    },
  }),
  'bodies are cut': (healthy) => ({
    find: async (key) => {
      const found = await healthy.find(key)
      return found && { ...found, body: typeof found.body === 'string' ? found.body.slice(0, 65_535) : found.body }
    },
  }),
  'bodies of any size are kept': (healthy) => ({
    putIfAbsent: async (draft) =>
      unless(
        'LIMIT_EXCEEDED',
        async () => healthy.putIfAbsent(draft),
        async () => healthy.putIfAbsent({ ...draft, body: 1 }),
      ),
  }),
  'what is no JSON is kept as what is left of it': (healthy) => ({
    putIfAbsent: async (draft) =>
      unless(
        'NOT_JSON',
        async () => healthy.putIfAbsent(draft),
        async () => healthy.putIfAbsent({ ...draft, body: null }),
      ),
  }),
  'artifacts come back in their own order': (healthy) => ({
    find: async (key) => {
      const found = await healthy.find(key)
      return found && { ...found, artifacts: found.artifacts.toSorted() }
    },
  }),
  'keys are told apart without their case': renaming((key) => key.toLowerCase()),
  'keys are cut': renaming((key) => key.slice(0, 100)),
  'any text is a key': (healthy) => ({
    find: async (key) =>
      unless(
        'INVALID_ARGUMENT',
        async () => healthy.find(key),
        async () => undefined,
      ),
  }),
})

const weakLists = spoiling('cache', 'cache', {
  'the list is oldest first': (healthy) => ({
    list: async (filter, page) => {
      const found = await healthy.list(filter, page)
      return { ...found, items: found.items.toReversed() }
    },
  }),
  'the list forgets the group': (healthy) => ({
    list: async ({ group, ...filter }, page) => healthy.list(group === '' ? { group } : filter, page),
  }),
  'createdBefore is inclusive': (healthy) => ({
    list: async ({ createdBefore, ...filter }, page) =>
      healthy.list(createdBefore === undefined ? filter : { ...filter, createdBefore: createdBefore + 1 }, page),
  }),
  'the list has no second page': (healthy) => ({
    list: async (filter, page) => ({ items: (await healthy.list(filter, page)).items }),
  }),
  'the list pages by number': (healthy) => ({
    list: async (filter, { limit, cursor = '0' }) => {
      if (!Number.isInteger(limit) || !/^\d+$/.test(cursor)) return healthy.list(filter, { limit, cursor })
      await healthy.list(filter, { limit })
      const { items } = await healthy.list(filter, { limit: 1000 })
      const end = Number(cursor) + limit
      return { items: items.slice(Number(cursor), end), ...(items.length > end && { next: String(end) }) }
    },
  }),
})

const weakReferences = spoiling('cache', 'cache', {
  'a deleted entry goes on referring': (healthy) => {
    const referred = new Set<ContentId>()
    return {
      putIfAbsent: async (draft) => {
        const kept = await healthy.putIfAbsent(draft)
        for (const id of kept.artifacts) referred.add(id)
        return kept
      },
      referred: async (ids) => {
        await healthy.referred(ids)
        return ids.filter((id) => referred.has(id))
      },
    }
  },
  'an entry that lost refers all the same': (healthy) => {
    const lost = new Set<ContentId>()
    return {
      putIfAbsent: async (draft) => {
        const kept = await healthy.putIfAbsent(draft)
        for (const id of draft.artifacts) if (!kept.artifacts.includes(id)) lost.add(id)
        return kept
      },
      referred: async (ids) => {
        const referred = new Set(await healthy.referred(ids))
        return ids.filter((id) => referred.has(id) || lost.has(id))
      },
    }
  },
  'nothing is referred to': (healthy) => ({
    referred: async (ids) => (await healthy.referred(ids)).slice(0, 0),
  }),
  'what is referred to is told in its own order': (healthy) => ({
    referred: async (ids) => (await healthy.referred(ids)).toSorted().toReversed(),
  }),
  'an entry refers to its first 100 artifacts': (healthy) => ({
    putIfAbsent: async (draft) => {
      const artifacts = Array.isArray(draft.artifacts) && draft.artifacts.length <= 1000
      return healthy.putIfAbsent(artifacts ? { ...draft, artifacts: draft.artifacts.slice(0, 100) } : draft)
    },
  }),
})

/** What a run says with an append, without or with other artifacts. */
function refer(update: RunUpdate, change: (ids: readonly ContentId[]) => readonly ContentId[]): RunUpdate {
  return update.artifacts === undefined ? update : { ...update, artifacts: change(update.artifacts) }
}

const weakAppends = [
  ...spoiling('references', 'events', {
    'an append forgets its artifacts': (healthy) => ({
      append: async (runId, events, options) =>
        healthy.append(runId, events, { ...options, run: refer(options.run, () => []) }),
    }),
    'the append that creates a run forgets its artifacts': (healthy) => ({
      append: async (runId, events, options) =>
        healthy.append(runId, events, {
          ...options,
          run: options.run.create === undefined ? options.run : refer(options.run, () => []),
        }),
    }),
    'an append that ends the run forgets its artifacts': (healthy) => ({
      append: async (runId, events, options) =>
        healthy.append(runId, events, {
          ...options,
          run: options.run.status === 'completed' ? refer(options.run, () => []) : options.run,
        }),
    }),
    'too many artifacts are cut to what fits': (healthy) => ({
      append: async (runId, events, options) =>
        healthy.append(runId, events, { ...options, run: refer(options.run, (ids) => ids.slice(0, 1000)) }),
    }),
    'what is no id is passed over': (healthy) => ({
      append: async (runId, events, options) =>
        healthy.append(runId, events, {
          ...options,
          run: refer(options.run, (ids) => ids.filter((id) => /^sha256:[0-9a-f]{64}$/.test(id))),
        }),
    }),
  }),
]

const weakIndexes = spoiling('references', 'runs', {
  'the filter by artifact is forgotten': (healthy) => ({
    list: async ({ artifact: _, ...filter }, page) => healthy.list(filter, page),
  }),
  'the other filters are forgotten beside the artifact': (healthy) => ({
    list: async ({ artifact, ...filter }, page) => healthy.list(artifact === undefined ? filter : { artifact }, page),
  }),
  'what is referred to is told in its own order': (healthy) => ({
    referred: async (ids) => (await healthy.referred(ids)).toSorted(),
  }),
  'any number may be asked for': (healthy) => ({
    referred: async (ids) => (ids.length === 0 ? [] : healthy.referred(ids.slice(0, 1000))),
  }),
  'a removed run goes on referring': (healthy) => {
    let isRemoved = false
    return {
      remove: async (runId, options) => {
        isRemoved = true
        return healthy.remove(runId, options)
      },
      referred: async (ids) => {
        const referred = await healthy.referred(ids)
        return isRemoved ? ids : referred
      },
    }
  },
  'a release takes artifacts and forgets them': (healthy) => ({
    release: async (claim, request) =>
      healthy.release(claim, request.run === undefined ? request : { ...request, run: withoutArtifacts(request.run) }),
  }),
})

/** Notes what appends refer to before they are made. */
const hasty: Mutant = {
  group: 'references',
  name: 'an append that is refused refers all the same',
  spoil: opening((store) => {
    const noted = new Set<ContentId>()
    const append: Store['events']['append'] = async (runId, events, options) => {
      for (const id of options.run.artifacts ?? []) noted.add(id)
      return store.events.append(runId, events, options)
    }
    const referred: Store['runs']['referred'] = async (ids) => {
      await store.runs.referred(ids)
      return ids.filter((id) => noted.has(id))
    }
    return { ...store, events: { ...store.events, append }, runs: { ...store.runs, referred } }
  }),
}

function withoutArtifacts({ artifacts: _, ...update }: RunUpdate): RunUpdate {
  return update
}

/** Stores that are wrong in their caches, or in what refers to artifacts. */
export const cacheMutants: readonly Mutant[] = [
  ...weakEntries,
  ...weakLists,
  ...weakReferences,
  ...weakAppends,
  ...weakIndexes,
  hasty,
]
