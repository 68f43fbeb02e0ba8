import { sql, type RawBuilder } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import type { RunsTable } from '../schema.ts'
import {
  claimColumns,
  claimTypes,
  dueSince,
  hasEnded,
  isLeased,
  leasedColumns,
  leasing,
  none,
  runColumn,
  runTypes,
  updatedColumns,
  type ClaimRecord,
  type LeaseArgs,
  type UpdateArgs,
  type UpdatedColumns,
} from './run-columns.ts'
import { perShape, type UpdateShape } from './update-shape.ts'

/** Names one run. */
export interface RunArgs {
  readonly runId: string
}

/** What an acquire binds. */
export interface AcquireArgs extends RunArgs, LeaseArgs {
  readonly takeover: number | null
}

/** Names the lease of a run. */
export interface TokenArgs extends RunArgs {
  readonly now: number | null
  readonly token: number
}

/** What every release binds. */
export interface ReleaseArgs extends TokenArgs {
  readonly expectedHead: number
  readonly problem: string | null
  readonly retryAt: number | null
}

/** A row after a release, and the time at which it was released. */
export type ReleasedRecord = Pick<RunsTable, 'wake_at' | 'problem' | 'retry_at'> & { readonly now: number }

/** Names a run, at a time. */
export type InspectArgs = RunArgs & { readonly now: number | null }

/** A row, and whether its lease is alive (1). */
export type InspectedRecord = RunsTable & { readonly leased: number }

/** The queries on the index of runs. */
export interface RunQueries {
  readonly find: Query<RunArgs, RunsTable>
  readonly acquire: Query<AcquireArgs, ClaimRecord>
  readonly renew: Query<TokenArgs & { readonly leaseMs: number }, ClaimRecord>
  readonly release: Query<ReleaseArgs, ReleasedRecord>
  readonly releaseWith: (shape: UpdateShape) => Query<ReleaseArgs & UpdateArgs, ReleasedRecord>
  readonly inspect: Query<InspectArgs, InspectedRecord>
  /** Keeps the row from changing until the end of the transaction. */
  readonly lock: Query<InspectArgs, InspectedRecord>
  readonly remove: readonly Query<RunArgs, unknown>[]
}

/** Compiles the queries of the run store. */
export const runQueries = perDialect((dialect): RunQueries => {
  const { db } = dialect
  const { read, write } = queryCompiler(dialect)
  return {
    find: dialect.stored(
      'find_run',
      runTypes,
      read((p: Params<RunArgs>) =>
        db
          .selectFrom('runs')
          .select(Object.keys(runTypes) as (keyof RunsTable)[])
          .where('run_id', '=', p.text('runId')),
      ),
    ),
    acquire: acquireQuery(dialect),
    renew: dialect.stored(
      'renew',
      claimTypes,
      write((p: Params<TokenArgs & { readonly leaseMs: number }>) =>
        db
          .updateTable('runs')
          .set({ lease_until: sql`${p.now} + ${p.int('leaseMs')}` })
          .where('run_id', '=', p.text('runId'))
          .where('token', '=', p.int('token'))
          .where('lease_owner_id', 'is not', none)
          .returning(claimColumns),
      ),
    ),
    ...releaseQueries(dialect),
    inspect: read((p: Params<InspectArgs>) => inspecting(dialect, p)),
    lock: read((p: Params<InspectArgs>) => {
      const query = inspecting(dialect, p)
      return dialect.locksRows ? query.forUpdate() : query
    }),
    // The log before the row by which it is found.
    remove: [
      ...dialect.logs.tables.map((table) =>
        write((p: Params<RunArgs>) => db.deleteFrom(table).where(dialect.logs.all(p.text('runId')))),
      ),
      ...(['run_tags', 'run_artifacts', 'snapshots', 'posts', 'runs'] as const).map((table) =>
        write((p: Params<RunArgs>) => db.deleteFrom(table).where('run_id', '=', p.text('runId'))),
      ),
    ],
  }
})

