import { isTerminal, StoreError, type Claim, type Store } from '@varve/store'
import { pause, row, spoiling, unless, type Mutant } from './mutant.ts'

/** Leases runs whatever stands against it. */
async function seize(
  store: Store,
  runIds: readonly string[],
  request: Parameters<Store['runs']['claim']>[0],
): Promise<Claim[]> {
  const { owner, leaseMs } = request
  const claims: Claim[] = []
  for (const runId of runIds) {
    const { token } = await row(store, runId)
    claims.push(await store.runs.acquire(runId, { owner, leaseMs, takeover: token }))
  }
  return claims
}

async function firstOf(store: Store, { runId }: Claim): Promise<Pick<Claim, 'first'>> {
  for await (const first of store.events.read(runId, { limit: 1 })) return { first }
  return {}
}

const claimMutants = spoiling('claims', 'runs', {
  'others get in between the search and the lease': (healthy, store) => ({
    claim: async (request) => {
      const { items } = await store.runs.list({ statuses: ['running'] }, { limit: 1000 })
      // Few runs are claimed as they should be: only the race is wrong.
      if (items.length < 50) return healthy.claim(request)
      const due = items.filter(({ lease }) => lease === undefined).slice(0, request.limit)
      await pause()
      return seize(
        store,
        due.map(({ runId }) => runId),
        request,
      )
    },
  }),
  'every queue is claimed from': (healthy, store) => ({
    claim: async (request) => {
      const { items } = await store.runs.list({}, { limit: 1000 })
      const queues = new Set(items.map(({ queue }) => queue))
      return healthy.claim({ ...request, queues: [...queues].map((name) => ({ name })) })
    },
  }),
  'names and versions are matched each for itself': (healthy) => ({
    claim: (request) => {
      const all = request.workflows.flatMap(({ versions }) => versions)
      return healthy.claim({ ...request, workflows: request.workflows.map(({ name }) => ({ name, versions: all })) })
    },
  }),
  'formats that the claimer cannot read are claimed': (healthy) => ({
    claim: (request) => healthy.claim({ ...request, formats: [1, 2, 3] }),
  }),
  'the limit is forgotten': (healthy) => ({ claim: (request) => healthy.claim({ ...request, limit: 1000 }) }),
  'a claim tells the first event of a run that has more': (healthy, store) => ({
    claim: async (request) => {
      const claims = await healthy.claim(request)
      return Promise.all(claims.map(async (claim) => ({ ...claim, ...(await firstOf(store, claim)) })))
    },
  }),
  'a claim tells an event that was cut': (healthy) => ({
    claim: async (request) =>
      (await healthy.claim(request)).map((claim) => ({
        ...claim,
        ...(claim.first && { first: { ...claim.first, body: claim.first.body.slice(0, 1000) } }),
      })),
  }),
  'a claim tells of all runs the event of the first': (healthy) => ({
    claim: async (request) => {
      const claims = await healthy.claim(request)
      const told = claims.find(({ first }) => first !== undefined)?.first
      return claims.map((claim) => (claim.first && told ? { ...claim, first: told } : claim))
    },
  }),
  'the runs that came last come first': (healthy) => ({
    claim: async (request) => (await healthy.claim(request)).toReversed(),
  }),
  'a parked run is claimed': (healthy, store) => ({
    claim: async (request) => {
      const { items } = await store.runs.list({ parked: true }, { limit: 1000 })
      return [
        ...(await healthy.claim(request)),
        ...(await seize(
          store,
          items.map(({ runId }) => runId),
          request,
        )),
      ]
    },
  }),
  'a run that has ended is never claimed, whatever it owes': (healthy) => ({
    claim: async (request) => (await healthy.claim(request)).filter(({ status }) => status !== 'completed'),
  }),
  'a living lease is claimed by its owner': (healthy, store) => ({
    claim: async (request) => {
      const { items } = await store.runs.list({ statuses: ['running'] }, { limit: 1000 })
      const own = items.filter(({ lease }) => lease?.owner.id === request.owner.id)
      return [
        ...(await healthy.claim(request)),
        ...(await seize(
          store,
          own.map(({ runId }) => runId),
          request,
        )),
      ]
    },
  }),
  'recoveries are not counted': (healthy) => ({
    claim: async (request) => (await healthy.claim(request)).map((claim) => ({ ...claim, recoveries: 0 })),
  }),
  'a release forgets the recoveries': (healthy) => ({
    release: (claim, request) =>
      healthy.release(claim, { ...request, ...(request.run && { run: { ...request.run, progressed: true } }) }),
  }),
  'who finds the run leased is told that the store is busy': (healthy) => ({
    acquire: (runId, request) =>
      unless(
        'RUN_BUSY',
        () => healthy.acquire(runId, request),
        () => {
          throw new StoreError('STORE_BUSY', 'the database is locked')
        },
      ),
  }),
})

