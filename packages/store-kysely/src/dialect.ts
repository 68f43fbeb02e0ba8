import type { AliasedRawBuilder, Compilable, CreateTableBuilder, Expression, Kysely, RawBuilder, SqlBool } from 'kysely'
import type { SqlExecutor, Steps } from './executor.ts'
import type { Query, StoredColumns, StoredStatement } from './query.ts'
import type { SqlWrites } from './writes.ts'
import type { Schema } from './schema.ts'

/** What differs between databases: a few fragments of SQL, and the writes that each does best in its own way. */
export interface SqlDialect {
  /** Builds and compiles queries; it cannot run them. */
  readonly db: Kysely<Schema>
  /** True for numbered placeholders, of which one may stand in several places. */
  readonly sharesPlaceholders: boolean
  /** True where rows are locked one by one; otherwise a write transaction has the database to itself. */
  readonly locksRows: boolean
  readonly ddl: SqlDdl
  readonly logs: SqlLogs
  /** A placeholder of which the database knows the type. */
  typed(placeholder: RawBuilder<unknown>, type: 'bigint' | 'text' | 'bytea'): RawBuilder<unknown>
  /** The time of the statement in Unix milliseconds: the bound one, or the server's own where null is bound. */
  now(placeholder: RawBuilder<unknown>): RawBuilder<number>
  /** The greatest of numbers of which none is null. */
  greatest(values: readonly RawBuilder<unknown>[]): RawBuilder<unknown>
  /** The token of the next lease on a run: greater than its last, and one that no lease of the run has had. */
  nextToken(last: RawBuilder<number>): RawBuilder<number>
  anyOf(value: Expression<unknown>, list: RawBuilder<unknown>, type: 'bigint' | 'text'): RawBuilder<SqlBool>
  pairIn(
    pair: readonly [Expression<unknown>, Expression<unknown>],
    lists: readonly [RawBuilder<unknown>, RawBuilder<unknown>],
  ): RawBuilder<SqlBool>
  /** The texts of a list as rows of a table, each with its place in the list. */
  rows(list: RawBuilder<unknown>): AliasedRawBuilder<{ readonly value: string; readonly place: number }, 'given'>
  /** A list as this database's driver binds it. */
  list(values: readonly (string | number)[]): unknown
  /**
   * Keeps other claimers out of these queues until the end of the transaction, in whatever order each names them. What the
   * transaction reads afterwards is what they have committed.
   */
  lockQueues(names: readonly string[]): Steps<void>
  /** The query, to be called as a function where the database keeps the plans of functions, else as it is. */
  stored<Args, Row>(
    name: string,
    columns: StoredColumns<Row>,
    query: Query<Args, Row>,
    options?: StoredOptions,
  ): Query<Args, Row>
  /** As {@link stored}, for a query that answers at most one row, of one column that is never null. For `SqlExecutor.get`. */
  storedValue<Args, Row>(name: string, column: StoredColumns<Row>, query: Query<Args, Row>): Query<Args, Row>
  /**
   * The query, for what the failure of a machine may take back together with whoever asked for it: its answer does not wait for the
   * disk where nobody outlives the database, as with a file.
   */
  unflushed<Args, Row>(query: Query<Args, Row>): Query<Args, Row>
  /** Compiles the writes of this dialect for one store. */
  writes(executor: SqlExecutor): SqlWrites
}

/** From one seq to another, both included. */
export interface SeqRange {
  readonly from: RawBuilder<number>
  readonly to: RawBuilder<number>
}

/** Where the events of a run are found, by `events`: conditions that a key answers, and the order of that key. */
export interface SqlLogs {
  /** The tables that hold them. */
  readonly tables: readonly LogTable[]
  /** The greatest seq that a log has room for: the conditions are asked for none beyond it. */
  readonly greatest: number
  /** True for the events of a run. */
  all(runId: RawBuilder<string>): RawBuilder<SqlBool>
  /** True for those in a range. */
  some(runId: RawBuilder<string>, range: SeqRange): RawBuilder<SqlBool>
  /** True for one. */
  one(runId: RawBuilder<string>, seq: RawBuilder<number>): RawBuilder<SqlBool>
  /** The column by which events of one log stand in their order. */
  readonly order: 'seq' | 'id'
}

/** How a stored query is run. */
export interface StoredOptions {
  /**
   * False for what a crash of the database may take back as long as nothing was committed behind it: the answer does not wait
   * for the disk then, where the database can do that. Default true.
   */
  readonly flushed?: boolean
}

/** A table that holds events. */
export type LogTable = 'events' | 'lone_events' | 'shared_events'

/** A table that is being declared. */
export type NewTable = CreateTableBuilder<string, string>

/** How a dialect declares its tables. */
export interface SqlDdl {
  readonly int: RawBuilder<unknown>
  /** Text that compares byte by byte. */
  readonly text: RawBuilder<unknown>
  readonly bytes: RawBuilder<unknown>
  /** Keeps large values of a text column as they are, where the database would compress them while somebody waits. */
  uncompressed(table: string, column: string): readonly RawBuilder<unknown>[]
  /** Adds the columns and constraints by which runs are found, and by which {@link SqlLogs} finds their logs. */
  readonly runKey: (table: NewTable) => NewTable
  /**
   * The tables of the logs.
   *
   * @param declare - Declares a table with what all databases have of an event; `key` adds that by which it is found.
   */
  readonly logTables: (
    dialect: SqlDialect,
    declare: (name: LogTable, key: (table: NewTable) => NewTable) => Compilable,
  ) => readonly Compilable[]
  /** What stands behind the columns of a table: one whose rows change often, and one of small rows found by key alone. */
  readonly options: Readonly<Record<'hot' | 'keyed' | 'plain', RawBuilder<unknown>>>
  /** Names of what is in our place already, of whomever. Empty for a place that is ours to fill. */
  relations(): Steps<readonly string[]>
  /** First steps of a migration, in its transaction: keeps other migrators out and makes the place. */
  prepare(): Steps<void>
  /** Functions of this release that are not there and that we may make. Absent where a store has none. */
  missingFunctions?(): Steps<readonly StoredStatement[]>
}
