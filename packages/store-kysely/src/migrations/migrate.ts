import { StoreError } from '@varve/store'
import type { SqlDialect } from '../dialect.ts'
import { get, run, type SqlExecutor, type Steps } from '../executor.ts'
import { queryCompiler, type Params, type StoredStatement } from '../query.ts'
import type { SchemaTable } from '../schema.ts'
import { migrations, schemaVersion } from './migration.ts'

/** Marks a database as ours. */
const APPLICATION = 'varve'

/**
 * Brings the schema to this release's version: forward only, in one transaction, and safe while others do the same. Does
 * nothing, and needs no right to change the schema, where it is up to date. Makes the functions of this release where it may.
 *
 * @throws StoreError `NOT_A_STORE` for a database of somebody else, `NEWER_SCHEMA` for one that a later release migrated; in
 * both nothing is written.
 */
export async function migrateSchema(executor: SqlExecutor, dialect: SqlDialect): Promise<void> {
  const isUpToDate = await executor.transaction('read', function* () {
    return (yield* readVersion(dialect)) === schemaVersion && (yield* missingFunctions(dialect)).length === 0
  })
  if (isUpToDate) return
  await executor.transaction('write', () => migrate(dialect))
}

/**
 * Checks that the schema is this release's, and writes nothing.
 *
 * @throws StoreError `SCHEMA_MISSING` when it is not there or older; and as {@link migrateSchema} does.
 */
export async function checkSchema(executor: SqlExecutor, dialect: SqlDialect): Promise<void> {
  const version = await foundVersion(executor, dialect)
  if (version === schemaVersion) return
  const found = version === 0 ? 'has no schema' : `has schema ${version} and this release needs ${schemaVersion}`
  throw new StoreError('SCHEMA_MISSING', `the database ${found}; migrate it first, or open it with migrate: true`)
}

/** The version of the schema that is there; 0 for none. */
async function foundVersion(executor: SqlExecutor, dialect: SqlDialect): Promise<number> {
  return executor.transaction('read', () => readVersion(dialect))
}

function* readVersion(dialect: SqlDialect): Steps<number> {
  const relations = yield* dialect.ddl.relations()
  if (relations.length === 0) return 0
  const marker = relations.includes('varve_schema') ? yield* get(markerQuery(dialect), {}) : undefined
  if (marker?.application !== APPLICATION) {
    const text = `the database holds something else (${relations.slice(0, 3).join(', ')}); give the store a place of its own`
    throw new StoreError('NOT_A_STORE', text)
  }
  if (marker.version > schemaVersion) {
    const text = `the database has schema ${marker.version} and this release knows up to ${schemaVersion}; upgrade`
    throw new StoreError('NEWER_SCHEMA', text)
  }
  return marker.version
}

function* migrate(dialect: SqlDialect): Steps<void> {
  yield* dialect.ddl.prepare()
  // Read again: another migrator may have been here while we waited for our turn.
  const version = yield* readVersion(dialect)
  const { write } = queryCompiler(dialect)
  for (const migration of migrations.slice(version)) {
    for (const statement of migration.statements(dialect))
      yield* run(
        write(() => statement),
        {},
      )
  }
  for (const { definition } of yield* missingFunctions(dialect))
    yield* run({ sql: definition, bindings: [], writes: true }, {})
  if (version === schemaVersion) return
  const marker = { application: APPLICATION, version: schemaVersion }
  if (version === 0) yield* run(insertMarker(dialect), marker)
  else yield* run(updateMarker(dialect), marker)
}

function* missingFunctions({ ddl }: SqlDialect): Steps<readonly StoredStatement[]> {
  return ddl.missingFunctions === undefined ? [] : yield* ddl.missingFunctions()
}

function markerQuery(dialect: SqlDialect) {
  return queryCompiler(dialect).read((_: Params<object>) => dialect.db.selectFrom('varve_schema').selectAll())
}

function insertMarker(dialect: SqlDialect) {
  return queryCompiler(dialect).write((p: Params<SchemaTable>) =>
    dialect.db.insertInto('varve_schema').values({ application: p.text('application'), version: p.int('version') }),
  )
}

function updateMarker(dialect: SqlDialect) {
  return queryCompiler(dialect).write((p: Params<SchemaTable>) =>
    dialect.db
      .updateTable('varve_schema')
      .set({ version: p.int('version') })
      .where('application', '=', p.text('application')),
  )
}
