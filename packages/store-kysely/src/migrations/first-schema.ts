import { sql, type Compilable, type RawBuilder } from 'kysely'
import type { SqlDdl, SqlDialect } from '../dialect.ts'
import { claimAt } from '../runs/claim-time.ts'
import type { Schema } from '../schema.ts'

type Table = keyof Schema

/** The tables and indexes of version 1. */
export function firstSchema(dialect: SqlDialect): readonly Compilable[] {
  const { ddl } = dialect
  return [
    table(dialect, 'varve_schema', ddl.options.plain, { application: 'text', version: 'int' }, ['application']),
    table(dialect, 'runs', ddl.options.hot, runs, ddl.runKey),
    table(dialect, 'run_tags', ddl.options.keyed, { tag: 'text', created_at: 'int', run_id: 'text' }, [
      'tag',
      'created_at',
      'run_id',
    ]),
    ...ddl.logTables(dialect, (name, key) => table(dialect, name, ddl.options.plain, events, key)),
    table(dialect, 'posts', ddl.options.plain, posts, ['run_id', 'number']),
    table(dialect, 'snapshots', ddl.options.plain, snapshots, ['run_id', 'seq']),
    table(dialect, 'secrets', ddl.options.plain, { id: 'text', sealed: 'bytes?' }, ['id']),
    table(dialect, 'artifacts', ddl.options.hot, artifacts, ['id']),
    table(dialect, 'artifact_chunks', ddl.options.plain, { upload: 'text', number: 'int', bytes: 'bytes' }, [
      'upload',
      'number',
    ]),
    table(dialect, 'uploads', ddl.options.hot, { id: 'text', moved_at: 'int' }, ['id']),
    table(dialect, 'run_artifacts', ddl.options.keyed, { artifact: 'text', created_at: 'int', run_id: 'text' }, [
      'artifact',
      'created_at',
      'run_id',
    ]),
    table(dialect, 'cache_entries', ddl.options.plain, cacheEntries, ['key']),
    table(dialect, 'cache_artifacts', ddl.options.keyed, { artifact: 'text', key: 'text' }, ['artifact', 'key']),
    ...indexes(dialect),
    // Mostly hashes, which hardly get smaller, and read by whoever waits for a run.
    ...ddl.uncompressed('snapshots', 'body').map((statement) => ({ compile: () => statement.compile(dialect.db) })),
  ]
}

type Columns = Readonly<Record<string, 'int' | 'int?' | 'text' | 'text?' | 'bytes' | 'bytes?'>>

const runs: Columns = {
  run_id: 'text',
  workflow: 'text',
  version: 'text',
  tags: 'text',
  queue: 'text',
  priority: 'int',
  concurrency_key: 'text?',
  parent: 'text?',
  created_at: 'int',
  status: 'text',
  blocked_on: 'text',
  wake_at: 'int?',
  head: 'int',
  format: 'int',
  waiting: 'int',
  posted: 'int',
  owes: 'text?',
  recoveries: 'int',
  problem: 'text?',
  retry_at: 'int?',
  token: 'int',
  lease_owner: 'text?',
  lease_owner_id: 'text?',
  lease_until: 'int?',
  ended_at: 'int?',
  begun_at: 'int?',
}

const events: Columns = { v: 'int', type: 'text', at: 'int', body: 'text', hash: 'text' }

const posts: Columns = {
  run_id: 'text',
  number: 'int',
  id: 'text',
  type: 'text',
  body: 'text',
  state: 'text',
  error: 'text?',
  posted_at: 'int',
}

const snapshots: Columns = {
  run_id: 'text',
  seq: 'int',
  hash: 'text',
  format: 'int',
  workflow_version: 'text',
  build: 'text',
  body: 'text',
}

const artifacts: Columns = {
  id: 'text',
  upload: 'text',
  size: 'int',
  media_type: 'text',
  created_at: 'int',
  used_at: 'int',
}

const cacheEntries: Columns = {
  key: 'text',
  entry_group: 'text',
  artifacts: 'text',
  body: 'text',
  created_at: 'int',
}

/**
 * No index holds a column that changes with every append; `wake_at` and `status` change only with their meaning.
 *
 * In `runs_due` each priority of a queue is a stretch of its own, in the order in which claims take runs.
 */
function indexes(dialect: SqlDialect): readonly Compilable[] {
  const { db } = dialect
  const index = (name: string, of: Table, columns: readonly (string | RawBuilder<unknown>)[]) =>
    db.schema
      .createIndex(name)
      .on(of)
      .columns([...columns] as never[])
  const dueAt = claimAt(dialect, (name) => sql.id(name))
  const where = (condition: string): RawBuilder<boolean> => sql`${sql.raw(condition)}`
  return [
    index('runs_due', 'runs', ['queue', 'priority desc', dueAt, 'run_id']).where(sql<boolean>`${dueAt} is not null`),
    index('runs_leased', 'runs', ['queue', 'concurrency_key']).where(where('lease_until is not null')),
    index('runs_leased_newest', 'runs', ['created_at', 'run_id']).where(where('lease_until is not null')),
    index('runs_begun', 'runs', ['queue', 'begun_at']).where(where('begun_at is not null')),
    index('runs_newest', 'runs', ['created_at', 'run_id']),
    index('runs_by_workflow', 'runs', ['workflow', 'created_at', 'run_id']),
    index('runs_by_status', 'runs', ['status', 'created_at', 'run_id']),
    index('runs_by_parent', 'runs', ['parent', 'created_at', 'run_id']).where(where('parent is not null')),
    index('runs_parked', 'runs', ['created_at', 'run_id']).where(where('problem is not null')),
    index('runs_owing', 'runs', ['created_at', 'run_id']).where(where('owes is not null')),
    index('run_tags_by_run', 'run_tags', ['run_id']),
    index('run_artifacts_by_run', 'run_artifacts', ['run_id']),
    index('cache_newest', 'cache_entries', ['created_at', 'key']),
    index('cache_by_group', 'cache_entries', ['entry_group', 'created_at', 'key']),
    index('cache_artifacts_by_key', 'cache_artifacts', ['key']),
    index('posts_by_id', 'posts', ['run_id', 'id']).unique().where(where("state <> 'rejected'")),
    index('posts_waiting', 'posts', ['run_id', 'number']).where(where("state = 'waiting'")),
  ]
}

function table(
  { db, ddl }: SqlDialect,
  name: Table,
  options: RawBuilder<unknown>,
  columns: Columns,
  key: readonly string[] | SqlDdl['runKey'],
): Compilable {
  const created = db.schema.createTable(name)
  let builder =
    typeof key === 'function' ? key(created) : created.addPrimaryKeyConstraint(`${name}_key`, [...key] as never[])
  for (const [column, type] of Object.entries(columns)) {
    const dataType = type.startsWith('int') ? ddl.int : type.startsWith('bytes') ? ddl.bytes : ddl.text
    builder = builder.addColumn(column, sql`${dataType}`, (definition) =>
      type.endsWith('?') ? definition : definition.notNull(),
    )
  }
  return builder.modifyEnd(options)
}
