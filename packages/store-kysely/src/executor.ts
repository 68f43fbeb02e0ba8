import type { Query } from './query.ts'

/**
 * Runs compiled queries. The whole of a database driver that the stores see.
 *
 * Its errors are those of the ports: `STORE_CLOSED`, `STORE_BUSY`, `STORE_UNREACHABLE`, `STORE_FAILED`, `NOT_A_STORE`, and
 * `UNKNOWN_OUTCOME` when a write may or may not have been committed. It never repeats a write that may have been.
 */
export interface SqlExecutor {
  /** The first row. A query that writes is a transaction of its own. */
  get<Args, Row>(query: Query<Args, Row>, args: Args): Promise<Row | undefined>
  all<Args, Row>(query: Query<Args, Row>, args: Args): Promise<readonly Row[]>
  /** @returns how many rows were changed. */
  run<Args, Row>(query: Query<Args, Row>, args: Args): Promise<number>
  /** Runs the steps in one transaction; when they throw, nothing has happened. They may run again after a rollback. */
  transaction<T>(mode: 'read' | 'write', steps: () => Steps<T>): Promise<T>
}

/**
 * The inside of a transaction, as a generator that yields its queries.
 *
 * The same steps run on a driver that answers at once and on one that answers later; and where the driver answers at
 * once, no other code gets in between begin and commit, so no lock is held across an `await`.
 */
export type Steps<T> = Generator<Step, T, unknown>

/** One query of a transaction, and what to answer. */
export interface Step {
  readonly answer: 'get' | 'all' | 'run'
  readonly query: Query<never, unknown>
  readonly args: unknown
}

/** The first row of a query. */
export function* get<Args, Row>(query: Query<Args, Row>, args: Args): Steps<Row | undefined> {
  return (yield { answer: 'get', query, args }) as Row | undefined
}

/** All rows of a query. */
export function* all<Args, Row>(query: Query<Args, Row>, args: Args): Steps<readonly Row[]> {
  return (yield { answer: 'all', query, args }) as readonly Row[]
}

/** The number of rows that a query changes. */
export function* run<Args, Row>(query: Query<Args, Row>, args: Args): Steps<number> {
  return (yield { answer: 'run', query, args }) as number
}
