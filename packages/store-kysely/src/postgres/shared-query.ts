import type { Snapshot } from '@varve/store'
import { sql, type RawBuilder } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import {
  createdColumns,
  dueIn,
  endedLease,
  releasedLease,
  type AppendArgs,
  type CreateArgs,
} from '../events/append-queries.ts'
import { queryCompiler, rowParams, type Params, type Query, type StoredColumns } from '../query.ts'
import { claimAt } from '../runs/claim-time.ts'
import { none, runColumn, updatedColumns } from '../runs/run-columns.ts'
import type { UpdateShape } from '../runs/update-shape.ts'
import type { RunsTable, Schema } from '../schema.ts'
import type { Addition, Creation } from '../writes.ts'
import { int, loggedColumns, sent, text, type Columns, type SentArgs } from './sent-rows.ts'

/** What is told of a write that was made. */
export interface SharedRecord extends Pick<RunsTable, 'run_id' | 'waiting' | 'lease_until'> {
  readonly kind: 'create' | 'append' | 'snapshot'
  readonly created_at: number | null
  readonly claim_at: number | null
  readonly due_in: number | null
}

/** An append, whose shape is 1 where it has the part. */
export type AdditionRow = AppendArgs & Readonly<Record<SharedPart, number>>

/** A part that the appends of a batch may have. */
type SharedPart = keyof UpdateShape | 'releases'

export const arrivalColumns: Columns<Creation, keyof CreateArgs> = {
  now: int(({ run }) => run.now),
  runId: text(({ run }) => run.runId),
  workflow: text(({ run }) => run.workflow),
  version: text(({ run }) => run.version),
  tags: text(({ run }) => run.tags),
  queue: text(({ run }) => run.queue),
  priority: int(({ run }) => run.priority),
  concurrencyKey: text(({ run }) => run.concurrencyKey),
  parent: text(({ run }) => run.parent),
  status: text(({ run }) => run.status),
  blockedOn: text(({ run }) => run.blockedOn),
  due: int(({ run }) => run.due),
  wakeAt: int(({ run }) => run.wakeAt),
  head: int(({ run }) => run.head),
  format: int(({ run }) => run.format),
  owes: text(({ run }) => run.owes),
  token: int(({ run }) => run.token),
  leaseOwner: text(({ run }) => run.leaseOwner),
  leaseOwnerId: text(({ run }) => run.leaseOwnerId),
  leaseMs: int(({ run }) => run.leaseMs),
}

export const additionColumns: Columns<Addition, keyof AdditionRow> = {
  now: int(({ run }) => run.now),
  runId: text(({ run }) => run.runId),
  fencingToken: int(({ run }) => run.fencingToken),
  expectedHead: int(({ run }) => run.expectedHead),
  head: int(({ run }) => run.head),
  format: int(({ run }) => run.format),
  status: text(({ run }) => run.status),
  blockedOn: text(({ run }) => run.blockedOn),
  wakeAt: int(({ run }) => run.wakeAt),
  owes: text(({ run }) => run.owes),
  newVersion: text(({ run }) => run.newVersion),
  ended: int(({ shape }) => Number(shape.ended)),
  setsOwes: int(({ shape }) => Number(shape.setsOwes)),
  progressed: int(({ shape }) => Number(shape.progressed)),
  setsVersion: int(({ shape }) => Number(shape.setsVersion)),
  releases: int(({ shape }) => Number(shape.releases)),
}

export const snapshotColumns: Columns<Snapshot, keyof Snapshot> = {
  runId: text((snapshot) => snapshot.runId),
  seq: int((snapshot) => snapshot.seq),
  hash: text((snapshot) => snapshot.hash),
  format: int((snapshot) => snapshot.format),
  workflowVersion: text((snapshot) => snapshot.workflowVersion),
  build: text((snapshot) => snapshot.build),
  body: text((snapshot) => snapshot.body),
}

export const tagColumns: Columns<{ readonly runId: string; readonly tag: string }> = {
  runId: text(({ runId }) => runId),
  tag: text(({ tag }) => tag),
}

export const referenceColumns: Columns<{ readonly runId: string; readonly artifact: string }> = {
  runId: text(({ runId }) => runId),
  artifact: text(({ artifact }) => artifact),
}

const recordTypes: StoredColumns<SharedRecord> = {
  kind: 'text',
  run_id: 'text',
  waiting: 'bigint',
  created_at: 'bigint',
  claim_at: 'bigint',
  lease_until: 'bigint',
  due_in: 'bigint',
}

/** Makes the writes of a batch. */
export type SharedQuery = Query<SentArgs, SharedRecord>

/** Names a table of the store. */
type NameOf = (table: keyof Schema) => RawBuilder<unknown>

/**
 * Compiles the statement that makes the writes of a batch, and answers those that were made.
 *
 * First it locks the rows that are free; then it compares each once more, as it is now that we have it. Sets of ids are asked for
 * with "is true", and times with a map, which keeps the planner from joining lists of which it does not know how long they are: it
 * would compare each row of one with each of the other.
 */
