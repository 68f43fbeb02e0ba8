import { sha256 } from '@varve/store'
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler, sql } from 'kysely'
import type { SqlDdl, SqlDialect, SqlLogs } from '../dialect.ts'
import { all, run } from '../executor.ts'
import { queryCompiler, type Params, type Query, type StoredStatement } from '../query.ts'
import type { Schema } from '../schema.ts'
import { postgresWrites } from './postgres-writes.ts'
import { sharedQuery, type SharedQuery } from './shared-query.ts'
import { stored, storedValue } from './stored-statement.ts'
import { storedStatements } from './stored-statements.ts'
/** The dialects of the stores that are open, by their schemas. What is compiled for one goes when the last of its stores does. */
const dialects = new Map<string, WeakRef<SqlDialect>>()
const forgotten = new FinalizationRegistry((schema: string) => {
  if (dialects.get(schema)?.deref() === undefined) dialects.delete(schema)
})

/** The dialect of PostgreSQL, with its tables in one schema; every name is qualified with it. */
export function postgresDialect(schema: string): SqlDialect {
  const known = dialects.get(schema)?.deref()
  if (known !== undefined) return known
  const dialect = newDialect(schema)
  dialects.set(schema, new WeakRef(dialect))
  forgotten.register(dialect, schema)
  return dialect
}

function newDialect(schema: string): SqlDialect {
  const db = new Kysely<Schema>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (kysely) => new PostgresIntrospector(kysely),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
  const dialect: SqlDialect = {
    db: db.withSchema(schema),
    sharesPlaceholders: true,
    locksRows: true,
    logs: postgresLogs,
    ddl: postgresDdl(db, schema, () => (statements ??= storedStatements(dialect, shared()))),
    typed: (placeholder, type) => sql`cast(${placeholder} as ${sql.raw(type)})`,
    // Of one statement: the same wherever it stands, and a wait for a lock only makes leases shorter.
    now: (placeholder) => sql`coalesce(cast(${placeholder} as bigint),
      cast(floor(extract(epoch from statement_timestamp()) * 1000) as bigint))`,
    greatest: (values) => sql`greatest(${sql.join(values)})`,
    // After a crash that took a lease back the clock shows another time. Where the last token is ahead of the clock, chance tells them
    // apart: of 100,000 tokens one is taken.
    nextToken: (last) => sql`greatest(${last} + 1 + cast(floor(random() * 100000) as bigint),
      cast(extract(epoch from clock_timestamp()) * 1000000 as bigint))`,
    anyOf: (value, list, type) => sql`${value} = any(cast(${list} as ${sql.raw(type)}[]))`,
    // The empty text hides the column from the planner: before it has statistics it would look for the due runs among
    // all runs of a workflow instead of in the index of due runs. And "is true" keeps it from joining with the pairs: it
    // would expect hardly a run to be left, and read and sort them all.
    pairIn: ([a, b], [as, bs]) =>
      sql`((${a} || '', ${b}) in (select * from unnest(cast(${as} as text[]), cast(${bs} as text[])))) is true`,
    rows: (list) => {
      const rows = sql<{ value: string; place: number }>`unnest(cast(${list} as text[])) with ordinality`
      return rows.as<'given'>(sql`given(value, place)`)
    },
    list: (values) => values,
    *lockQueues(names) {
      // One after the other in the order of the keys, so that two claimers never wait for each other in a circle.
      yield* all(locking, { keys: names.map((name) => lockKey(`queue ${schema} ${name}`)).toSorted() })
    },
    stored: (name, columns, query, options) => stored(schema, name, columns, query, options),
    storedValue: (name, column, query) => storedValue(schema, name, column, query),
    unflushed: (query) => query,
    writes: (executor) => postgresWrites(dialect, executor, shared()),
  }
  let share: SharedQuery | undefined
  let statements: readonly StoredStatement[] | undefined
  const shared = (): SharedQuery => (share ??= sharedQuery(dialect, schema))
  // Compiled with the dialect that it is a part of.
  const locking = queryCompiler(dialect).read((p: Params<{ readonly keys: readonly string[] }>) =>
    db
      .selectFrom(sql<{ key: number }>`unnest(cast(${p.bare('keys')} as bigint[]))`.as<'given'>(sql`given(key)`))
      .select(sql`pg_advisory_xact_lock(given.key)`.as('locked')),
  )
  return dialect
}

