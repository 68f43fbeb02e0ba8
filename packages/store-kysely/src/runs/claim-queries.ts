import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import type { RunsTable } from '../schema.ts'
import { isDriven, isOfLevel, withLevels, type DrivenArgs } from './due-runs.ts'
import { claimAt } from './claim-time.ts'
import { claimColumns, leasedColumns, none, runColumn, type ClaimRecord, type LeaseArgs } from './run-columns.ts'
import { perShape } from './update-shape.ts'

type Timed = { readonly now: number | null }

/** The part of a queue that has one priority. */
export interface Level {
  readonly queue: string
  readonly priority: number
}

/** What to read of a level. */
export interface CandidateArgs extends Omit<DrivenArgs, 'queues'>, Timed, Level {
  /** Where the last page ended. */
  readonly afterAt: number
  readonly afterId: string
  /** Concurrency keys to pass over. */
  readonly heldKeys: unknown
  readonly limit: number
}

/** Which conditions the reading of a level has. */
export interface CandidateShape {
  readonly continues: boolean
  readonly holdsKeys: boolean
  /** Only runs that were leased before. */
  readonly begun: boolean
}

/** A due run as claims see it before they take it. */
export type CandidateRecord = Pick<RunsTable, 'run_id' | 'concurrency_key' | 'token'> & {
  readonly claim_at: number | null
}

/** How many runs of a queue, with one concurrency key, are under a living lease. */
export interface LeasedRecord {
  readonly queue: string
  readonly concurrency_key: string | null
  readonly leased: number
}

/** Which runs to lease to whom. */
export interface TakeArgs extends LeaseArgs {
  readonly runIds: unknown
  /** Queues with a rate. */
  readonly rated: unknown
}

/** The queries of claims that look at one queue after the other. */
export interface ClaimQueries {
  /** The levels in which a run is due that the claimer can drive, in no order. */
  readonly dueLevels: Query<DrivenArgs & Timed, Level>
  readonly dueIn: Query<DrivenArgs & Timed, { readonly in: number | null }>
  readonly candidates: (shape: CandidateShape) => Query<CandidateArgs, CandidateRecord>
  readonly leased: Query<Timed & { readonly queues: unknown }, LeasedRecord>
  readonly begun: Query<Timed & { readonly queue: string; readonly periodMs: number }, { readonly begun: number }>
  readonly take: Query<TakeArgs, ClaimRecord>
}

/** Compiles them. */
export const claimQueries = perDialect((dialect): ClaimQueries => {
  const { db } = dialect
  const { read } = queryCompiler(dialect)
  return {
    ...levelQueries(dialect),
    candidates: perShape((shape: CandidateShape) => candidatesQuery(dialect, shape)),
    leased: read((p: Params<Timed & { readonly queues: unknown }>) =>
      db
        .selectFrom('runs')
        .select(['queue', 'concurrency_key', sql<number>`count(*)`.as('leased')])
        .where(p.textIn(runColumn('queue'), 'queues'))
        .where('lease_until', '>', p.now)
        .groupBy(['queue', 'concurrency_key']),
    ),
    begun: read((p: Params<Timed & { readonly queue: string; readonly periodMs: number }>) =>
      db
        .selectFrom('runs')
        .select(sql<number>`count(*)`.as('begun'))
        .where('queue', '=', p.text('queue'))
        .where('begun_at', '>', sql<number>`${p.now} - ${p.int('periodMs')}`)
        // What lies ahead was begun by a clock that was wrong: it would hold the queue back until then, and the period besides.
        .where('begun_at', '<=', p.now),
    ),
    take: takeQuery(dialect),
  }
})

function levelQueries(dialect: SqlDialect): Pick<ClaimQueries, 'dueLevels' | 'dueIn'> {
  const { read } = queryCompiler(dialect)
  const dueAt = claimAt(dialect)
  return {
    dueLevels: read((p: Params<DrivenArgs & Timed>) => {
      // One run, in the order of the index: so no database thinks of reading them all to have the answer for every level.
      const first = dialect.db
        .selectFrom('runs')
        .select(dueAt.as('claim_at'))
        .where(isOfLevel)
        .where(dueAt, '<=', p.now)
        .where(isDriven(p))
        .orderBy(dueAt)
        .limit(sql.lit(1))
      return withLevels(dialect, p)
        .selectFrom('levels')
        .select(['queue', sql<number>`levels.priority`.as('priority')])
        .where('priority', 'is not', none)
        .where(first, 'is not', none)
    }),
    dueIn: read((p: Params<DrivenArgs & Timed>) => {
      const next = dialect.db
        .selectFrom('runs')
        .select(dueAt.as('claim_at'))
        .where(isOfLevel)
        .where(dueAt, '>', p.now)
        .where(isDriven(p))
        .orderBy(dueAt)
        .limit(sql.lit(1))
      return withLevels(dialect, p)
        .selectFrom('levels')
        .select(sql<number | null>`min(${next}) - ${p.now}`.as('in'))
        .where('priority', 'is not', none)
    }),
  }
}

function candidatesQuery(dialect: SqlDialect, shape: CandidateShape): Query<CandidateArgs, CandidateRecord> {
  const { continues, holdsKeys, begun } = shape
  const dueAt = claimAt(dialect)
  return queryCompiler(dialect).read((p: Params<CandidateArgs>) => {
    const key = runColumn('concurrency_key')
    const position = sql`(${dueAt}, ${runColumn('run_id')})`
    return dialect.db
      .selectFrom('runs')
      .select(['run_id', dueAt.as('claim_at'), 'concurrency_key', 'token'])
      .where('queue', '=', p.text('queue'))
      .where('priority', '=', p.int('priority'))
      .where(dueAt, '<=', p.now)
      .where(isDriven(p))
      .$if(continues, (query) => query.where(sql<boolean>`${position} > (${p.int('afterAt')}, ${p.text('afterId')})`))
      .$if(holdsKeys, (query) =>
        query.where(sql<boolean>`(${key} is null or not ${p.textIn(key as never, 'heldKeys')})`),
      )
      .$if(begun, (query) => query.where('token', '>', sql.lit(0)))
      .orderBy(dueAt)
      .orderBy('run_id')
      .limit(p.int('limit'))
  })
}

/** Passes over what somebody else has locked or taken since it was read: it would only be waited for in vain. */
function takeQuery(dialect: SqlDialect): ClaimQueries['take'] {
  return queryCompiler(dialect).write((p: Params<TakeArgs>) => {
    const begins = sql`${runColumn('token')} = 0 and ${p.textIn(runColumn('queue'), 'rated')}`
    return dialect.db
      .with('due', (db) =>
        db
          .selectFrom('runs')
          .select('runs.run_id')
          .where(p.textIn(runColumn('run_id'), 'runIds'))
          .where(claimAt(dialect), '<=', p.now)
          .$if(dialect.locksRows, (query) => query.forNoKeyUpdate().skipLocked()),
      )
      .updateTable('runs')
      .from('due')
      .set({
        ...leasedColumns(dialect, p),
        begun_at: sql`case when ${begins} then ${p.now} else ${runColumn('begun_at')} end`,
      })
      .whereRef('runs.run_id', '=', 'due.run_id')
      .returning(claimColumns)
  })
}
