import type { Store } from '@varve/store'
import { collectGarbage } from './garbage.ts'

/** Events between two looks. */
const INTERVAL = 1_000

/** A store that says how much memory was held while it was used. */
export interface WatchedStore {
  readonly store: Store
  /** The most bytes that were held at once, garbage aside, beyond what was before. */
  readonly peakBytes: () => number
}

/** Looks at what is held whenever so many events were read, and before each append. */
export function watchedStore(store: Store): WatchedStore {
  const before = heldBytes()
  let peak = 0
  const look = (): void => {
    peak = Math.max(peak, heldBytes() - before)
  }
  return {
    peakBytes: () => peak,
    store: {
      ...store,
      events: {
        append: (...args) => {
          look()
          return store.events.append(...args)
        },
        read: async function* (...args) {
          let events = 0
          for await (const event of store.events.read(...args)) {
            if (++events % INTERVAL === 0) look()
            yield event
          }
        },
      },
    },
  }
}

function heldBytes(): number {
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
