import { StoreError, type CacheEntry, type RunRow, type Store } from '@varve/store'
import { row, spoiling, type Mutant } from './mutant.ts'

/** Stores that tell how a run or an entry stands a little otherwise than it does. */
export const standingMutants: readonly Mutant[] = [
  ...spoiling('claims', 'runs', {
    'a lease hides the problem': (healthy) => ({
      find: async (runId) => withoutProblem(await healthy.find(runId)),
    }),
    'a run in debt is due since its last write': (healthy, store) => ({
      find: async (runId) => {
        const found = await healthy.find(runId)
        return found === undefined || found.owes.length === 0 ? found : { ...found, wakeAt: await store.now() }
      },
    }),
    'who acquires a run at the very end of its lease is told that it is busy': (healthy, store) => ({
      acquire: async (runId, request) => {
        const until = await leaseEnd(store, runId)
        if (until === (await store.now())) throw new StoreError('RUN_BUSY', 'the lease ends now')
        return healthy.acquire(runId, request)
      },
    }),
    'its own lease goes on at the very end of it': (healthy, store) => ({
      acquire: async (runId, request) => {
        const { recoveries, lease } = await row(store, runId)
        const isOwn = lease?.owner.id === request.owner.id && lease.until === (await store.now())
        const claim = await healthy.acquire(runId, request)
        return isOwn ? { ...claim, recoveries } : claim
      },
    }),
    'a run is not removed at the very end of its lease': (healthy, store) => ({
      remove: async (runId, options) => {
        const until = await leaseEnd(store, runId)
        if (until === (await store.now())) throw new StoreError('RUN_BUSY', 'the lease ends now')
        return healthy.remove(runId, options)
      },
    }),
    'a backoff is all that a run waits for': (healthy, store) => ({
      release: async (claim, request) => {
        const { problem } = request
        if (problem === undefined || problem.retryAt === null) return healthy.release(claim, request)
        const { status, blockedOn } = await row(store, claim.runId)
        return healthy.release(claim, { ...request, run: { status, blockedOn, wakeAt: 0 } })
      },
    }),
  }),
  ...spoiling('takeover', 'runs', {
    'a takeover that names an older lease is refused, whoever has the run': (healthy, store) => ({
      acquire: async (runId, request) => {
        const { token } = await row(store, runId)
        if ((request.takeover ?? token) !== token) throw new StoreError('RUN_BUSY', 'the token has grown')
        return healthy.acquire(runId, request)
      },
    }),
  }),
  ...spoiling('listing', 'runs', {
    'a lease that ran out is none': (healthy, store) => ({
      list: async (filter, page) => {
        const found = await healthy.list(filter, page)
        const now = await store.now()
        const isAlive = ({ lease }: RunRow): boolean => lease === undefined || lease.until > now
        return filter.leased === undefined ? found : { ...found, items: found.items.filter(isAlive) }
      },
    }),
  }),
  ...spoiling('reading', 'events', {
    'a limit of 0 is none': (healthy) => ({
      read: (runId, { limit, ...range } = {}) =>
        healthy.read(runId, limit === undefined || limit === 0 ? range : { limit, ...range }),
    }),
  }),
  ...spoiling('inbox', 'inbox', {
    'rejected posts go on filling the inbox': (healthy) => ({
      post: async (runId, post, { maxWaiting }) => {
        const { items } = await healthy.rejected(runId, { limit: 1000 })
        return healthy.post(runId, post, { maxWaiting: Math.max(0, maxWaiting - items.length) })
      },
    }),
  }),
  ...spoiling('cache', 'cache', {
    'entries of one instant are listed the other way round': (healthy) => ({
      list: async (filter, page) => {
        const { items, ...rest } = await healthy.list(filter, page)
        const inTurn = (a: CacheEntry, b: CacheEntry): number => b.createdAt - a.createdAt || (a.key < b.key ? -1 : 1)
        return { ...rest, items: items.toSorted(inTurn) }
      },
    }),
  }),
  ...spoiling('arguments', 'events', {
    'bounds that are none are passed over': (healthy) => ({
      read: (runId, range = {}) => {
        const given = Object.entries(range).filter(([, bound]) => Number.isSafeInteger(bound) && bound >= 0)
        return healthy.read(runId, Object.fromEntries(given))
      },
    }),
  }),
]

async function leaseEnd(store: Store, runId: string): Promise<number | undefined> {
  return (await store.runs.find(runId))?.lease?.until
}

function withoutProblem(found: RunRow | undefined): RunRow | undefined {
  if (found?.lease === undefined) return found
  const { problem: _, ...rest } = found
  return rest
}
