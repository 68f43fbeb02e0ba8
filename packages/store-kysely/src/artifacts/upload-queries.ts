import { sql } from 'kysely'
import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import type { ArtifactChunksTable } from '../schema.ts'
import { naming, type NamedRecord, type NameArgs } from './artifact-queries.ts'

/** An upload whose last chunk came longer ago than this will not go on: a day. */
const DEAD_AFTER_MS = 24 * 60 * 60 * 1000

interface UploadArgs {
  readonly upload: string
}

type TimedArgs = UploadArgs & { readonly now: number | null }

/** The queries on uploads: chunks that are kept before their content is known, and so cannot be named yet. */
export interface UploadQueries {
  readonly begin: Query<TimedArgs, unknown>
  /** Changes no row when the upload was given up. */
  readonly goOn: Query<TimedArgs, unknown>
  readonly keep: Query<ArtifactChunksTable, unknown>
  readonly end: Query<UploadArgs, unknown>
  readonly name: Query<NameArgs, NamedRecord>
  /** Gives the artifact of that name the chunks of the upload in place of its own. */
  readonly replace: Query<NameArgs, unknown>
  /** How many chunks of the upload are not those of `kept`. */
  readonly compare: Query<UploadArgs & { readonly kept: string }, { readonly differing: number }>
  /** Gives up uploads that are dead. */
  readonly sweep: Query<{ readonly now: number | null }, { readonly id: string }>
}

/** Compiles the queries on uploads. */
export const uploadQueries = perDialect((dialect): UploadQueries => {
  const { db } = dialect
  const { read, write } = queryCompiler(dialect)
  return {
    begin: write((p: Params<TimedArgs>) => db.insertInto('uploads').values({ id: p.text('upload'), moved_at: p.now })),
    goOn: write((p: Params<TimedArgs>) =>
      db.updateTable('uploads').set({ moved_at: p.now }).where('id', '=', p.text('upload')),
    ),
    keep: write((p: Params<ArtifactChunksTable>) =>
      db
        .insertInto('artifact_chunks')
        .values({ upload: p.text('upload'), number: p.int('number'), bytes: p.bytes('bytes') }),
    ),
    end: write((p: Params<UploadArgs>) => db.deleteFrom('uploads').where('id', '=', p.text('upload'))),
    name: write((p: Params<NameArgs>) => naming(db, p)),
    replace: write((p: Params<NameArgs>) =>
      db
        .updateTable('artifacts')
        .set({ upload: p.text('upload'), size: p.int('size') })
        .where('id', '=', p.text('id')),
    ),
    compare: read((p: Params<UploadArgs & { readonly kept: string }>) =>
      db
        .selectFrom('artifact_chunks as mine')
        .leftJoin('artifact_chunks as kept', (join) =>
          join.on('kept.upload', '=', p.text('kept')).onRef('kept.number', '=', 'mine.number'),
        )
        .select((chunks) => chunks.fn.countAll<number>().as('differing'))
        .where('mine.upload', '=', p.text('upload'))
        .where(sql<boolean>`(kept.bytes is null or kept.bytes <> mine.bytes)`),
    ),
    sweep: write((p: Params<{ readonly now: number | null }>) =>
      db
        .deleteFrom('uploads')
        .where('moved_at', '<', sql<number>`${p.now} - ${sql.lit(DEAD_AFTER_MS)}`)
        .returning('id'),
    ),
  }
})
