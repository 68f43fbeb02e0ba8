import type { RunStatus } from '@varve/store'
import { sql, type Expression, type InsertObject, type QueryCreator, type RawBuilder } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { Params } from '../query.ts'
import { claimAt } from '../runs/claim-time.ts'
import {
  claimColumns,
  hasEnded,
  none,
  owesAfter,
  runColumn,
  updatedColumns,
  type ClaimRecord,
  type UpdateArgs,
} from '../runs/run-columns.ts'
import type { UpdateShape } from '../runs/update-shape.ts'
import { asSchema, type RunsTable, type Schema } from '../schema.ts'

/** What an append binds for the run's row. */
export interface AppendArgs extends UpdateArgs {
  readonly runId: string
  readonly fencingToken: number
  readonly expectedHead: number
  readonly head: number
  readonly format: number
}

/** Which parts an append has. */
export interface AppendShape extends UpdateShape {
  /** Posts are taken or rejected. */
  readonly settles: boolean
  /** The run refers to artifacts from now on. */
  readonly refers: boolean
  /** The lease ends, unless posts wait. */
  readonly releases: boolean
}

/** What an append answers of the run's row. */
export interface AppendedRecord extends Pick<RunsTable, 'waiting'> {
  /** Of one that was released: in how many ms it may be claimed, null for never by itself. Told by appends that release. */
  readonly due_in?: number | null
}

/** What a create answers of the run's row. */
export type CreatedRecord = ClaimRecord &
  Pick<RunsTable, 'created_at'> & {
    /** When it may be claimed; null for never. */
    readonly claim_at: number | null
  }

/** What a create binds for the run's row. */
export interface CreateArgs {
  readonly now: number | null
  readonly runId: string
  readonly workflow: string
  readonly version: string
  readonly tags: string
  readonly queue: string
  readonly priority: number
  readonly concurrencyKey: string | null
  readonly parent: string | null
  readonly status: RunStatus
  readonly blockedOn: string
  /** 1 when the run is due at once. */
  readonly due: number
  readonly wakeAt: number | null
  readonly head: number
  readonly format: number
  readonly owes: string | null
  readonly token: number
  readonly leaseOwner: string | null
  readonly leaseOwnerId: string | null
  /** Null for no lease. */
  readonly leaseMs: number | null
}

/**
 * Compares and sets the run's row; changes no row when the append is refused.
 *
 * @param settled - How many posts stop waiting with this append.
 */
// Without a return type, like those of the next: it is the query builder's own, which only inference can name.
export function appending<DB extends Schema, Args extends AppendArgs>(
  db: QueryCreator<DB>,
  p: Params<Args>,
  shape: AppendShape,
  settled: Expression<number>,
) {
  const waiting = shape.settles ? sql<number>`(${runColumn('waiting')} - ${settled})` : runColumn('waiting')
  const format = runColumn('format')
  return asSchema(db)
    .updateTable('runs')
    .set({
      ...updatedColumns(p, shape, waiting),
      ...(shape.settles && { waiting }),
      ...(shape.ended && endedLease(p, shape)),
      ...(shape.releases && releasedLease(waiting)),
      head: p.int('head'),
      format: sql`case when ${format} < ${p.int('format')} then ${p.int('format')} else ${format} end`,
      problem: none,
      retry_at: none,
    })
    .where('runs.run_id', '=', p.text('runId'))
    .where('runs.token', '=', p.int('fencingToken'))
    .where('runs.lease_owner_id', 'is not', none)
    .where('runs.head', '=', p.int('expectedHead'))
    .$if(shape.ended, (query) => query.where(waiting, '=', sql.lit(0)))
    .returning(['runs.run_id', 'runs.waiting'])
    .$if(shape.refers, (query) => query.returning('runs.created_at'))
    .$if(shape.releases, (query) => query.returning(dueIn(p).as('due_in')))
}

/** The lease of a run that is given back, unless posts wait for it. */
export function releasedLease(waiting: Expression<number>): Record<LeaseColumn, RawBuilder<never>> {
  const unlessFree = (name: LeaseColumn): RawBuilder<never> =>
    sql`case when ${waiting} = 0 then null else ${runColumn(name)} end`
  return leaseColumns(unlessFree)
}

/** Of a row that has just been set: in how many ms it may be claimed; null for never by itself, and under a lease. */
export function dueIn<Args extends AppendArgs>(p: Params<Args>): RawBuilder<number | null> {
  const wakeAt = runColumn('wake_at')
  return sql`case when ${runColumn('lease_owner_id')} is not null or ${wakeAt} is null then null
    when ${wakeAt} <= ${p.now} then 0 else ${wakeAt} - ${p.now} end`
}

/** The end of a run ends its lease, unless it owes something that its driver has to pay. */
export function endedLease<Args extends AppendArgs>(
  p: Params<Args>,
  shape: UpdateShape,
): Record<LeaseColumn, RawBuilder<never>> {
  const unlessOver = (name: LeaseColumn): RawBuilder<never> =>
    sql`case when ${owesAfter(p, shape)} is null then null else ${runColumn(name)} end`
  return leaseColumns(unlessOver)
}

function leaseColumns(valueOf: (name: LeaseColumn) => RawBuilder<never>): Record<LeaseColumn, RawBuilder<never>> {
  return {
    lease_owner: valueOf('lease_owner'),
    lease_owner_id: valueOf('lease_owner_id'),
    lease_until: valueOf('lease_until'),
  }
}

type LeaseColumn = 'lease_owner' | 'lease_owner_id' | 'lease_until'

/** Inserts the run's row; inserts nothing when there is one. */
export function creating<DB extends Schema, Args extends CreateArgs>(
  dialect: SqlDialect,
  db: QueryCreator<DB>,
  p: Params<Args>,
) {
  return asSchema(db)
    .insertInto('runs')
    .values(createdColumns(p))
    .onConflict((conflict) => conflict.column('run_id').doNothing())
    .returning([...claimColumns, 'runs.created_at', claimAt(dialect).as('claim_at')])
}

/** The columns of a new run. */
export function createdColumns<Args extends CreateArgs>(p: Params<Args>): InsertObject<Schema, 'runs'> {
  return {
    run_id: p.text('runId'),
    workflow: p.text('workflow'),
    version: p.text('version'),
    tags: p.text('tags'),
    queue: p.text('queue'),
    priority: p.int('priority'),
    concurrency_key: p.text('concurrencyKey'),
    parent: p.text('parent'),
    created_at: p.now,
    status: p.text('status'),
    blocked_on: p.text('blockedOn'),
    wake_at: sql`case when ${p.int('due')} = 1 then ${p.now} else ${p.int('wakeAt')} end`,
    head: p.int('head'),
    format: p.int('format'),
    waiting: sql.lit(0),
    posted: sql.lit(0),
    owes: p.text('owes'),
    recoveries: sql.lit(0),
    problem: none,
    retry_at: none,
    token: p.int('token'),
    lease_owner: p.text('leaseOwner'),
    lease_owner_id: p.text('leaseOwnerId'),
    lease_until: sql`${p.now} + ${p.int('leaseMs')}`,
    ended_at: sql`case when ${hasEnded(p.text('status'))} then ${p.now} end`,
  }
}
