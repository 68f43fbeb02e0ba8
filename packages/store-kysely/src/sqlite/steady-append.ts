import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { AppendArgs, AppendShape } from '../events/append-queries.ts'
import { queryCompiler, type Params, type Query } from '../query.ts'
import { none, runColumn, updatedColumns } from '../runs/run-columns.ts'
import { perShape } from '../runs/update-shape.ts'

/** What moves a run's row when the append changes nothing that an index holds. */
export type SteadyAppend = (shape: AppendShape) => Query<AppendArgs, unknown>

/**
 * True for appends that most likely leave the status, the due time and the debts of their run as they are: those of a run
 * in the midst of its steps.
 */
export function isSteady(shape: AppendShape): boolean {
  return !shape.ended && !shape.settles && !shape.releases
}

/**
 * Compiles the update of a row that has no posts, and of which no indexed column would change.
 *
 * SQLite writes the entry of an index anew for every column that an update sets, also to what it was. In a batch that is a
 * page more for each run and index. Whoever finds no row with this update takes the one that sets everything.
 */
export function steadyAppend(dialect: SqlDialect): SteadyAppend {
  const { write } = queryCompiler(dialect)
  return perShape((shape: AppendShape) =>
    write((p: Params<AppendArgs>) => {
      const { status, wake_at: wakeAt, owes, ...unindexed } = updatedColumns(p, shape, sql.lit(0))
      return dialect.db
        .updateTable('runs')
        .set({ ...unindexed, head: p.int('head'), format: sql`max(${runColumn('format')}, ${p.int('format')})` })
        .where('run_id', '=', p.text('runId'))
        .where('token', '=', p.int('fencingToken'))
        .where('lease_owner_id', 'is not', none)
        .where('head', '=', p.int('expectedHead'))
        .where('waiting', '=', sql.lit(0))
        .where('problem', 'is', none)
        .where('retry_at', 'is', none)
        .where('status', '=', status)
        .where('wake_at', 'is', wakeAt)
        .$if(owes !== undefined, (query) => query.where('owes', 'is', owes ?? none))
    }),
  )
}
