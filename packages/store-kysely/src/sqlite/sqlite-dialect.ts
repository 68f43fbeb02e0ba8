import { DummyDriver, Kysely, sql, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import type { SqlDdl, SqlDialect } from '../dialect.ts'
import { all, run } from '../executor.ts'
import type { Query } from '../query.ts'
import type { Schema } from '../schema.ts'
import { sqliteLogs, sqliteLogTables, sqliteRunKey } from './sqlite-logs.ts'
import { sqliteWrites } from './sqlite-writes.ts'

/** Marks a file as ours for tools such as `file`: "Varv". */
const APPLICATION_ID = 0x56617276

let known: SqlDialect | undefined

/** The dialect of SQLite, 3.43 or newer. Its store passes the time with every query: the database has no clock of its own. */
export function sqliteDialect(): SqlDialect {
  return (known ??= newDialect())
}

function newDialect(): SqlDialect {
  const dialect: SqlDialect = {
    db: new Kysely<Schema>({
      dialect: {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (db) => new SqliteIntrospector(db),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      },
    }),
    sharesPlaceholders: false,
    locksRows: false,
    logs: sqliteLogs,
    ddl: sqliteDdl(),
    typed: (placeholder) => placeholder,
    now: (placeholder) => sql`${placeholder}`,
    nextToken: (last) => sql`${last} + 1`,
    greatest: (values) => sql`max(${sql.join(values)})`,
    anyOf: (value, list) => sql`${value} in (select value from json_each(${list}))`,
    // The plus signs hide the columns from the planner: it has no statistics, and would look for the due runs among all
    // runs of a workflow instead of in the index of due runs.
    pairIn: ([a, b], [as, bs]) => sql`(+${a}, +${b}) in (
      select a.value, b.value from json_each(${as}) as a join json_each(${bs}) as b on b.key = a.key)`,
    rows: (list) =>
      sql<{ value: string; place: number }>`(select value, key as place from json_each(${list}))`.as('given'),
    list: (values) => JSON.stringify(values),
    *lockQueues() {
      // Nothing: a write transaction has the whole database to itself.
    },
    stored: (_name, _columns, query) => query,
    storedValue: (_name, _column, query) => query,
    unflushed: (query) => ({ ...query, flushed: false }),
    writes: (executor) => sqliteWrites(dialect, executor),
  }
  return dialect
}

function sqliteDdl(): SqlDdl {
  return {
    int: sql`integer`,
    text: sql`text`,
    bytes: sql`blob`,
    uncompressed: () => [],
    options: { hot: sql`strict`, keyed: sql`strict, without rowid`, plain: sql`strict` },
    runKey: sqliteRunKey,
    logTables: sqliteLogTables,
    *relations() {
      return (yield* all(relations, {})).map(({ name }) => name)
    },
    *prepare() {
      yield* run(markFile, {})
    },
  }
}

/** Another application's id counts as a relation: the file is somebody's, even while it has no tables. */
const relations: Query<object, { readonly name: string }> = {
  sql: `select name from sqlite_master where name not like 'sqlite\\_%' escape '\\'
    union all select 'application_id ' || application_id from pragma_application_id
    where application_id not in (0, ${APPLICATION_ID})`,
  bindings: [],
  writes: false,
}

const markFile: Query<object, unknown> = {
  sql: `pragma application_id = ${APPLICATION_ID}`,
  bindings: [],
  writes: true,
}