const takeoverMutants = spoiling('takeover', 'runs', {
  'a takeover breaks whatever lease there is': (healthy, store) => ({
    acquire: async (runId, request) => {
      if (request.takeover === undefined) return healthy.acquire(runId, request)
      return healthy.acquire(runId, { ...request, takeover: (await row(store, runId)).token })
    },
  }),
  'a takeover waits for the lease to run out': (healthy) => ({
    acquire: (runId, { owner, leaseMs }) => healthy.acquire(runId, { owner, leaseMs }),
  }),
  'a living lease is broken by anybody': (healthy, store) => ({
    acquire: (runId, request) =>
      unless(
        'RUN_BUSY',
        () => healthy.acquire(runId, request),
        async () => healthy.acquire(runId, { ...request, takeover: (await row(store, runId)).token }),
      ),
  }),
})

const updateMutants = spoiling('atomic batches', 'runs', {
  'a release forgets the version': (healthy) => ({
    release: (claim, { run, ...request }) => {
      if (run === undefined) return healthy.release(claim, request)
      const { version: _, ...rest } = run
      return healthy.release(claim, { ...request, run: rest })
    },
  }),
})

const releaseMutants = spoiling('release', 'runs', {
  'a lease that ran out is lost': (healthy, store) => ({
    release: async (claim, request) => {
      const { lease } = await row(store, claim.runId)
      return lease !== undefined && lease.until <= (await store.now()) ? 'lost' : healthy.release(claim, request)
    },
  }),
  'a post before the release is not told': (healthy) => ({
    release: async (claim, request) => {
      const outcome = await healthy.release(claim, request)
      return outcome === 'due' ? 'released' : outcome
    },
  }),
  "a release ends the successor's lease": (healthy, store) => ({
    release: async (claim, request) => {
      const outcome = await healthy.release(claim, request)
      if (outcome !== 'lost') return outcome
      await healthy.release({ ...claim, token: (await row(store, claim.runId)).token }, request)
      return 'lost'
    },
  }),
  'the head is not compared': (healthy, store) => ({
    release: async (claim, request) => {
      const { head } = await row(store, claim.runId)
      return healthy.release(claim, { ...request, expectedHead: head })
    },
  }),
  'the problem is forgotten': (healthy) => ({
    release: (claim, { problem: _, ...request }) => healthy.release(claim, request),
  }),
  'the update is forgotten': (healthy) => ({
    release: (claim, { run: _, ...request }) => healthy.release(claim, request),
  }),
  'the lease lives on': (healthy) => ({
    release: async (claim, request) => {
      const outcome = await healthy.release(claim, request)
      if (outcome !== 'lost') await healthy.acquire(claim.runId, { owner: claim.owner, leaseMs: 60_000 })
      return outcome
    },
  }),
})

const releasingAppendMutants = spoiling('release', 'events', {
  'an append never releases': (healthy) => ({
    append: (runId, events, { release: _, ...options }) => healthy.append(runId, events, options),
  }),
  'an append that releases does so while posts wait': (healthy, store) => ({
    append: async (runId, events, options) => {
      const result = await healthy.append(runId, events, options)
      if (options.release === true && result.waiting > 0) await endLease(store, runId, options.expectedHead)
      return result
    },
  }),
  'every append that blocks the run releases it': (healthy) => ({
    append: (runId, events, options) =>
      healthy.append(runId, events, { ...options, release: options.run.status === 'blocked' && !options.run.create }),
  }),
  'a run that is released with its creation has never begun': (healthy) => ({
    append: (runId, events, { release, ...options }) => {
      const { create, ...run } = options.run
      if (release !== true || create?.lease === undefined)
        return healthy.append(runId, events, { ...options, release: release === true })
      const { lease: _, ...creation } = create
      return healthy.append(runId, events, { ...options, run: { ...run, create: creation } })
    },
  }),
  'an end that releases leaves posts behind': (healthy, store) => ({
    append: async (runId, events, options) => {
      if (options.release !== true || options.run.create !== undefined) return healthy.append(runId, events, options)
      const take = (await store.inbox.list(runId, { limit: 1000 })).items.map(({ id }) => id)
      return healthy.append(runId, events, isTerminal(options.run.status) ? { ...options, take } : options)
    },
  }),
  'a run that ends with its creation stays under its lease': (healthy) => ({
    append: (runId, events, options) => {
      const { create, status } = options.run
      if (create?.lease === undefined || !isTerminal(status)) return healthy.append(runId, events, options)
      return healthy.append(runId, events, { ...options, run: { ...options.run, status: 'running' } })
    },
  }),
  'an append releases before it looks for posts': (healthy, store) => ({
    append: async (runId, events, { release, ...options }) => {
      const result = await healthy.append(runId, events, options)
      if (release !== true || result.waiting > 0) return result
      await pause()
      await endLease(store, runId, options.expectedHead)
      return { ...result, waiting: (await row(store, runId)).waiting }
    },
  }),
})

async function endLease({ runs }: Store, runId: string, expectedHead: number): Promise<void> {
  const claim = await runs.find(runId)
  if (claim?.lease === undefined) return
  const { token, lease } = claim
  await runs.release({ ...claim, token, owner: lease.owner, leaseUntil: lease.until }, { expectedHead })
}