/** By the id of the run and the seq, which are the key. */
const postgresLogs: SqlLogs = {
  tables: ['events'],
  greatest: Number.MAX_SAFE_INTEGER,
  all: (runId) => sql`(events.run_id = ${runId})`,
  some: (runId, { from, to }) => sql`(events.run_id = ${runId} and events.seq >= ${from} and events.seq <= ${to})`,
  one: (runId, seq) => sql`(events.run_id = ${runId} and events.seq = ${seq})`,
  order: 'seq',
}

function postgresDdl(db: Kysely<Schema>, schema: string, statements: () => readonly StoredStatement[]): SqlDdl {
  const isThere = constant<{ readonly nspname: string }>(
    db,
    sql`select nspname from pg_catalog.pg_namespace where nspname = ${schema}`,
  )
  const relations = constant<{ readonly name: string }>(
    db,
    sql`select c.relname as name from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      where n.nspname = ${schema} and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')`,
  )
  // Whoever may not make them, or is on a server that only follows another, does without.
  const missing = (names: readonly string[]) =>
    constant<{ readonly name: string }>(
      db,
      sql`select given.name from unnest(cast(${names} as text[])) as given(name), pg_catalog.pg_namespace as n
        where n.nspname = ${schema} and has_schema_privilege(n.oid, 'create') and not pg_is_in_recovery()
        and exists (select from pg_catalog.pg_language as l
          where l.lanname = 'plpgsql' and has_language_privilege(l.oid, 'usage'))
        and not exists (select from pg_catalog.pg_proc as p where p.pronamespace = n.oid and p.proname = given.name)`,
    )
  const lock = constant(db, sql`select pg_advisory_xact_lock(${lockKey(`migrate ${schema}`)})`)
  const create = constant(db, sql`create schema ${sql.id(schema)}`)
  return {
    int: sql`bigint`,
    text: sql`text collate "C"`,
    bytes: sql`bytea`,
    uncompressed: (table, column) => [
      sql`alter table ${sql.id(schema, table)} alter column ${sql.id(column)} set storage external`,
    ],
    // Room on each page for the new version of a row: an update that changes no indexed column touches no index.
    options: { hot: sql`with (fillfactor = 70)`, keyed: sql``, plain: sql`` },
    runKey: (table) => table.addPrimaryKeyConstraint('runs_key', ['run_id'] as never[]),
    logTables: (_, declare) => [
      declare('events', (table) =>
        table
          .addColumn('run_id', sql`text collate "C"`, (column) => column.notNull())
          .addColumn('seq', 'bigint', (column) => column.notNull())
          .addPrimaryKeyConstraint('events_key', ['run_id', 'seq'] as never[]),
      ),
    ],
    *relations() {
      return (yield* all(relations, {})).map(({ name }) => name)
    },
    *prepare() {
      yield* all(lock, {})
      // Not "if not exists": that asks for the right to create schemas even where there is one.
      if ((yield* all(isThere, {})).length === 0) yield* run(create, {})
    },
    *missingFunctions() {
      const known = statements()
      const names = new Set((yield* all(missing(known.map(({ name }) => name)), {})).map(({ name }) => name))
      return known.filter(({ name }) => names.has(name))
    },
  }
}

/** A key of our own among all advisory locks of the database: 63 bits of a hash. */
function lockKey(what: string): string {
  return String(BigInt.asIntN(63, BigInt(`0x${sha256(`varve ${what}`).slice(0, 16)}`)))
}

function constant<Row>(db: Kysely<Schema>, fragment: ReturnType<typeof sql<Row>>): Query<object, Row> {
  const { sql: text, parameters } = fragment.compile(db)
  return { sql: text, bindings: parameters, writes: false }
}
