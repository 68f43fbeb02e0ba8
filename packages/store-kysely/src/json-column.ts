import { StoreError } from '@varve/store'

/**
 * The value of a column that holds JSON.
 *
 * @param name - of the column, as the schema has it.
 * @throws StoreError `STORE_FAILED` for a text that is none.
 */
export function jsonColumn(runId: string, name: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new StoreError('STORE_FAILED', damageOf(runId, name), { runId, cause })
  }
}

/** As {@link jsonColumn}, where one row must not keep others from being read: tells what is damaged instead. */
export function readableColumn(runId: string, name: string, text: string): { value?: unknown; damage?: string } {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return { damage: damageOf(runId, name) }
  }
}

function damageOf(runId: string, name: string): string {
  const what = `${name} of run ${runId} is no JSON: something else has written to the database, or damaged it`
  return `${what}; restore that row from a backup`
}

/** The value of a column of the cache: null where it was damaged, for what is lost there can be made anew. */
export function cachedColumn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