const listMutants = spoiling('listing', 'runs', {
  'the cursor is a number of runs to skip': (healthy) => ({
    list: async (filter, page) => {
      const { items } = await healthy.list(filter, { limit: 1000 })
      const start = Number(page.cursor ?? 0)
      const end = start + page.limit
      return { items: items.slice(start, end), ...(end < items.length && { next: `${end}` }) }
    },
  }),
  'a list ends where the last run of a page was removed': (healthy) => {
    const lastOf = new Map<string, string>()
    return {
      list: async (filter, page) => {
        const answer = await healthy.list(filter, page)
        const last = lastOf.get(page.cursor ?? '')
        if (last !== undefined && (await healthy.find(last)) === undefined) return { items: [] }
        if (answer.next !== undefined) lastOf.set(answer.next, answer.items.at(-1)?.runId ?? '')
        return answer
      },
    }
  },
  'oldest first': (healthy) => ({
    list: async (filter, page) => {
      const { items, next } = await healthy.list(filter, page)
      return { items: items.toReversed(), ...(next !== undefined && { next }) }
    },
  }),
  'one of the tags is enough': (healthy) => ({
    list: ({ tags, ...filter }, page) => healthy.list({ ...filter, ...(tags && { tags: tags.slice(0, 1) }) }, page),
  }),
  'the version is no condition': (healthy) => ({
    list: ({ version: _, ...filter }, page) => healthy.list(filter, page),
  }),
  'a filter without statuses asks for all': (healthy) => ({
    list: ({ statuses, ...filter }, page) =>
      healthy.list({ ...filter, ...(statuses !== undefined && statuses.length > 0 && { statuses }) }, page),
  }),
  'a full page always has a next': (healthy) => ({
    list: async (filter, page) => {
      const answer = await healthy.list(filter, page)
      return answer.items.length < page.limit ? answer : { next: 'more', ...answer }
    },
  }),
  'no list of tags is no condition': (healthy) => ({
    list: ({ tags, ...filter }, page) => healthy.list(Array.isArray(tags) ? { ...filter, tags } : filter, page),
  }),
  'a status that there is not finds nothing': (healthy) => ({
    list: async (filter, page) =>
      filter.statuses?.includes('gone' as never) === true ? { items: [] } : healthy.list(filter, page),
  }),
  'what is no boolean is true or false': (healthy) => ({
    list: ({ parked, ...filter }, page) =>
      healthy.list({ ...filter, ...(parked !== undefined && { parked: Boolean(parked as unknown) }) }, page),
  }),
  'a limit that is too large is cut': (healthy) => ({
    list: (filter, page) => healthy.list(filter, { ...page, limit: Math.min(page.limit, 1000) }),
  }),
})

const removalMutants = spoiling('removal', 'runs', {
  'a run that goes on is removed': (healthy) => ({ remove: (runId) => healthy.remove(runId, { ifTerminal: false }) }),
  'a leased run is removed': (healthy, store) => ({
    remove: (runId, options) =>
      unless(
        'RUN_BUSY',
        () => healthy.remove(runId, options),
        async () => {
          const { token, head } = await row(store, runId)
          const [claim] = await seize(store, [runId], {
            owner: owner(),
            leaseMs: 1,
            workflows: [],
            queues: [],
            formats: [],
            limit: 1,
          })
          if (claim !== undefined && token > 0) await healthy.release(claim, { expectedHead: head })
          return healthy.remove(runId, options)
        },
      ),
  }),
  'children go with their parent': (healthy) => ({
    remove: async (runId, options) => {
      const { items } = await healthy.list({ parent: runId }, { limit: 1000 })
      for (const child of items) await healthy.remove(child.runId, { ifTerminal: false })
      return healthy.remove(runId, options)
    },
  }),
  'what a run refers to goes with it': (healthy, store) => ({
    remove: async (runId, options) => {
      const { items } = await store.artifacts.list({}, { limit: 1000 })
      for (const { id } of items) await store.artifacts.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
      return healthy.remove(runId, options)
    },
  }),
  'the cache goes with a run': (healthy, store) => ({
    remove: async (runId, options) => {
      const { items } = await store.cache.list({}, { limit: 1000 })
      for (const { key } of items) await store.cache.delete(key)
      return healthy.remove(runId, options)
    },
  }),
  'removing nothing answers true': (healthy) => ({
    remove: async (runId, options) => (await healthy.remove(runId, options)) || true,
  }),
})

function owner(): Parameters<Store['runs']['acquire']>[1]['owner'] {
  return { id: 'z', boot: null, pidNamespace: null, pid: 1, startedAt: null }
}

/** Stores whose index of runs or leases are wrong. */
export const runMutants: readonly Mutant[] = [
  ...claimMutants,
  ...takeoverMutants,
  ...updateMutants,
  ...releaseMutants,
  ...releasingAppendMutants,
  ...listMutants,
  ...removalMutants,
]
