import { StoreError, type RunRow, type Snapshot, type Store, type StoredEvent } from '@varve/store'
import type { Harness } from '@varve/store-contract'
import { memoryStore } from '../memory-store.ts'
import { opening, spoiling, unless, type Mutant } from './mutant.ts'

/** Reads bodies that went through something. */
function rewriting(rewrite: (body: string) => string): (healthy: Store['events']) => Partial<Store['events']> {
  return (healthy) => ({
    read: async function* (runId, range): AsyncGenerator<StoredEvent> {
      for await (const event of healthy.read(runId, range)) yield { ...event, body: rewrite(event.body) }
    },
  })
}

const valueMutants: readonly Mutant[] = [
  ...spoiling('values', 'events', {
    'bodies are parsed and written anew': rewriting((body) => JSON.stringify(JSON.parse(body))),
    'bodies are cut': rewriting((body) => body.slice(0, 65_535)),
    'escaped NULs are dropped': rewriting((body) => body.replaceAll('\\u0000', '')),
    'bodies are kept in another encoding': rewriting((body) => Buffer.from(body, 'latin1').toString('latin1')),
    'bodies are normalised': rewriting((body) => body.normalize('NFC')),
    'bodies are trimmed': rewriting((body) => body.trim()),
  }),
  ...spoiling('values', 'runs', {
    'a NUL in a message is refused': (healthy) => ({
      release: async (claim, request) => {
        if (request.problem?.message.includes('\0') === true)
          throw new StoreError('STORE_FAILED', 'invalid byte sequence')
        return healthy.release(claim, request)
      },
    }),
    'a row is handed out as it is held': (healthy) => {
      const held = new Map<string, RunRow | undefined>()
      return {
        find: async (runId) => {
          const row = await healthy.find(runId)
          const state = JSON.stringify(row ?? runId)
          return held.get(state) ?? held.set(state, row).get(state)
        },
      }
    },
    'instants are 32 bits wide': (healthy) => ({
      find: async (runId) => {
        const found = await healthy.find(runId)
        return found && { ...found, wakeAt: found.wakeAt === null ? null : found.wakeAt | 0 }
      },
    }),
  }),
]

const idMutants: readonly Mutant[] = [
  ...spoiling('ids', 'runs', {
    'run ids are told apart without their case': (healthy) => ({
      find: async (runId) => (await healthy.find(runId.toLowerCase())) ?? healthy.find(runId),
    }),
    'pages end by another order of ids than they have': (healthy) => {
      const ends = new Map<string, RunRow | undefined>()
      return {
        list: async (filter, page) => {
          const end = ends.get(page.cursor ?? '')
          const { items, ...rest } = await healthy.list(filter, page)
          if (rest.next !== undefined) ends.set(rest.next, items.at(-1))
          const isBehind = ({ createdAt, runId }: RunRow): boolean =>
            end === undefined || createdAt < end.createdAt || runId < end.runId
          return { items: items.filter(isBehind), ...rest }
        },
      }
    },
    'a removed run takes those with it whose ids match it as a pattern': (healthy) => ({
      remove: async (runId, options) => {
        const { items } = await healthy.list({}, { limit: 1000 })
        const matches = items.filter((run) => runId === '%' || run.runId === runId)
        for (const run of matches) await healthy.remove(run.runId, options)
        return matches.length > 0
      },
    }),
  }),
  ...spoiling('ids', 'inbox', {
    'ids of posts are normalised': (healthy) => ({
      post: (runId, post, options) => healthy.post(runId, { ...post, id: post.id.normalize('NFC') }, options),
    }),
    'ids of posts are cut': (healthy) => ({
      post: (runId, post, options) => healthy.post(runId, { ...post, id: post.id.slice(0, 100) }, options),
    }),
  }),
  ...spoiling('arguments', 'events', {
    'control characters in run ids are dropped': (healthy) => ({
      append: (runId, events, options) => {
        const clean = runId.replaceAll(/\p{Cc}/gu, '')
        return healthy.append(
          clean,
          events.map((event) => ({ ...event, runId: clean })),
          options,
        )
      },
    }),
  }),
  ...spoiling('arguments', 'runs', {
    'a lease without a length gets one': (healthy) => ({
      renew: (claim, { leaseMs }) => healthy.renew(claim, { leaseMs: leaseMs > 0 ? leaseMs : 1 }),
    }),
  }),
]

const snapshotMutants = spoiling('snapshots', 'snapshots', {
  'the snapshot saved last is the latest': (healthy) => {
    let last: Snapshot | undefined
    return {
      save: async (snapshot) => {
        await healthy.save(snapshot)
        last = snapshot
      },
      latest: async (runId, options) => (options === undefined ? last : healthy.latest(runId, options)),
    }
  },
  'the first snapshot of a seq stays': (healthy) => ({
    save: async (snapshot) => {
      if ((await healthy.latest(snapshot.runId))?.seq !== snapshot.seq) await healthy.save(snapshot)
    },
  }),
  'atOrBefore is forgotten': (healthy) => ({ latest: (runId) => healthy.latest(runId) }),
  'prune deletes one too many': (healthy) => ({
    prune: (runId, { keep }) => healthy.prune(runId, { keep: Math.max(0, keep - 1) }),
  }),
  'a snapshot of an unknown run is passed over': (healthy) => ({
    save: (snapshot) =>
      unless(
        'RUN_NOT_FOUND',
        () => healthy.save(snapshot),
        async () => undefined,
      ),
  }),
})

