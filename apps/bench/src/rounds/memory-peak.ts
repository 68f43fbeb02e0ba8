import type { Store } from '@varve/store'
import { collectGarbage } from './garbage.ts'

/** Events between two looks. */
const INTERVAL = 1_000

/** Says how much memory was held at the most. */
export interface MemoryWatch {
  /** Looks at what is held just now. */
  readonly look: () => void
  /** The most bytes that were held when it was looked at, garbage aside, beyond what was when the watch began. */
  readonly peakBytes: () => number
}

/** A store that says how much memory was held while it was used. */
export interface WatchedStore extends Pick<MemoryWatch, 'peakBytes'> {
  readonly store: Store
}

/** Begins to watch. */
export function memoryWatch(): MemoryWatch {
  const before = heldBytes()
  let peak = 0
  return {
    look: () => {
      peak = Math.max(peak, heldBytes() - before)
    },
    peakBytes: () => peak,
  }
}

/** Looks at what is held whenever so many events were read, and before each append. */
export function watchedStore(store: Store): WatchedStore {
  const { look, peakBytes } = memoryWatch()
  return {
    peakBytes,
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
  // Buffers that were collected count until another collection has seen them off.
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
