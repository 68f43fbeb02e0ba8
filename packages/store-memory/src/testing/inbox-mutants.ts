import { isTerminal, StoreError, type Page, type PageRequest } from '@varve/store'
import { pause, row, spoiling, unless, type Mutant } from './mutant.ts'

const postMutants = spoiling('inbox', 'inbox', {
  'a post that was taken is kept again': (healthy) => ({
    post: async (runId, post, options) => {
      const answer = await healthy.post(runId, post, options)
      const { items: waiting } = await healthy.list(runId, { limit: 1000 })
      return waiting.some(({ id }) => id === post.id) ? answer : 'kept'
    },
  }),
  'the end of the run comes before a duplicate': (healthy, store) => ({
    post: async (runId, post, options) => {
      const found = await store.runs.find(runId)
      if (found !== undefined && isTerminal(found.status)) throw new StoreError('RUN_TERMINAL', 'the run has ended')
      return healthy.post(runId, post, options)
    },
  }),
  'a full inbox comes before a duplicate': (healthy, store) => ({
    post: async (runId, post, options) => {
      const found = await store.runs.find(runId)
      if (found !== undefined && found.waiting >= options.maxWaiting) throw new StoreError('INBOX_FULL', 'full')
      return healthy.post(runId, post, options)
    },
  }),
  'an inbox is never full': (healthy) => ({
    post: (runId, post) => healthy.post(runId, post, { maxWaiting: Number.MAX_SAFE_INTEGER }),
  }),
  'others get in between the count and the post': (healthy, store) => ({
    post: async (runId, post, options) => {
      const { waiting } = await row(store, runId)
      // A small inbox is counted as it should be: only the race is wrong.
      if (options.maxWaiting < 10) return healthy.post(runId, post, options)
      await pause()
      if (waiting >= options.maxWaiting) throw new StoreError('INBOX_FULL', 'full')
      return healthy.post(runId, post, { maxWaiting: Number.MAX_SAFE_INTEGER })
    },
  }),
  'posts are listed by id': (healthy) => ({
    list: async (runId, page) => {
      const { items, ...rest } = await healthy.list(runId, page)
      return { items: items.toSorted((a, b) => (a.id < b.id ? -1 : 1)), ...rest }
    },
  }),
  'waiting posts have no second page': (healthy) => ({
    list: async (runId, page) => ({ items: (await healthy.list(runId, page)).items }),
  }),
  'a page of posts has as many bytes as they have': (healthy) => ({
    list: async (runId, page) => whole(page, (request) => healthy.list(runId, request)),
  }),
  'a page of rejected posts has as many bytes as they have': (healthy) => ({
    rejected: async (runId, page) => whole(page, (request) => healthy.rejected(runId, request)),
  }),
  'a post that is larger than a page has no place on any': (healthy) => ({
    list: async (runId, page) => {
      const { items, ...rest } = await healthy.list(runId, page)
      return { items: items.filter(({ body }) => Buffer.byteLength(body) <= 4 * 1024 * 1024), ...rest }
    },
  }),
  'who reads on loses a post for each that was taken meanwhile': (healthy) => ({
    list: async (runId, { limit, cursor }) => {
      const from = Number(cursor ?? 0)
      const items = (await whole({ limit: 1000 }, (request) => healthy.list(runId, request))).items
      const page = items.slice(from, from + limit)
      return { items: page, ...(items.length > from + limit && { next: `${from + limit}` }) }
    },
  }),
  'the places of posts begin anew when none is left': (healthy) => {
    const places = new Map<string, number>()
    const ends = new Map<string, number>()
    return {
      post: async (runId, post, options) => {
        const { items } = await healthy.list(runId, { limit: 1000 })
        places.set(post.id, Math.max(0, ...items.map(({ id }) => places.get(id) ?? 0)) + 1)
        return healthy.post(runId, post, options)
      },
      list: async (runId, page) => {
        const { items, ...rest } = await healthy.list(runId, page)
        const from = ends.get(page.cursor ?? '') ?? 0
        if (rest.next !== undefined) ends.set(rest.next, places.get(items.at(-1)?.id ?? '') ?? 0)
        return { items: items.filter(({ id }) => (places.get(id) ?? 1) > from), ...rest }
      },
    }
  },
  'the id of a rejected post stays taken': (healthy) => ({
    post: async (runId, post, options) => {
      const { items } = await healthy.rejected(runId, { limit: 1000 })
      return items.some(({ id }) => id === post.id) ? 'duplicate' : healthy.post(runId, post, options)
    },
  }),
  'a post to an unknown run is kept': (healthy) => ({
    post: (runId, post, options) =>
      unless(
        'RUN_NOT_FOUND',
        () => healthy.post(runId, post, options),
        async () => 'kept' as const,
      ),
  }),
  'a duplicate answers that it was kept': (healthy) => ({
    post: async (runId, post, options) => {
      await healthy.post(runId, post, options)
      return 'kept'
    },
  }),
  'the ids of taken posts are forgotten behind 100 others': (healthy) => {
    const kept = new Map<string, string[]>()
    return {
      post: async (runId, post, options) => {
        const ids = kept.get(runId) ?? []
        kept.set(runId, ids)
        const answer = await healthy.post(runId, post, options)
        if (answer === 'kept') ids.push(post.id)
        const isForgotten = ids.lastIndexOf(post.id) < ids.length - 100
        return isForgotten ? healthy.post(runId, { ...post, id: `${post.id} once more` }, options) : answer
      },
    }
  },
  'a post leaves the problem of a run that comes again by itself': (healthy, store) => ({
    post: async (runId, post, options) => {
      const problem = (await store.runs.find(runId))?.problem
      const answer = await healthy.post(runId, post, options)
      if (problem === undefined || problem.retryAt === null) return answer
      const owner = { id: 'z', boot: null, pidNamespace: null, pid: 1, startedAt: null }
      const claim = await store.runs.acquire(runId, { owner, leaseMs: 1 })
      await store.runs.release(claim, { expectedHead: claim.head, problem })
      return answer
    },
  }),
  'rejected posts have no second page': (healthy) => ({
    rejected: async (runId, page) => ({ items: (await healthy.rejected(runId, page)).items }),
  }),
})