/** Loses answers by losing the question. */
function losingEarly(harness: Harness): Harness {
  let isLost = false
  const port = <Port extends object>(healthy: Port): Port =>
    new Proxy(healthy, {
      get: (target, name) => {
        if (!isLost) return Reflect.get(target, name) as unknown
        isLost = false
        return () => Promise.reject(new StoreError('UNKNOWN_OUTCOME', 'the question was lost'))
      },
    })
  const spoil = opening((store) => ({
    ...store,
    events: port(store.events),
    runs: port(store.runs),
    inbox: port(store.inbox),
    snapshots: port(store.snapshots),
    artifacts: port(store.artifacts),
    cache: port(store.cache),
    secrets: port(store.secrets),
  }))
  return { ...spoil(harness), loseNextAnswer: () => void (isLost = true) }
}

const answerMutants: readonly Mutant[] = [
  { group: 'lost answers', name: 'nothing was written', spoil: losingEarly },
  {
    group: 'lost answers',
    name: 'the harness cannot lose answers',
    spoil: ({ loseNextAnswer: _, ...harness }) => harness,
  },
  ...spoiling('lost answers', 'events', {
    'an append is sent again by itself': (healthy) => ({
      append: (...args) =>
        unless(
          'UNKNOWN_OUTCOME',
          () => healthy.append(...args),
          () => healthy.append(...args),
        ),
    }),
  }),
  ...spoiling('lost answers', 'secrets', {
    'a lost put is undone': (healthy) => ({
      put: async (id, sealed) =>
        unless(
          'UNKNOWN_OUTCOME',
          () => healthy.put(id, sealed),
          async () => {
            await healthy.erase(id)
            throw new StoreError('UNKNOWN_OUTCOME', 'the answer was lost')
          },
        ),
    }),
  }),
  ...spoiling('lost answers', 'artifacts', {
    'a lost put of a small artifact is undone': (healthy) => ({
      put: async (content, options) =>
        unless(
          'UNKNOWN_OUTCOME',
          () => healthy.put(content, options),
          async () => {
            const { items } = await healthy.list({}, { limit: 1000 })
            for (const { id } of items) await healthy.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
            throw new StoreError('UNKNOWN_OUTCOME', 'the answer was lost')
          },
        ),
    }),
    'a lost delete is tried again by itself': (healthy) => ({
      delete: (...args) =>
        unless(
          'UNKNOWN_OUTCOME',
          () => healthy.delete(...args),
          () => healthy.delete(...args),
        ),
    }),
  }),
  ...spoiling('lost answers', 'cache', {
    'a lost entry is put again by itself': (healthy) => ({
      putIfAbsent: (draft) =>
        unless(
          'UNKNOWN_OUTCOME',
          () => healthy.putIfAbsent(draft),
          () => healthy.putIfAbsent(draft),
        ),
    }),
  }),
  ...spoiling('lost answers', 'runs', {
    'a lost answer is taken for a failure': (healthy) => ({
      release: (...args) =>
        unless(
          'UNKNOWN_OUTCOME',
          () => healthy.release(...args),
          () => {
            throw new StoreError('STORE_FAILED', 'the connection broke')
          },
        ),
    }),
    'a lost claim is given to the next': (healthy) => ({
      claim: async (request) => {
        const claims = await healthy.claim(request)
        const { items } = await healthy.list({ statuses: ['running'] }, { limit: 100 })
        const { owner, leaseMs } = request
        const seized = items.map(({ runId, token }) => healthy.acquire(runId, { owner, leaseMs, takeover: token }))
        return claims.length > 0 ? claims : Promise.all(seized)
      },
    }),
  }),
]

const lifecycleMutants: readonly Mutant[] = [
  {
    group: 'lifecycle',
    name: 'a closed store goes on',
    spoil: opening((store) => ({ ...store, [Symbol.asyncDispose]: async () => undefined })),
  },
  {
    group: 'lifecycle',
    name: 'closing twice throws',
    spoil: opening((store) => {
      let isClosed = false
      const close = async (): Promise<void> => {
        if (isClosed) throw new StoreError('STORE_CLOSED', 'closed already')
        isClosed = true
        await store[Symbol.asyncDispose]()
      }
      return { ...store, [Symbol.asyncDispose]: close }
    }),
  },
  {
    group: 'lifecycle',
    name: 'what is opened anew is empty',
    spoil: (harness) => {
      const capabilities = { durable: true, shared: false, notify: true }
      return { ...harness, open: async () => ({ ...memoryStore({ now: harness.clock.now }), capabilities }) }
    },
  },
  {
    group: 'lifecycle',
    name: 'handles do not see one another',
    spoil: (harness) => {
      const capabilities = { durable: false, shared: true, notify: true }
      return { ...harness, open: async () => ({ ...memoryStore({ now: harness.clock.now }), capabilities }) }
    },
  },
  ...Object.entries({
    'every process has data of its own': 'openSeparateStore',
    'a process breaks the leases of others': 'openSeizingStore',
    'a process forgets what it posts while posts of others wait': 'openForgetfulStore',
  }).map(([name, open]): Mutant => ({
    group: 'processes',
    name,
    spoil: (harness) => ({ ...harness, ...(harness.child && { child: { ...harness.child, export: open } }) }),
  })),
  {
    group: 'processes',
    name: 'no other process can open the store',
    spoil: ({ child: _, ...harness }) => harness,
  },
]

/** Stores that are wrong as a whole, or in what they keep. */
export const storeMutants: readonly Mutant[] = [
  ...valueMutants,
  ...idMutants,
  ...snapshotMutants,
  ...answerMutants,
  ...lifecycleMutants,
]
