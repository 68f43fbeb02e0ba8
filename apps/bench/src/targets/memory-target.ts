import { memoryStore } from '@varve/store-memory'
import { rowBody, type Target } from './target.ts'

/** The store in memory, next to pushing onto an array. */
export async function memoryTarget(): Promise<Target> {
  const store = memoryStore()
  return {
    name: 'memory',
    store,
    commitRows: async (rows) => {
      const array: { readonly seq: number; readonly body: string }[] = []
      for (let seq = 1; seq <= rows; seq++) {
        array.push({ seq, body: rowBody })
        // What stands for a commit is awaited, as every other one is.
        await Promise.resolve()
      }
    },
    close: async () => store[Symbol.asyncDispose](),
  }
}