const takeMutants = [
  ...spoiling('inbox', 'events', {
    'an end leaves posts behind': (healthy, store) => ({
      append: (runId, events, options) =>
        unless(
          'INBOX_PENDING',
          () => healthy.append(runId, events, options),
          async () => {
            const { items: waiting } = await store.inbox.list(runId, { limit: 1000 })
            return healthy.append(runId, events, { ...options, take: waiting.map(({ id }) => id) })
          },
        ),
    }),
    'a rejected post is taken': (healthy) => ({
      append: (runId, events, { reject = [], take = [], ...options }) =>
        healthy.append(runId, events, { ...options, take: [...take, ...reject.map(({ id }) => id)] }),
    }),
    'an append takes whatever waits': (healthy, store) => ({
      append: async (runId, events, options) => {
        const { items: waiting } = await store.inbox.list(runId, { limit: 1000 })
        const take = waiting.map(({ id }) => id)
        return healthy.append(runId, events, options.take === undefined ? options : { ...options, take })
      },
    }),
    'an append takes up to 100 posts': (healthy) => ({
      append: (runId, events, { take, ...options }) =>
        healthy.append(runId, events, { ...options, ...(take !== undefined && { take: take.slice(0, 101) }) }),
    }),
    'an append rejects up to 100 posts': (healthy) => ({
      append: (runId, events, { reject, ...options }) =>
        healthy.append(runId, events, { ...options, ...(reject !== undefined && { reject: reject.slice(0, 101) }) }),
    }),
    'an append takes no post behind one that does not wait': (healthy, store) => ({
      append: async (runId, events, { take = [], ...options }) => {
        const waiting = new Set((await store.inbox.list(runId, { limit: 1000 })).items.map(({ id }) => id))
        const end = take.findIndex((id) => !waiting.has(id))
        return healthy.append(runId, events, { ...options, take: end === -1 ? take : take.slice(0, end) })
      },
    }),
    'an append does not tell how many wait': (healthy) => ({
      append: async (runId, events, options) => ({ ...(await healthy.append(runId, events, options)), waiting: 0 }),
    }),
  }),
  ...spoiling('inbox', 'runs', {
    'a post wakes nobody': (healthy) => ({
      claim: async (request) => (await healthy.claim(request)).filter(({ waiting }) => waiting === 0),
    }),
    'a post leaves the problem': (healthy) => ({
      find: async (runId) => {
        const found = await healthy.find(runId)
        const problem = { code: 'OLD', message: 'still there', retryAt: null }
        return found === undefined || found.waiting === 0 ? found : { ...found, problem }
      },
    }),
  }),
]

/** A page that ends where it has `limit` items. */
async function whole<T>(
  { limit, cursor }: PageRequest,
  page: (request: PageRequest) => Promise<Page<T>>,
): Promise<Page<T>> {
  const first = await page({ limit, ...(cursor !== undefined && { cursor }) })
  const { length } = first.items
  if (first.next === undefined || length === limit) return first
  const { items, ...rest } = await whole({ limit: limit - length, cursor: first.next }, page)
  return { items: [...first.items, ...items], ...rest }
}

/** Stores whose inboxes are wrong. */
export const inboxMutants: readonly Mutant[] = [...postMutants, ...takeMutants]
