import { isTerminal, StoreError, type AppendOptions, type Store, type StoredEvent } from '@varve/store'
import { pause, row, spoiling, unless, type Mutant } from './mutant.ts'

/** The events as if they had been made for this place. */
function renumbered(runId: string, events: readonly StoredEvent[], head: number): readonly StoredEvent[] {
  return events.map((event, i) => ({ ...event, runId, seq: head + 1 + i }))
}

/** Appends behind whatever the log ends with. */
async function force(
  store: Store,
  runId: string,
  events: readonly StoredEvent[],
  options: AppendOptions,
): ReturnType<Store['events']['append']> {
  const { head, token } = await row(store, runId)
  const { create: _, ...run } = options.run
  const anyway = { ...options, run, expectedHead: head, fencingToken: token }
  return store.events.append(runId, renumbered(runId, events, head), anyway)
}

const appendMutants: readonly Mutant[] = [
  ...spoiling('atomic batches', 'events', {
    'a refused append takes its posts all the same': (healthy, store) => ({
      append: (runId, events, options) =>
        unless(
          'INBOX_PENDING',
          () => healthy.append(runId, events, options),
          async () => {
            await force(store, runId, [], {
              ...options,
              take: ['p1'],
              run: { status: 'running', blockedOn: [], wakeAt: 0 },
            })
            throw new StoreError('INBOX_PENDING', 'posts wait')
          },
        ),
    }),
    'an append writes its events one by one': (healthy) => ({
      append: async (runId, events, options) => {
        let { expectedHead } = options
        for (const event of events.slice(0, -1)) {
          if (options.run.create !== undefined) break
          await healthy.append(runId, [event], { ...options, take: [], reject: [], expectedHead })
          expectedHead++
        }
        return healthy.append(runId, events.slice(expectedHead - options.expectedHead), { ...options, expectedHead })
      },
    }),
    'an append forgets the version': (healthy) => ({
      append: (runId, events, { run: { version: _, ...run }, ...options }) =>
        healthy.append(runId, events, { ...options, run }),
    }),
    'an append forgets the row': (healthy) => ({
      append: (runId, events, options) =>
        healthy.append(runId, events, { ...options, run: { ...options.run, blockedOn: [], owes: [] } }),
    }),
  }),
  ...spoiling('conflicts', 'events', {
    'a conflict is taken for success': (healthy) => ({
      append: (runId, events, options) =>
        unless(
          'HEAD_CONFLICT',
          () => healthy.append(runId, events, options),
          async () => ({ waiting: 0 }),
        ),
    }),
    'a second create answers like the first': (healthy) => ({
      append: async (runId, events, options) => {
        if (options.run.create === undefined) return healthy.append(runId, events, options)
        return unless(
          'HEAD_CONFLICT',
          () => healthy.append(runId, events, options),
          async () => ({ waiting: 0 }),
        )
      },
    }),
    'the head is compared before the token': (healthy, store) => ({
      append: (runId, events, options) =>
        unless(
          'FENCED',
          () => healthy.append(runId, events, options),
          async () => {
            const { head } = await row(store, runId)
            throw new StoreError(head === options.expectedHead ? 'FENCED' : 'HEAD_CONFLICT', 'in the wrong order')
          },
        ),
    }),
    'the inbox is looked at before the head': (healthy, store) => ({
      append: async (runId, events, options) => {
        const found = await store.runs.find(runId)
        if (isTerminal(options.run.status) && found?.waiting === 1 && found.token === options.fencingToken) {
          throw new StoreError('INBOX_PENDING', 'posts wait')
        }
        return healthy.append(runId, events, options)
      },
    }),
    'events are renumbered to fit': (healthy) => ({
      append: (runId, events, options) =>
        healthy.append(runId, renumbered(runId, events, options.expectedHead), options),
    }),
  }),
  ...spoiling('concurrent writers', 'events', {
    'others get in between the comparison and the append': (healthy, store) => ({
      append: async (runId, events, options) => {
        if (options.run.create !== undefined) return healthy.append(runId, events, options)
        const { head } = await row(store, runId)
        await pause()
        if (head !== options.expectedHead) throw new StoreError('HEAD_CONFLICT', 'the head has moved')
        return force(store, runId, events, options)
      },
    }),
    'others get in between the look for a run and its creation': (healthy, store) => ({
      append: async (runId, events, options) => {
        const isKnown = (await store.runs.find(runId)) !== undefined
        await pause()
        if (isKnown || options.run.create === undefined) return healthy.append(runId, events, options)
        return unless(
          'HEAD_CONFLICT',
          () => healthy.append(runId, events, options),
          () => force(store, runId, events, options),
        )
      },
    }),
    'who loses a conflict is told that the store is busy': (healthy) => ({
      append: (runId, events, options) =>
        unless(
          'HEAD_CONFLICT',
          () => healthy.append(runId, events, options),
          () => {
            throw new StoreError('STORE_BUSY', 'the database is locked')
          },
        ),
    }),
  }),
]

