import type { Store } from '@varve/store'

/** A call of a store's method, by port and name. */
export interface StoreCall {
  readonly name: StoreCallName
  /** True for calls that may change something. */
  readonly mutates: boolean
  /** The arguments as they were given. */
  readonly args: readonly unknown[]
}

/** Every call of a store, as `port.method`. */
export type StoreCallName =
  | `events.${'append' | 'read'}`
  | `runs.${'find' | 'list' | 'claim' | 'acquire' | 'renew' | 'release' | 'remove'}`
  | `inbox.${'post' | 'list' | 'rejected'}`
  | `snapshots.${'save' | 'latest' | 'prune'}`
  | `secrets.${'put' | 'get' | 'erase'}`

const READS: ReadonlySet<StoreCallName> = new Set([
  'events.read',
  'runs.find',
  'runs.list',
  'inbox.list',
  'inbox.rejected',
  'snapshots.latest',
  'secrets.get',
])

/** Stands between a caller and a store. `proceed` makes the call. */
export type Interceptor = <T>(call: StoreCall, proceed: () => Promise<T>) => Promise<T>

/** A store whose every call passes an interceptor. Disposing of it leaves the store below open. */
export function interceptStore(store: Store, intercept: Interceptor): Store {
  const { events, runs, inbox, snapshots, secrets } = store
  const pass = <A extends readonly unknown[], T>(name: StoreCallName, method: (...args: A) => Promise<T>) => {
    const mutates = !READS.has(name)
    return (...args: A): Promise<T> => intercept({ name, mutates, args }, () => method(...args))
  }
  return {
    capabilities: store.capabilities,
    ...(store.notifications && { notifications: store.notifications }),
    events: {
      append: pass('events.append', (...args) => events.append(...args)),
      read: async function* (...args) {
        const log = events.read(...args)[Symbol.asyncIterator]()
        try {
          // The call is under way until its first page is there.
          let next = await intercept({ name: 'events.read', mutates: false, args }, () => log.next())
          for (; next.done !== true; next = await log.next()) yield next.value
        } finally {
          await log.return?.()
        }
      },
    },
    runs: {
      find: pass('runs.find', (...args) => runs.find(...args)),
      list: pass('runs.list', (...args) => runs.list(...args)),
      claim: pass('runs.claim', (...args) => runs.claim(...args)),
      acquire: pass('runs.acquire', (...args) => runs.acquire(...args)),
      renew: pass('runs.renew', (...args) => runs.renew(...args)),
      release: pass('runs.release', (...args) => runs.release(...args)),
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
    secrets: {
      put: pass('secrets.put', (...args) => secrets.put(...args)),
      get: pass('secrets.get', (...args) => secrets.get(...args)),
      erase: pass('secrets.erase', (...args) => secrets.erase(...args)),
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}
