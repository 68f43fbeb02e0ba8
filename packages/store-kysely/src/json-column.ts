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
    const what = `${name} of run ${runId} is no JSON: something else has written to the database, or damaged it`
    throw new StoreError('STORE_FAILED', `${what}; restore that row from a backup`, { runId, cause })
  }
}

/** The value of a column of the cache: null where it was damaged, for what is lost there can be made anew. */
export function cachedColumn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
