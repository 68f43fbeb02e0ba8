import type { StoredEvent } from '@varve/store'
import { announcing } from './announcing.ts'
import { conflict, headAfter, type PlainAppend, type PlainDatabase } from './plain-database.ts'

interface Run {
  head: number
  token: number
  status: PlainAppend['status']
  readonly events: StoredEvent[]
}

/** Runs in a map. What stands for a commit is awaited, as every other one is. */
export function memoryDatabase(): PlainDatabase {
  const runs = new Map<string, Run>()
  const fits = ({ runId, expectedHead, token }: PlainAppend): boolean => {
    const run = runs.get(runId)
    return run === undefined ? expectedHead === 0 : run.head === expectedHead && run.token === token
  }
  const write = (append: PlainAppend): void => {
    const { runId, token, status, events } = append
    const run = runs.get(runId)
    if (run === undefined) {
      runs.set(runId, { head: events.length, token, status, events: [...events] })
      return
    }
    run.head = headAfter(append)
    run.status = status
    for (const event of events) run.events.push(event)
  }
  const commit = async (appends: readonly PlainAppend[]): Promise<void> => {
    if (!appends.every(fits)) throw conflict(appends)
    for (const append of appends) write(append)
  }
  return {
    grouping: { lanes: 1, batch: 1_000 },
    ...announcing(commit),
    commit,
    read: async (runId, from, limit) => runs.get(runId)?.events.slice(from - 1, from - 1 + limit) ?? [],
    acquire: async (runId) => {
      const run = runs.get(runId)
      if (run === undefined) throw new Error(`there is no run ${runId}`)
      run.token += 1
      return { runId, token: run.token }
    },
    close: async () => runs.clear(),
  }
}
