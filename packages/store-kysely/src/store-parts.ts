import { isStoreError, StoreError, type ErrorWhere, type StoreErrorCode } from '@varve/store'
import type { Changes } from './changes/changes.ts'
import type { SqlDialect } from './dialect.ts'
import type { SqlExecutor } from './executor.ts'
import { perDialect, queryCompiler, type Params } from './query.ts'
import type { SqlWrites } from './writes.ts'

/** What the parts of one store work with. */
export interface StoreParts {
  readonly executor: SqlExecutor
  readonly dialect: SqlDialect
  readonly writes: SqlWrites
  /** The store's time, Unix milliseconds; null for the server's own. */
  readonly now: () => number | null
  /** Is told of every commit that others may wait for; undefined for a store that does not notify. */
  readonly changes: Changes | undefined
}

/** Asks for the store's time: the database where it is the server's, so that a closed store says so too. */
export function storeTime({ executor, dialect, now }: StoreParts): () => Promise<number> {
  const query = timeQuery(dialect)
  return async () => {
    const row = await executor.get(query, { now: now() })
    if (row === undefined) throw new StoreError('STORE_FAILED', 'the database does not tell the time')
    return row.now
  }
}

const timeQuery = perDialect((dialect) =>
  queryCompiler(dialect).read((p: Params<{ readonly now: number | null }>) => dialect.db.selectNoFrom(p.now.as('now'))),
)

/** The error for a run that is not there. */
export function runNotFound(runId: string): StoreError {
  return new StoreError('RUN_NOT_FOUND', `there is no run ${JSON.stringify(runId)}`, { runId })
}

/** How often a call whose statement changed nothing looks for the reason. */
const LOOKS = 3

/**
 * The result of a write that changes nothing when it is refused, and says then why, by a look at the row.
 *
 * The reason is read after the fact and may be gone by then: `attempt` answers undefined. What changed nothing may be
 * tried again, and when the reason keeps escaping, `reason` is the one that it can only have been.
 */
export async function settled<T>(runId: string, reason: StoreErrorCode, attempt: Attempt<T>): Promise<T> {
  return settledOn(`run ${runId}`, { runId }, reason, attempt)
}

type Attempt<T> = () => Promise<T | StoreError | undefined>

/** {@link settled} for a write to something else than a run. */
export async function settledOn<T>(
  what: string,
  where: ErrorWhere,
  reason: StoreErrorCode,
  attempt: Attempt<T>,
): Promise<T> {
  for (let look = 0; look < LOOKS; look++) {
    const result = await attempt()
    if (isStoreError(result)) throw result
    if (result !== undefined) return result
  }
  throw new StoreError(reason, `many work on ${what} at once; try again`, { ...where, retryable: true })
}