const fencingMutants: readonly Mutant[] = [
  ...spoiling('fencing', 'events', {
    'a stale token is accepted': (healthy, store) => ({
      append: (runId, events, options) =>
        unless(
          'FENCED',
          () => healthy.append(runId, events, options),
          () => force(store, runId, events, options),
        ),
    }),
    'a released token is accepted': (healthy, store) => ({
      append: (runId, events, options) =>
        unless(
          'FENCED',
          () => healthy.append(runId, events, options),
          async () => {
            const { token, lease } = await row(store, runId)
            if (lease !== undefined || token !== options.fencingToken) throw new StoreError('FENCED', 'stale')
            return { waiting: 0 }
          },
        ),
    }),
    'an end that owes ends the lease': (healthy, store) => ({
      append: async (runId, events, options) => {
        const answer = await healthy.append(runId, events, options)
        const { workflow, version, queue, status, owes, lease, token, head } = await row(store, runId)
        if (!isTerminal(status) || owes.length === 0 || lease === undefined) return answer
        const run = { runId, workflow, version, queue, head, status, owes }
        const claim = { ...run, ...lease, token, leaseUntil: lease.until, waiting: 0, recoveries: 0 }
        await store.runs.release(claim, { expectedHead: head })
        return answer
      },
    }),
  }),
  ...spoiling('fencing', 'runs', {
    'a lost lease is renewed': (healthy, store) => ({
      renew: (claim, request) =>
        unless(
          'FENCED',
          () => healthy.renew(claim, request),
          async () => {
            const { token } = await row(store, claim.runId)
            return healthy.acquire(claim.runId, { ...request, owner: claim.owner, takeover: token })
          },
        ),
    }),
    'the owner of the living lease gets the same token': (healthy, store) => ({
      acquire: async (runId, request) => {
        const found = await store.runs.find(runId)
        const claim = await healthy.acquire(runId, request)
        return found?.lease?.owner.id === request.owner.id ? { ...claim, token: found.token } : claim
      },
    }),
  }),
]

const readingMutants: readonly Mutant[] = [
  ...spoiling('reading', 'events', {
    'a log ends with its first page': (healthy) => ({
      read: (runId, { limit = 1000, ...range } = {}) => healthy.read(runId, { ...range, limit: Math.min(limit, 1000) }),
    }),
    'the end of a range is left out': (healthy) => ({
      read: (runId, { to = Infinity, ...range } = {}) => healthy.read(runId, { ...range, to: to - 1 }),
    }),
    'the limit is forgotten': (healthy) => ({
      read: (runId, { limit: _, ...range } = {}) => healthy.read(runId, range),
    }),
    'a log holds the events of runs whose ids begin alike': (healthy, store) => ({
      read: async function* (runId, range) {
        const runs = await store.runs.list({}, { limit: 1000 })
        const alike = runs.items.filter((run) => run.runId.startsWith(runId))
        for (const run of alike.toReversed()) yield* healthy.read(run.runId, range)
      },
    }),
  }),
]

/** Stores whose logs are wrong. */
export const logMutants: readonly Mutant[] = [...appendMutants, ...fencingMutants, ...readingMutants]
