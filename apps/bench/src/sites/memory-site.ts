import { memoryStore } from '@varve/store-memory'
import { memoryDatabase } from '../plain/memory-database.ts'
import { cpuClock } from '../rounds/cpu-time.ts'
import { rowBody, type Site } from './site.ts'

/** The store in memory, next to maps and arrays. */
export async function memorySite(): Promise<Site> {
  const store = memoryStore()
  const plain = memoryDatabase()
  return {
    ...{ store, plain, cpuMs: cpuClock() },
    commitRows: async (rows) => {
      const array: { readonly seq: number; readonly body: string }[] = []
      for (let seq = 1; seq <= rows; seq++) {
        array.push({ seq, body: rowBody })
        // What stands for a commit is awaited, as every other one is.
        await Promise.resolve()
      }
    },
    another: async () => memoryStore(),
    close: async () => {
      await plain.close()
      await store[Symbol.asyncDispose]()
    },
  }
}
