import { sha256 } from '@varve/store'
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler, sql } from 'kysely'
import type { SqlDdl, SqlDialect } from '../dialect.ts'
import { all, run } from '../executor.ts'
import type { Query } from '../query.ts'
import type { Schema } from '../schema.ts'
import { postgresWrites } from './postgres-writes.ts'

/** The dialect of PostgreSQL, with its tables in one schema; every name is qualified with it. */
export function postgresDialect(schema: string): SqlDialect {
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
    ddl: postgresDdl(db, schema),
    typed: (placeholder, type) => sql`cast(${placeholder} as ${sql.raw(type)})`,
    // Of one statement: the same wherever it stands, and a wait for a lock only makes leases shorter.
    now: (placeholder) => sql`coalesce(cast(${placeholder} as bigint),
      cast(floor(extract(epoch from statement_timestamp()) * 1000) as bigint))`,
    anyOf: (value, list, type) => sql`${value} = any(cast(${list} as ${sql.raw(type)}[]))`,
    // The empty text hides the column from the planner: before it has statistics it would look for the due runs among
    // all runs of a workflow instead of in the index of due runs.
    pairIn: ([a, b], [as, bs]) =>
      sql`(${a} || '', ${b}) in (select * from unnest(cast(${as} as text[]), cast(${bs} as text[])))`,
    rows: (list) => sql<{ value: string }>`unnest(cast(${list} as text[]))`.as<'given'>(sql`given(value)`),
    list: (values) => values,
    writes: (executor) => postgresWrites(dialect, executor),
  }
  return dialect
}

function postgresDdl(db: Kysely<Schema>, schema: string): SqlDdl {
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
  const lock = constant(db, sql`select pg_advisory_xact_lock(${lockKey(schema)})`)
  const create = constant(db, sql`create schema ${sql.id(schema)}`)
  return {
    int: sql`bigint`,
    computed: (value) => sql`generated always as (${value}) stored`,
    greatest: (values) => sql`greatest(${sql.join(values)})`,
    text: sql`text collate "C"`,
    bytes: sql`bytea`,
    // Room on each page for the new version of a row: an update that changes no indexed column touches no index.
    options: { hot: sql`with (fillfactor = 70)`, keyed: sql``, plain: sql`` },
    *relations() {
      return (yield* all(relations, {})).map(({ name }) => name)
    },
    *prepare() {
      yield* all(lock, {})
      // Not "if not exists": that asks for the right to create schemas even where there is one.
      if ((yield* all(isThere, {})).length === 0) yield* run(create, {})
    },
  }
}

/** A key of our own among all advisory locks of the database: 63 bits of a hash. */
function lockKey(schema: string): string {
  return String(BigInt.asIntN(63, BigInt(`0x${sha256(`varve migrate ${schema}`).slice(0, 16)}`)))
}

function constant<Row>(db: Kysely<Schema>, fragment: ReturnType<typeof sql<Row>>): Query<object, Row> {
  const { sql: text, parameters } = fragment.compile(db)
  return { sql: text, bindings: parameters, writes: false }
}
