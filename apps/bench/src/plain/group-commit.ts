import type { PlainAppend, PlainDatabase } from './plain-database.ts'

/** Writes one append; resolves when it is durable. */
export type Commit = (append: PlainAppend) => Promise<void>

interface Waiting {
  readonly append: PlainAppend
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Lets all appends that are ready together share a commit, on as many lanes and of such a size as suits the database. */
export function groupCommit(database: PlainDatabase): Commit {
  const { lanes, batch } = database.grouping
  const ready: Waiting[] = []
  let busy = 0
  let planned = false

  const write = async (group: readonly Waiting[]): Promise<void> => {
    busy++
    try {
      await database.commit(group.map(({ append }) => append))
      for (const { resolve } of group) resolve()
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
    busy--
    plan()
  }
  const pump = (): void => {
    planned = false
    while (ready.length > 0 && busy < lanes) void write(ready.splice(0, batch))
  }
  // After everything that is ready now has said so.
  const plan = (): void => {
    if (planned || ready.length === 0 || busy === lanes) return
    planned = true
    setImmediate(pump)
  }
  return (append) =>
    new Promise((resolve, reject) => {
      ready.push({ append, resolve, reject })
      plan()
    })
}
