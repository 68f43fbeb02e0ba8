import type { PlainAppend, PlainDatabase } from './plain-database.ts'

/** Tells of runs within this process, which is all that there is to tell of a database that only it has opened. */
export function announcing(commit: PlainDatabase['commit']): Pick<PlainDatabase, 'announce' | 'listen'> {
  const listeners = new Set<(runId: string) => void>()
  return {
    announce: async (append: PlainAppend) => {
      await commit([append])
      for (const listener of listeners) listener(append.runId)
    },
    listen: async (listener) => {
      listeners.add(listener)
      return async () => void listeners.delete(listener)
    },
  }
}
