import { contentId, type ContentId } from '@varve/store'
import { whole } from './artifact-mutants.ts'
import { pause, spoiling, unless, type Mutant } from './mutant.ts'

/** Stores that are wrong in when artifacts are used, and in what they delete and list. */
export const artifactUseMutants: readonly Mutant[] = spoiling('artifact use', 'artifacts', {
  'a put again is no use': (healthy) => ({
    put: async (content, options) => {
      const bytes = await whole(content)
      return (await healthy.has(contentId(bytes))) ? contentId(bytes) : healthy.put(bytes, options)
    },
  }),
  'reading is a use': (healthy) => ({
    get: async (id) => {
      await healthy.touch([id])
      return healthy.get(id)
    },
  }),
  'a touch touches nothing': (healthy) => ({
    touch: async (ids) => {
      const there = await Promise.all(ids.map(async (id) => healthy.has(id)))
      return ids.filter((_, n) => there[n])
    },
  }),
  'a touch by a clock that was set back sets the time back': (healthy, store) => {
    const touchedAt = new Map<ContentId, number>()
    return {
      touch: async (ids) => {
        const touched = await healthy.touch(ids)
        const now = await store.now()
        for (const id of touched) touchedAt.set(id, now)
        return touched
      },
      list: async (filter, page) => {
        const { items, ...rest } = await healthy.list(filter, page)
        return { ...rest, items: items.map((row) => ({ ...row, usedAt: touchedAt.get(row.id) ?? row.usedAt })) }
      },
    }
  },
  'a touch touches all there is': (healthy) => ({
    touch: async (ids) => {
      const { items } = await healthy.list({}, { limit: 1000 })
      if (items.length > 0) await healthy.touch(items.map(({ id }) => id))
      return healthy.touch(ids)
    },
  }),
  'a touch answers what it was asked': (healthy) => ({
    touch: async (ids) => {
      await healthy.touch(ids)
      return ids
    },
  }),
  'a touch answers in the order of the ids': (healthy) => ({
    touch: async (ids) => (await healthy.touch(ids)).toSorted(),
  }),
  'a touch takes any number of ids': (healthy) => ({
    touch: async (ids) => await healthy.touch(ids.slice(0, 1000)),
  }),
  'a delete compares nothing': (healthy) => ({
    delete: async (id, { ifUnusedSince }) =>
      healthy.delete(id, { ifUnusedSince: ifUnusedSince < 0 ? Number.MAX_SAFE_INTEGER : ifUnusedSince }),
  }),
  'a delete takes what was used at that very time': (healthy) => ({
    delete: async (id, { ifUnusedSince }) =>
      healthy.delete(id, {
        ifUnusedSince: Number.isSafeInteger(ifUnusedSince + 1) ? ifUnusedSince + 1 : ifUnusedSince,
      }),
  }),
  'a delete says that it deleted what was not there': (healthy) => ({
    delete: async (id, options) => {
      const there = await healthy.has(id)
      return (await healthy.delete(id, options)) || !there
    },
  }),
  'a delete without a time deletes': (healthy) => ({
    delete: async (id, options) =>
      unless(
        'INVALID_ARGUMENT',
        async () => healthy.delete(id, options),
        async () => healthy.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER }),
      ),
  }),
  'others get in between the comparison and the delete': (healthy) => ({
    delete: async (id, { ifUnusedSince }) => {
      const { items } = await healthy.list({}, { limit: 1000 })
      const row = items.find((each) => each.id === id)
      if (!Number.isSafeInteger(ifUnusedSince)) return healthy.delete(id, { ifUnusedSince })
      if (row === undefined || row.usedAt >= ifUnusedSince) return false
      await pause()
      return healthy.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
    },
  }),
  'what was deleted keeps its first time': (healthy) => {
    const first = new Map<ContentId, number>()
    return {
      list: async (filter, page) => {
        const { items, ...rest } = await healthy.list(filter, page)
        for (const { id, createdAt } of items) first.set(id, first.get(id) ?? createdAt)
        return { ...rest, items: items.map((row) => ({ ...row, createdAt: first.get(row.id) ?? row.createdAt })) }
      },
      delete: async (id, options) => {
        const { items } = await healthy.list({}, { limit: 1000 })
        const row = items.find((each) => each.id === id)
        if (row !== undefined) first.set(id, row.createdAt)
        return healthy.delete(id, options)
      },
    }
  },
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
  'unusedSince is forgotten': (healthy) => ({
    list: async ({ unusedSince }, page) =>
      healthy.list(Number.isInteger(unusedSince ?? 0) ? {} : { unusedSince: unusedSince ?? 0 }, page),
  }),
  'sizes are those of text': (healthy) => ({
    list: async (filter, page) => {
      const found = await healthy.list(filter, page)
      return { ...found, items: found.items.map((row) => ({ ...row, size: row.size * 2 })) }
    },
  }),
})