export function sharedQuery(dialect: SqlDialect, schema: string): SharedQuery {
  const nameOf: NameOf = (table) => sql.id(schema, table)
  const query = queryCompiler(dialect).write((p: Params<SentArgs>) => {
    const isKnown = (table: string) =>
      sql`(${sql.id(table)}."runId" in (select run_id from created union all select run_id from changed)) is true`
    const createdAt = (table: string) =>
      sql`cast((select by_run from created_times) ->> ${sql.id(table)}."runId" as bigint)`
    const statement = sql<SharedRecord>`with saved as (${saving(p, nameOf)}),
      created as (${creating(dialect, p, nameOf)}),
      held as (
        select adding.* from ${sent(p, 'adding', additionColumns)} join ${nameOf('runs')} as runs
        on runs.run_id = adding."runId" for no key update of runs skip locked),
      changed as (${changing(dialect, nameOf)}),
      logged as (
        insert into ${nameOf('events')} (run_id, seq, v, type, at, body, hash)
        select event.* from ${sent(p, 'event', loggedColumns)} where ${isKnown('event')}),
      created_times as (
        select jsonb_object_agg(run_id, created_at) as by_run
        from (select run_id, created_at from created union all select run_id, created_at from changed) as made),
      tagged as (
        insert into ${nameOf('run_tags')} (run_id, tag, created_at)
        select tag.*, ${createdAt('tag')} from ${sent(p, 'tag', tagColumns)}
        where (tag."runId" in (select run_id from created)) is true),
      referring as (
        insert into ${nameOf('run_artifacts')} (run_id, artifact, created_at)
        select reference.*, ${createdAt('reference')} from ${sent(p, 'reference', referenceColumns)}
        where ${isKnown('reference')}
        on conflict do nothing)
      select 'snapshot' as kind, run_id, cast(0 as bigint) as waiting, cast(null as bigint) as created_at,
        cast(null as bigint) as claim_at, cast(null as bigint) as lease_until, cast(null as bigint) as due_in from saved
      union all select 'create', run_id, waiting, created_at, claim_at, lease_until, null from created
      union all select 'append', run_id, waiting, null, null, null, due_in from changed`
    return { compile: () => statement.compile(dialect.db) }
  })
  return dialect.stored('share', recordTypes, query)
}

/** As `saveQuery` does, and passes over runs that are being removed. */
function saving(p: Params<SentArgs>, nameOf: NameOf): RawBuilder<unknown> {
  return sql`insert into ${nameOf('snapshots')} as snapshots (run_id, seq, hash, format, workflow_version, build, body)
    select saving.* from (select * from ${sent(p, 'saving', snapshotColumns)} order by "runId") as saving
      cross join lateral (
        select from ${nameOf('runs')} as runs where runs.run_id = saving."runId" and (
          select newer.seq from ${nameOf('snapshots')} as newer
          where newer.run_id = saving."runId" and newer.seq > saving.seq limit 1) is null
        limit 1 for key share of runs skip locked) as kept
    on conflict (run_id, seq) do update set hash = excluded.hash, format = excluded.format,
      workflow_version = excluded.workflow_version, build = excluded.build, body = excluded.body
    returning snapshots.run_id`
}

/** In the order of the ids: of two batches with the same new runs neither may wait for the other while the other waits for it. */
function creating(dialect: SqlDialect, p: Params<SentArgs>, nameOf: NameOf): RawBuilder<unknown> {
  const columns = Object.entries(createdColumns(rowParams<CreateArgs>(dialect, 'arriving')))
  return sql`insert into ${nameOf('runs')} as runs (${sql.join(columns.map(([name]) => sql.id(name)))})
    select ${sql.join(columns.map(([, value]) => value as RawBuilder<unknown>))}
      from ${sent(p, 'arriving', arrivalColumns)} order by arriving."runId"
    on conflict (run_id) do nothing
    returning runs.run_id, runs.waiting, runs.created_at, ${claimAt(dialect)} as claim_at, runs.lease_until`
}

/** As `appending` does for each row that is held, with the parts that its shape says. */
function changing(dialect: SqlDialect, nameOf: NameOf): RawBuilder<unknown> {
  const row = rowParams<AdditionRow>(dialect, 'held')
  const has = (part: SharedPart) => sql<boolean>`${row.int(part)} = 1`
  const setsOwes = sql<
    string | null
  >`case when ${has('setsOwes')} then ${row.text('owes')} else ${runColumn('owes')} end`
  const given: Params<AdditionRow> = {
    ...row,
    text: (name) => (name === 'owes' ? (setsOwes as never) : row.text(name)),
  }
  const all: UpdateShape = { ended: true, setsOwes: true, progressed: true, setsVersion: true }
  const { recoveries, version, ended_at: endedAt, ...always } = updatedColumns(given, all, runColumn('waiting'))
  const parts: readonly (readonly [SharedPart, Readonly<Record<string, RawBuilder<unknown> | undefined>>])[] = [
    ['progressed', { recoveries }],
    ['setsVersion', { version }],
    ['ended', { ended_at: endedAt }],
  ]
  const released = releasedLease(runColumn('waiting'))
  const leases = Object.entries(endedLease(given, all)).map(([name, ended]) => {
    const kept = sql.id('runs', name)
    const value = sql<never>`case when ${has('releases')} then ${released[name as keyof typeof released]}
      when ${has('ended')} then ${ended} else ${kept} end`
    return [name, value] as const
  })
  const columns: Readonly<Record<string, RawBuilder<unknown>>> = {
    ...always,
    ...Object.fromEntries(leases),
    ...Object.fromEntries(
      parts.flatMap(([part, values]) =>
        Object.entries(values).map(([name, value]) => [
          name,
          sql`case when ${has(part)} then ${value} else ${sql.id('runs', name)} end`,
        ]),
      ),
    ),
    head: row.int('head'),
    format: sql`greatest(${runColumn('format')}, ${row.int('format')})`,
    problem: none,
    retry_at: none,
  }
  const sets = Object.entries(columns).map(([name, value]) => sql`${sql.id(name)} = ${value}`)
  return sql`update ${nameOf('runs')} as runs set ${sql.join(sets)} from held
    where runs.run_id = held."runId" and runs.token = held."fencingToken" and runs.lease_owner_id is not null
      and runs.head = held."expectedHead" and (held.ended = 0 or runs.waiting = 0)
    returning runs.run_id, runs.waiting, runs.created_at, ${dueIn(given)} as due_in`
}
