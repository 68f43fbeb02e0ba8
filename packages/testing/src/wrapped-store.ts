import type { Store, StoredArtifact } from '@varve/store'

/** A call of a store's method, by port and name. */
export interface StoreCall {
  readonly name: StoreCallName
  /** True for calls that may change something. */
  readonly mutates: boolean
  /** The arguments as they were given. */
  readonly args: readonly unknown[]
}

/** Every call of a store, as `port.method`; its own as those of `store`. */
export type StoreCallName =
  | `events.${'append' | 'read'}`
  | `runs.${'find' | 'list' | 'claim' | 'dueIn' | 'acquire' | 'renew' | 'release' | 'referred' | 'remove'}`
  | `inbox.${'post' | 'list' | 'rejected'}`
  | `snapshots.${'save' | 'latest' | 'prune'}`
  | `artifacts.${'put' | 'get' | 'read' | 'has' | 'touch' | 'list' | 'delete'}`
  | `cache.${'find' | 'putIfAbsent' | 'delete' | 'list' | 'referred'}`
  | `secrets.${'put' | 'get' | 'erase'}`
  | 'store.now'

/** Every call, and whether it may change something. */
export const MUTATES: Readonly<Record<StoreCallName, boolean>> = {
  'events.append': true,
  'events.read': false,
  'runs.find': false,
  'runs.list': false,
  'runs.claim': true,
  'runs.dueIn': false,
  'runs.acquire': true,
  'runs.renew': true,
  'runs.release': true,
  'runs.referred': false,
  'runs.remove': true,
  'inbox.post': true,
  'inbox.list': false,
  'inbox.rejected': false,
  'snapshots.save': true,
  'snapshots.latest': false,
  'snapshots.prune': true,
  'artifacts.put': true,
  'artifacts.get': false,
  'artifacts.read': false,
  'artifacts.has': false,
  'artifacts.touch': true,
  'artifacts.list': false,
  'artifacts.delete': true,
  'cache.find': false,
  'cache.putIfAbsent': true,
  'cache.delete': true,
  'cache.list': false,
  'cache.referred': false,
  'secrets.put': true,
  'secrets.get': false,
  'secrets.erase': true,
  'store.now': false,
}

/** Stands between a caller and a store. `proceed` makes the call. */
export type Interceptor = <T>(call: StoreCall, proceed: () => Promise<T>) => Promise<T>

/** A store whose every call passes an interceptor. Disposing of it leaves the store below open. */
export function interceptStore(store: Store, intercept: Interceptor): Store {
  const { events, runs, inbox, snapshots, artifacts, cache, secrets } = store
  const pass = <A extends readonly unknown[], T>(name: StoreCallName, method: (...args: A) => Promise<T>) => {
    const mutates = MUTATES[name]
    return (...args: A): Promise<T> => intercept({ name, mutates, args }, () => method(...args))
  }
  return {
    capabilities: store.capabilities,
    ...(store.notifications && { notifications: store.notifications }),
    events: {
      append: pass('events.append', (...args) => events.append(...args)),
      read: (...args) => interceptFirst({ name: 'events.read', mutates: false, args }, events.read(...args), intercept),
    },
    runs: {
      find: pass('runs.find', (...args) => runs.find(...args)),
      list: pass('runs.list', (...args) => runs.list(...args)),
      claim: pass('runs.claim', (...args) => runs.claim(...args)),
      dueIn: pass('runs.dueIn', (...args) => runs.dueIn(...args)),
      acquire: pass('runs.acquire', (...args) => runs.acquire(...args)),
      renew: pass('runs.renew', (...args) => runs.renew(...args)),
      release: pass('runs.release', (...args) => runs.release(...args)),
      referred: pass('runs.referred', (...args) => runs.referred(...args)),
      remove: pass('runs.remove', (...args) => runs.remove(...args)),
    },
    inbox: {
      post: pass('inbox.post', (...args) => inbox.post(...args)),
      list: pass('inbox.list', (...args) => inbox.list(...args)),
      rejected: pass('inbox.rejected', (...args) => inbox.rejected(...args)),
    },
    snapshots: {
      save: pass('snapshots.save', (...args) => snapshots.save(...args)),
      latest: pass('snapshots.latest', (...args) => snapshots.latest(...args)),
      prune: pass('snapshots.prune', (...args) => snapshots.prune(...args)),
    },
    artifacts: {
      put: pass('artifacts.put', (...args) => artifacts.put(...args)),
      get: pass('artifacts.get', async (...args) => interceptBytes(await artifacts.get(...args), intercept)),
      has: pass('artifacts.has', (...args) => artifacts.has(...args)),
      touch: pass('artifacts.touch', (...args) => artifacts.touch(...args)),
      list: pass('artifacts.list', (...args) => artifacts.list(...args)),
      delete: pass('artifacts.delete', (...args) => artifacts.delete(...args)),
    },
    cache: {
      find: pass('cache.find', (...args) => cache.find(...args)),
      putIfAbsent: pass('cache.putIfAbsent', (...args) => cache.putIfAbsent(...args)),
      delete: pass('cache.delete', (...args) => cache.delete(...args)),
      list: pass('cache.list', (...args) => cache.list(...args)),
      referred: pass('cache.referred', (...args) => cache.referred(...args)),
    },
    secrets: {
      put: pass('secrets.put', (...args) => secrets.put(...args)),
      get: pass('secrets.get', (...args) => secrets.get(...args)),
      erase: pass('secrets.erase', (...args) => secrets.erase(...args)),
    },
    now: pass('store.now', () => store.now()),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** Yields what `values` yields. The call is under way until its first page is there. */
async function* interceptFirst<T>(
  call: StoreCall,
  values: AsyncIterable<T>,
  intercept: Interceptor,
): AsyncGenerator<T, void> {
  const all = values[Symbol.asyncIterator]()
  try {
    let next = await intercept(call, () => all.next())
    for (; next.done !== true; next = await all.next()) yield next.value
  } finally {
    await all.return?.()
  }
}

/** Reading the bytes of an artifact is a call of its own. */
function interceptBytes(artifact: StoredArtifact, intercept: Interceptor): StoredArtifact {
  const read = { name: 'artifacts.read', mutates: false, args: [artifact.id] } as const
  return {
    ...artifact,
    bytes: () => intercept(read, () => artifact.bytes()),
    stream: () => ({ [Symbol.asyncIterator]: () => interceptFirst(read, artifact.stream(), intercept) }),
  }
}
