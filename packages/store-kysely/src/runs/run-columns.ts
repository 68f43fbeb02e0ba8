import type { RunStatus } from '@varve/store'
import { sql, type Expression, type RawBuilder, type SqlBool } from 'kysely'
import type { SqlDialect, StoredOptions } from '../dialect.ts'
import type { Params, StoredColumns } from '../query.ts'
import type { RunsTable } from '../schema.ts'
import type { UpdateShape } from './update-shape.ts'

/** A column of the run's row, by its full name: an update may join it with a table of the same columns. */
export function runColumn<K extends keyof RunsTable>(name: K): RawBuilder<RunsTable[K]> {
  return sql.id('runs', name)
}

/** What a claim tells of the row. */
export const claimColumns = [
  'runs.run_id',
  'runs.workflow',
  'runs.version',
  'runs.queue',
  'runs.token',
  'runs.lease_until',
  'runs.head',
  'runs.status',
  'runs.waiting',
  'runs.recoveries',
  'runs.owes',
  'runs.problem',
] as const

/** The columns of {@link claimColumns}. */
export type ClaimRecord = Pick<
  RunsTable,
  | 'run_id'
  | 'workflow'
  | 'version'
  | 'queue'
  | 'token'
  | 'lease_until'
  | 'head'
  | 'status'
  | 'waiting'
  | 'recoveries'
  | 'owes'
  | 'problem'
>

/** Their types, in their order. */
export const claimTypes: StoredColumns<ClaimRecord> = {
  run_id: 'text',
  workflow: 'text',
  version: 'text',
  queue: 'text',
  token: 'bigint',
  lease_until: 'bigint',
  head: 'bigint',
  status: 'text',
  waiting: 'bigint',
  recoveries: 'bigint',
  owes: 'text',
  problem: 'text',
}

/** The types of all columns. */
export const runTypes: StoredColumns<RunsTable> = {
  ...claimTypes,
  tags: 'text',
  priority: 'bigint',
  concurrency_key: 'text',
  parent: 'text',
  created_at: 'bigint',
  blocked_on: 'text',
  wake_at: 'bigint',
  format: 'bigint',
  posted: 'bigint',
  retry_at: 'bigint',
  lease_owner: 'text',
  lease_owner_id: 'text',
  ended_at: 'bigint',
  begun_at: 'bigint',
}

/** Null as a literal: as one parameter it could not stand for a text here and a number there. */
export const none: RawBuilder<null> = sql.lit(null)

/** Since when a run that is due at once has been due: one that is written again and again keeps its place in the queue. */
export function dueSince(now: Expression<number>): RawBuilder<number> {
  const wakeAt = runColumn('wake_at')
  return sql`case when ${wakeAt} <= ${now} then ${wakeAt} else ${now} end`
}

/** True while a lease on the run is alive. */
export function isLeased(now: Expression<number>): RawBuilder<SqlBool> {
  return sql`(${runColumn('lease_until')} is not null and ${runColumn('lease_until')} > ${now})`
}

/** True for a status after which nothing may follow. */
export function hasEnded(status: Expression<string>): RawBuilder<SqlBool> {
  return sql`${status} not in ('running', 'blocked')`
}

/** Who wants a lease. */
export interface LeaseArgs {
  readonly now: number | null
  readonly owner: string
  readonly ownerId: string
  readonly leaseMs: number
}

/**
 * A new lease with the next token. One that ended without a release, or is taken from somebody, is a
 * recovery.
 */
export function leasedColumns<Args extends LeaseArgs>(
  { nextToken }: Pick<SqlDialect, 'nextToken'>,
  p: Params<Args>,
): Readonly<Record<LeaseColumn, RawBuilder<never>>> {
  const ownerId = runColumn('lease_owner_id')
  return {
    token: nextToken(runColumn('token')) as RawBuilder<never>,
    lease_owner: sql`${p.text('owner')}`,
    lease_owner_id: sql`${p.text('ownerId')}`,
    lease_until: sql`${p.now} + ${p.int('leaseMs')}`,
    recoveries: sql`${runColumn('recoveries')} + case
      when ${ownerId} is null or (${isLeased(p.now)} and ${ownerId} = ${p.text('ownerId')}) then 0
      else 1 end`,
  }
}

/**
 * A lease need not be on the disk before its owner hears of it. Whatever is done outside comes behind something that is committed
 * under the lease, or behind its renewal, both of which wait for the disk; and taken back by a crash, its token is nobody's.
 */
export const leasing: StoredOptions = { flushed: false }

type LeaseColumn = 'token' | 'lease_owner' | 'lease_owner_id' | 'lease_until' | 'recoveries'

/** What {@link updatedColumns} binds. */
export interface UpdateArgs {
  readonly now: number | null
  readonly status: RunStatus
  readonly blockedOn: string
  readonly wakeAt: number | null
  readonly owes: string | null
  /** Empty unless the shape sets it. */
  readonly newVersion: string
}

/** The columns that a `RunUpdate` sets. */
export interface UpdatedColumns {
  readonly status: RawBuilder<RunStatus>
  readonly blocked_on: RawBuilder<string>
  readonly wake_at: RawBuilder<number | null>
  readonly owes?: RawBuilder<string | null>
  readonly recoveries?: RawBuilder<number>
  readonly version?: RawBuilder<string>
  readonly ended_at?: RawBuilder<number | null>
}

/**
 * A `RunUpdate` as SQL.
 *
 * @param waiting - Posts that wait afterwards: they, and debts, make a run due whatever the update says.
 */
export function updatedColumns<Args extends UpdateArgs>(
  p: Params<Args>,
  shape: UpdateShape,
  waiting: Expression<number>,
): UpdatedColumns {
  const owes = owesAfter(p, shape)
  return {
    status: p.text('status'),
    blocked_on: p.text('blockedOn'),
    wake_at: sql`case
      when ${waiting} > 0 or ${owes} is not null or ${p.int('wakeAt')} = 0 then ${dueSince(p.now)}
      else ${p.int('wakeAt')} end`,
    ...(shape.setsOwes && { owes }),
    ...(shape.progressed && { recoveries: sql.lit(0) }),
    ...(shape.setsVersion && { version: p.text('newVersion') }),
    ...(shape.ended && { ended_at: sql`coalesce(${runColumn('ended_at')}, ${p.now})` }),
  }
}

/** The debts after an update. */
export function owesAfter<Args extends UpdateArgs>(p: Params<Args>, shape: UpdateShape): RawBuilder<string | null> {
  return shape.setsOwes ? p.text('owes') : runColumn('owes')
}
