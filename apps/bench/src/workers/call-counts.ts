import type { Store } from '@varve/store'
import { interceptStore, type StoreCall, type StoreCallName } from '@varve/testing'

/** How often each call of a store was made. */
export type CallCounts = Partial<Record<StoreCallName, number>>

/** A store whose calls are counted. */
export interface CountingStore {
  readonly store: Store
  /** What was called since it was asked last. */
  readonly take: () => CallCounts
}

/** @param answered - told of every call that has gone well. */
export function countingStore(store: Store, answered: (call: StoreCall) => void = () => undefined): CountingStore {
  let counts: CallCounts = {}
  return {
    store: interceptStore(store, async (call, proceed) => {
      counts[call.name] = (counts[call.name] ?? 0) + 1
      const answer = await proceed()
      answered(call)
      return answer
    }),
    take: () => {
      const taken = counts
      counts = {}
      return taken
    },
  }
}

/** The calls of several stores, taken together. */
export function addCounts(all: readonly CallCounts[]): CallCounts {
  const sum: CallCounts = {}
  for (const counts of all) {
    for (const [name, count] of Object.entries(counts) as [StoreCallName, number][]) {
      sum[name] = (sum[name] ?? 0) + count
    }
  }
  return sum
}

/** How many calls there were of all kinds. */
export function totalOf(counts: CallCounts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}
