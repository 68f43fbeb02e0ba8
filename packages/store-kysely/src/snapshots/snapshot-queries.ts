import type { Snapshot } from '@varve/store'
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import { perDialect, queryCompiler, type Params, type Query, type StoredColumns } from '../query.ts'
import type { SnapshotsTable } from '../schema.ts'

interface LatestArgs {
  readonly runId: string
  readonly atOrBefore: number
}

/** Which snapshots to delete: those of a run, but so many of the newest. */
export interface PruneArgs {
  readonly runId: string
  readonly keep: number
}

/** The queries on stored states. */
export interface SnapshotQueries {
  readonly known: Query<{ readonly runId: string }, unknown>
  readonly latest: Query<LatestArgs, SnapshotsTable>
}

const columns: StoredColumns<SnapshotsTable> = {
  run_id: 'text',
  seq: 'bigint',
  hash: 'text',
  format: 'bigint',
  workflow_version: 'text',
  build: 'text',
  body: 'text',
}

/** Compiles the queries of the snapshot store. */
export const snapshotQueries = perDialect((dialect): SnapshotQueries => {
  const { db } = dialect
  const { read } = queryCompiler(dialect)
  return {
    known: read((p: Params<{ readonly runId: string }>) =>
      db.selectFrom('runs').select('run_id').where('run_id', '=', p.text('runId')),
    ),
    latest: dialect.stored(
      'read_snapshot',
      columns,
      read((p: Params<LatestArgs>) =>
        db
          .selectFrom('snapshots')
          .select(['run_id', 'seq', 'hash', 'format', 'workflow_version', 'build', 'body'])
          .where('run_id', '=', p.text('runId'))
          .where('seq', '<=', p.int('atOrBefore'))
          .orderBy('seq', 'desc')
          .limit(sql.lit(1)),
      ),
    ),
  }
})

/**
 * Compiles the query that keeps a snapshot. It locks the run's row lightly while it inserts, so that a snapshot never outlives a
 * run that is removed meanwhile.
 */
export function saveQuery(dialect: SqlDialect): Query<Snapshot, unknown> {
  const { db } = dialect
  return queryCompiler(dialect).write((p: Params<Snapshot>) =>
    db
      .insertInto('snapshots')
      .columns(['run_id', 'seq', 'hash', 'format', 'workflow_version', 'build', 'body'])
      .expression(
        db
          .selectFrom('runs')
          .select([
            'runs.run_id',
            p.int('seq').as('seq'),
            p.text('hash').as('hash'),
            p.int('format').as('format'),
            p.text('workflowVersion').as('workflow_version'),
            p.text('build').as('build'),
            p.text('body').as('body'),
          ])
          .where('runs.run_id', '=', p.text('runId'))
          .where((where) =>
            where.not(
              where.exists(
                db
                  .selectFrom('snapshots as newer')
                  .select('newer.seq')
                  .where('newer.run_id', '=', p.text('runId'))
                  .where('newer.seq', '>', p.int('seq')),
              ),
            ),
          )
          .$if(dialect.locksRows, (query) => query.forKeyShare()),
      )
      .onConflict((conflict) =>
        conflict.columns(['run_id', 'seq']).doUpdateSet((existing) => ({
          hash: existing.ref('excluded.hash'),
          format: existing.ref('excluded.format'),
          workflow_version: existing.ref('excluded.workflow_version'),
          build: existing.ref('excluded.build'),
          body: existing.ref('excluded.body'),
        })),
      ),
  )
}

/** Compiles the query that deletes snapshots. */
export function pruneQuery(dialect: SqlDialect): Query<PruneArgs, unknown> {
  const { db } = dialect
  return queryCompiler(dialect).write((p: Params<PruneArgs>) => {
    const newestToDelete = db
      .selectFrom('snapshots')
      .select('seq')
      .where('run_id', '=', p.text('runId'))
      .orderBy('seq', 'desc')
      .limit(sql.lit(1))
      .offset(p.int('keep'))
    return db.deleteFrom('snapshots').where('run_id', '=', p.text('runId')).where('seq', '<=', newestToDelete)
  })
}
