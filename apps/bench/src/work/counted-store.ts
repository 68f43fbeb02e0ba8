import type { EventStore, Store, StoredEvent } from '@varve/store'

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
    read: (...args) => countedReading(events.read(...args), calls),
  }
}

/** Hands on what the reader answers, without a turn of its own for each event: who is timed would wait for it. */
function countedReading(events: AsyncIterable<StoredEvent>, calls: Calls): AsyncIterable<StoredEvent> {
  return {
    [Symbol.asyncIterator]: () => {
      const reader = events[Symbol.asyncIterator]()
      return {
        next: () => {
          const answer = reader.next()
          answer.then(
            ({ done }) => (calls.eventsRead += done === true ? 0 : 1),
            () => undefined,
          )
          return answer
        },
        return: async () => reader.return?.() ?? { done: true, value: undefined },
      }
    },
  }
}