/** The queries that are kept as functions where the database has them. */
export function storedRunQueries(dialect: SqlDialect): readonly Query<never, unknown>[] {
  const { find, acquire, renew, release, releaseWith } = runQueries(dialect)
  const usual = { ended: false, setsOwes: false, progressed: false, setsVersion: false }
  return [find, acquire, renew, release, releaseWith(usual), releaseWith({ ...usual, setsOwes: true })]
}

function isUsual({ ended, progressed, setsVersion }: UpdateShape): boolean {
  return !ended && !progressed && !setsVersion
}

/** One statement; when it changes no row, a second query tells why. */
function acquireQuery(dialect: SqlDialect): RunQueries['acquire'] {
  const query = queryCompiler(dialect).write((p: Params<AcquireArgs>) =>
    dialect.db
      .updateTable('runs')
      .set(leasedColumns(dialect, p))
      .where('run_id', '=', p.text('runId'))
      .where(sql<boolean>`not (${hasEnded(runColumn('status'))} and ${runColumn('owes')} is null)`)
      .where(
        sql<boolean>`(not ${isLeased(p.now)}
          or ${runColumn('lease_owner_id')} = ${p.text('ownerId')}
          or ${runColumn('token')} = ${p.int('takeover')})`,
      )
      .returning(claimColumns),
  )
  return dialect.stored('acquire', claimTypes, query, leasing)
}

function releaseQueries(dialect: SqlDialect): Pick<RunQueries, 'release' | 'releaseWith'> {
  const { write } = queryCompiler(dialect)
  const types = { wake_at: 'bigint', problem: 'text', retry_at: 'bigint', now: 'bigint' } as const
  const release = write((p: Params<ReleaseArgs>) =>
    releasing(dialect, p).set(whereCurrent(p, { wake_at: runColumn('wake_at') })),
  )
  return {
    release: dialect.stored('release', types, release),
    releaseWith: perShape((shape: UpdateShape) => {
      const query = write((p: Params<ReleaseArgs & UpdateArgs>) =>
        // No posts: with one that waits the update does not apply at all.
        releasing(dialect, p).set(whereCurrent(p, updatedColumns(p, shape, sql.lit(0)))),
      )
      return isUsual(shape) ? dialect.stored('release_with', types, query) : query
    }),
  }
}

/** Sets the columns if the caller has folded all there is; if not, leaves them, and the run is due. */
function whereCurrent<Args extends ReleaseArgs, Columns extends Partial<UpdatedColumns>>(
  p: Params<Args>,
  columns: Columns,
): Columns {
  const entries = Object.entries(columns).map(([name, value]) => {
    const otherwise = name === 'wake_at' ? dueSince(p.now) : runColumn(name as keyof UpdatedColumns)
    return [name, sql`case when ${isCurrent(p)} then ${value} else ${otherwise} end`]
  })
  return Object.fromEntries(entries) as Columns
}

/** True while the caller has folded all there is: nothing was appended behind its head, and no post waits. */
function isCurrent<Args extends ReleaseArgs>(p: Params<Args>): RawBuilder<boolean> {
  return sql`(${runColumn('head')} = ${p.int('expectedHead')} and ${runColumn('waiting')} = 0)`
}

// Without return types, like the next: they are the query builder's own, which only inference can name.
function inspecting({ db }: SqlDialect, p: Params<InspectArgs>) {
  return db
    .selectFrom('runs')
    .selectAll()
    .select(sql<number>`case when ${isLeased(p.now)} then 1 else 0 end`.as('leased'))
    .where('run_id', '=', p.text('runId'))
}

function releasing<Args extends ReleaseArgs>({ db }: SqlDialect, p: Params<Args>) {
  return db
    .updateTable('runs')
    .set({
      problem: p.text('problem'),
      retry_at: p.int('retryAt'),
      lease_owner: none,
      lease_owner_id: none,
      lease_until: none,
    })
    .where('run_id', '=', p.text('runId'))
    .where('token', '=', p.int('token'))
    .where('lease_owner_id', 'is not', none)
    .returning(['wake_at', 'problem', 'retry_at', p.now.as('now')])
}
