import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import { queryCompiler, type Params, type Query } from '../query.ts'
import { firstColumns, firstTypes, isTold, type FirstRecord } from '../runs/first-event.ts'
import { isDriven, isOfLevel, withLevels } from '../runs/due-runs.ts'
import type { RunsTable } from '../schema.ts'
import { claimAt } from '../runs/claim-time.ts'
import { claimColumns, claimTypes, leasedColumns, leasing, none, type ClaimRecord } from '../runs/run-columns.ts'
import type { ClaimArgs } from '../writes.ts'

/** So many runs more than asked for are looked at, of which others may be taking some at this very moment. */
const SPARE = 100

/** What is answered of a claimed run: it has a place, for an update answers its rows in no order. */
export interface PlacedRecord extends ClaimRecord, FirstRecord {
  readonly turn: number
  readonly place: number
}

/**
 * Claims from queues without limits in one statement: reads the first runs of every level, lets the queues take turns, and
 * locks as it goes, passing over what another claimer has locked. So concurrent claims neither wait for one another nor get
 * the same run.
 */
export function claimQuery(dialect: SqlDialect): Query<ClaimArgs, PlacedRecord> {
  const query = queryCompiler(dialect).write((p: Params<ClaimArgs>) =>
    locking(dialect, p)
      .with('taken', (db) =>
        db
          .updateTable('runs')
          .from('due')
          .set(leasedColumns(dialect, p))
          .whereRef('runs.run_id', '=', 'due.run_id')
          .returning([...claimColumns, 'due.turn', 'due.place']),
      )
      .selectFrom('taken')
      .leftJoin('events as first', (join) =>
        join
          .on(sql<boolean>`first.run_id = taken.run_id and first.seq = 1`)
          .on('taken.head', '=', sql.lit(1))
          .on(isTold('first')),
      )
      .selectAll('taken')
      .select(firstColumns),
  )
  return dialect.stored('claim', { ...claimTypes, turn: 'bigint', place: 'bigint', ...firstTypes }, query, leasing)
}

/** The runs to lease, as `due`, locked and in their order. */
// Without a return type: it is the query builder's own, which only inference can name.
function locking(dialect: SqlDialect, p: Params<ClaimArgs>) {
  const looked = sql<number>`${p.int('limit')} + ${sql.lit(SPARE)}`
  // Where the first turn is enough for the whole claim, a few runs of each queue are.
  const ofLevel = sql<number>`case when (select max(busy.nth) from busy) < ${p.int('limit')} then ${looked}
      else (${looked}) / ${p.int('limit')} end`
  const dueAt = claimAt(dialect)
  const first = dialect.db
    .selectFrom('runs')
    .select(['runs.run_id', dueAt.as('claim_at')])
    .where(isOfLevel)
    .where(dueAt, '<=', p.now)
    .where(isDriven(p))
    .orderBy(dueAt)
    .orderBy('run_id')
    .limit(looked)
  const turn = sql<number>`row_number() over (
      partition by levels.place order by levels.priority desc, first.claim_at, first.run_id)`
  return withLevels(dialect, p)
    .with('busy', (db) =>
      db
        .selectFrom('levels')
        .select(['queue', 'place', 'priority', sql<number>`dense_rank() over (order by place)`.as('nth')])
        .where('priority', 'is not', none)
        .where(first.clearSelect().select(dueAt.as('claim_at')).clearLimit().limit(sql.lit(1)), 'is not', none),
    )
    .with('candidates', (db) =>
      db
        // The inner limit is for the planner, which knows it when it plans. Under the name by which a run is compared with its level.
        .selectFrom('busy as levels')
        .crossJoinLateral(
          sql<Pick<RunsTable, 'run_id'> & { readonly claim_at: number | null }>`(
            select * from (${first}) as looked limit ${ofLevel})`.as('first'),
        )
        .select(['first.run_id', 'levels.place', turn.as('turn')])
        .where('levels.nth', '<=', looked)
        .orderBy('turn')
        .orderBy('place')
        .limit(looked),
    )
    .with('due', (db) =>
      db
        .selectFrom('candidates')
        .innerJoin('runs', 'runs.run_id', 'candidates.run_id')
        .select(['runs.run_id', 'candidates.turn', 'candidates.place'])
        // Said again, of the row as it is once we have locked it.
        .where(dueAt, '<=', p.now)
        .orderBy('turn')
        .orderBy('place')
        .limit(p.int('limit'))
        .forNoKeyUpdate('runs')
        .skipLocked(),
    )
}

/** In the order in which the queues took turns. */
export function inTurns(records: readonly PlacedRecord[]): readonly PlacedRecord[] {
  return records.toSorted((a, b) => a.turn - b.turn || a.place - b.place)
}
