import type { EventStore, Store } from '@varve/store'

/** How often a store was called. */
export interface Calls {
  /** Transactions that added events. */
  appends: number
  /** Other transactions on runs and posts: leases, releases. */
  writes: number
  /** Whatever only reads. */
  reads: number
  /** Snapshots: a cache, written beside the run's own commits. */
  snapshots: number
  /** Events that were handed out by whatever reads logs. */
  eventsRead: number
}

type Kind = Exclude<keyof Calls, 'eventsRead'>

const readers = new Set(['read', 'find', 'list', 'rejected', 'latest'])

/** The same store, its calls counted. */
export function countedStore(store: Store): { readonly store: Store; readonly calls: Calls } {
  const calls: Calls = { appends: 0, writes: 0, reads: 0, snapshots: 0, eventsRead: 0 }
  const counted = <Port extends object>(port: Port, kindOf: (verb: string) => Kind): Port =>
    new Proxy(port, {
      get: (target, verb) => {
        const value: unknown = Reflect.get(target, verb, target)
        if (typeof value !== 'function') return value
        return (...args: unknown[]): unknown => {
          calls[kindOf(String(verb))] += 1
          return Reflect.apply(value, target, args)
        }
      },
    })
  const kindOf = (verb: string): Kind => {
    if (verb === 'append') return 'appends'
    return readers.has(verb) ? 'reads' : 'writes'
  }
  return {
    calls,
    store: {
      ...store,
      events: counted(countedEvents(store.events, calls), kindOf),
      runs: counted(store.runs, kindOf),
      inbox: counted(store.inbox, kindOf),
      snapshots: counted(store.snapshots, () => 'snapshots'),
      [Symbol.asyncDispose]: async () => undefined,
    },
  }
}

function countedEvents(events: EventStore, calls: Calls): EventStore {
  return {
    append: (...args) => events.append(...args),
    read: async function* (...args) {
      for await (const event of events.read(...args)) {
        calls.eventsRead += 1
        yield event
      }
    },
  }
}
