import type { StoredEvent } from '@varve/store'
import { conflict, headAfter, type PlainAppend, type PlainDatabase } from './plain-database.ts'

interface Run {
  head: number
  token: number
  status: PlainAppend['status']
  owned: boolean
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
      runs.set(runId, { head: events.length, token, status, owned: token > 0, events: [...events] })
      return
    }
    run.head = headAfter(append)
    run.status = status
    for (const event of events) run.events.push(event)
  }
  const take = (runId: string, run: Run): { readonly runId: string; readonly token: number } => {
    run.owned = true
    return { runId, token: ++run.token }
  }
  return {
    grouping: { lanes: 1, batch: 1_000 },
    commit: async (appends) => {
      if (!appends.every(fits)) throw conflict(appends)
      for (const append of appends) write(append)
    },
    read: async (runId, from, limit) => runs.get(runId)?.events.slice(from - 1, from - 1 + limit) ?? [],
    claim: async (limit) => {
      const due = [...runs].filter(([, { owned, status }]) => !owned && status === 'running').slice(0, limit)
      return due.map(([runId, run]) => take(runId, run))
    },
    acquire: async (runId) => {
      const run = runs.get(runId)
      if (run === undefined) throw new Error(`there is no run ${runId}`)
      return take(runId, run)
    },
    close: async () => runs.clear(),
  }
}
