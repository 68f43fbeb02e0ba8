import { sql, type Expression, type QueryCreator, type RawBuilder } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import { asSchema, type ArtifactsTable, type Schema } from '../schema.ts'

interface IdArgs {
  readonly id: string
}

/** What names an artifact whose chunks are kept under `upload`. */
export interface NameArgs extends IdArgs {
  readonly now: number | null
  readonly upload: string
  readonly size: number
  readonly mediaType: string
}

/** An artifact with its only chunk. */
export interface PutArgs extends NameArgs {
  readonly bytes: Uint8Array
}

/** The upload whose chunks an artifact has: that of the put, or the one that was there before. */
export type NamedRecord = Pick<ArtifactsTable, 'upload' | 'size'>

interface ListArgs {
  readonly after: string
  readonly unusedSince: number
  readonly limit: number
}

/** The queries on artifacts that are named. */
export interface ArtifactQueries {
  readonly get: Query<IdArgs, ArtifactsTable>
  /** A chunk; null where it is missing, and nothing where the artifact is. */
  readonly chunk: Query<IdArgs & { readonly number: number }, { readonly bytes: Uint8Array | null }>
  /** Whether an artifact has these bytes as its only chunk (1). */
  readonly same: Query<IdArgs & Pick<PutArgs, 'bytes' | 'size'>, { readonly same: number }>
  readonly touch: Query<{ readonly now: number | null; readonly ids: unknown }, IdArgs>
  readonly list: Query<ListArgs, ArtifactsTable>
  readonly delete: Query<IdArgs & { readonly ifUnusedSince: number }, Pick<ArtifactsTable, 'upload'>>
  readonly deleteChunks: Query<{ readonly upload: string }, unknown>
}

/** Compiles the queries of the artifact store. */
export const artifactQueries = perDialect((dialect): ArtifactQueries => {
  const { db } = dialect
  const { read, write } = queryCompiler(dialect)
  return {
    get: read((p: Params<IdArgs>) => db.selectFrom('artifacts').selectAll().where('id', '=', p.text('id'))),
    ...chunkQueries(dialect),
    touch: touchQuery(dialect),
    list: read((p: Params<ListArgs>) =>
      db
        .selectFrom('artifacts')
        .selectAll()
        .where('id', '>', p.text('after'))
        .where('used_at', '<', p.int('unusedSince'))
        .orderBy('id')
        .limit(p.int('limit')),
    ),
    delete: write((p: Params<IdArgs & { readonly ifUnusedSince: number }>) =>
      db
        .deleteFrom('artifacts')
        .where('id', '=', p.text('id'))
        .where('used_at', '<', p.int('ifUnusedSince'))
        .returning('upload'),
    ),
    deleteChunks: write((p: Params<{ readonly upload: string }>) =>
      db.deleteFrom('artifact_chunks').where('upload', '=', p.text('upload')),
    ),
  }
})

function chunkQueries(dialect: SqlDialect): Pick<ArtifactQueries, 'chunk' | 'same'> {
  const { read } = queryCompiler(dialect)
  return {
    chunk: read((p: Params<IdArgs & { readonly number: number }>) =>
      dialect.db
        .selectFrom('artifacts')
        .leftJoin('artifact_chunks', (join) =>
          join.onRef('artifact_chunks.upload', '=', 'artifacts.upload').on('number', '=', p.int('number')),
        )
        .select('artifact_chunks.bytes')
        .where('artifacts.id', '=', p.text('id')),
    ),
    same: read((p: Params<IdArgs & Pick<PutArgs, 'bytes' | 'size'>>) =>
      dialect.db
        .selectFrom('artifacts')
        .select(sql<number>`case when ${hasBytes(dialect, p, sql.id('artifacts'))} then 1 else 0 end`.as('same'))
        .where('id', '=', p.text('id')),
    ),
  }
}

/** True when the artifact in `row` has just these bytes as its first chunk. */
export function hasBytes<Args extends Pick<PutArgs, 'bytes' | 'size'>>(
  { db }: SqlDialect,
  p: Params<Args>,
  row: RawBuilder<unknown>,
): RawBuilder<boolean> {
  const chunk = db
    .selectFrom('artifact_chunks')
    .select('number')
    .where('artifact_chunks.upload', '=', sql<string>`${row}.upload`)
    .where('number', '=', sql.lit(0))
    .where('bytes', '=', p.bytes('bytes') as Expression<Uint8Array>)
  return sql`(${row}.size = ${p.int('size')} and exists ${chunk})`
}

/** Locks the rows in the order of their ids, so that two who touch the same ones never wait for each other. */
function touchQuery(dialect: SqlDialect): ArtifactQueries['touch'] {
  return queryCompiler(dialect).write((p: Params<{ readonly now: number | null; readonly ids: unknown }>) =>
    dialect.db
      .with('target', (db) =>
        db
          .selectFrom('artifacts')
          .select('artifacts.id')
          .where(p.textIn(sql.id('artifacts', 'id'), 'ids'))
          .orderBy('artifacts.id')
          .$if(dialect.locksRows, (query) => query.forNoKeyUpdate()),
      )
      .updateTable('artifacts')
      .from('target')
      .set({ used_at: later(p.now) })
      .whereRef('artifacts.id', '=', 'target.id')
      .returning('artifacts.id'),
  )
}

/** Names an artifact, or marks the one that has the name as used; answers whose chunks it has. */
// Without a return type: it is the query builder's own, which only inference can name.
export function naming<DB extends Schema, Args extends NameArgs>(db: QueryCreator<DB>, p: Params<Args>) {
  return asSchema(db)
    .insertInto('artifacts')
    .values({
      id: p.text('id'),
      upload: p.text('upload'),
      size: p.int('size'),
      media_type: p.text('mediaType'),
      created_at: p.now,
      used_at: p.now,
    })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ used_at: later(p.now) }))
    .returning(['artifacts.upload', 'artifacts.size'])
}

/** A use never goes back: clocks do. */
function later(now: Expression<number>): RawBuilder<number> {
  const usedAt = sql.id('artifacts', 'used_at')
  return sql`case when ${usedAt} < ${now} then ${now} else ${usedAt} end`
}
