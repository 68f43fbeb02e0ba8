import { sql } from 'kysely'
import type { LogTable, SqlDialect } from '../dialect.ts'
import {
  appending,
  creating,
  type AppendArgs,
  type AppendedRecord,
  type AppendShape,
  type CreateArgs,
  type CreatedRecord,
} from '../events/append-queries.ts'
import { get, run, type SqlExecutor, type Steps } from '../executor.ts'
import { countingPost, keeping, targeting, type CountedPost, type PostArgs } from '../inbox/post-queries.ts'
import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import { perShape } from '../runs/update-shape.ts'
import { isSteady, steadyAppend, type SteadyAppend } from './steady-append.ts'
import { contentWrites } from './content-writes.ts'
import { eventId } from './sqlite-logs.ts'
import type { Addition, Creation, SettledPost, SqlWrites } from '../writes.ts'
import { pruneQuery, saveQuery, type PruneArgs } from '../snapshots/snapshot-queries.ts'
import type { SharedAnswer, SharedWrite } from '../commits/shared-write.ts'
import type { Snapshot, StoredEvent } from '@varve/store'

/** Small statements in one transaction each: SQLite is a function call away, and short statements stay prepared. */
export function sqliteWrites(dialect: SqlDialect, executor: SqlExecutor): SqlWrites {
  const queries = writeQueries(dialect)
  return {
    create: (creation) => executor.transaction('write', () => create(queries, creation, 'lone_events')),
    append: (addition) => executor.transaction('write', () => append(dialect, queries, addition, 'lone_events')),
    saveSnapshot: async (snapshot) => (await executor.run(queries.saveSnapshot, snapshot)) > 0,
    pruneSnapshots: (pruning) => executor.run(queries.pruneSnapshots, pruning),
    post: (args) => executor.transaction('write', () => post(queries, args)),
    shared: {
      // The database has one writer.
      lanes: 1,
      accepts: () => true,
      commit: (batch) => executor.transaction('write', () => makeAll(dialect, queries, batch)),
    },
    ...contentWrites(dialect, executor),
  }
}

/** A write that is refused has changed nothing, so it needs no savepoint. */
function* makeAll(
  dialect: SqlDialect,
  queries: WriteQueries,
  batch: readonly SharedWrite[],
): Steps<readonly SharedAnswer[]> {
  const answers: SharedAnswer[] = []
  const table = isOfMany(batch) ? 'shared_events' : 'lone_events'
  for (const write of batch) {
    if (write.kind === 'create') answers.push(yield* create(queries, write.creation, table))
    else if (write.kind === 'append') answers.push(yield* append(dialect, queries, write.addition, table))
    else if (write.kind === 'snapshot') answers.push((yield* run(queries.saveSnapshot, write.snapshot)) > 0)
    else answers.push(yield* run(queries.pruneSnapshots, write.pruning))
  }
  return answers
}

function* create(
  queries: WriteQueries,
  { run: row, tags, events, artifacts }: Creation,
  table: WrittenTable,
): Steps<CreatedRecord | undefined> {
  const record = yield* get(queries.create, row)
  if (record === undefined) return undefined
  for (const event of events) yield { answer: 'run', query: queries.insert[table], args: event }
  for (const tag of tags) yield* run(queries.tag, { runId: row.runId, createdAt: record.created_at, tag })
  for (const artifact of artifacts) yield* run(queries.refer, { runId: row.runId, artifact })
  return record
}

/** Up to so many logs a page for each of them is less than what an event in the order of time takes with its index. */
const FEW_LOGS = 3

function isOfMany(batch: readonly SharedWrite[]): boolean {
  let logs = 0
  for (const { kind } of batch) if (kind === 'create' || kind === 'append') logs += 1
  return logs > FEW_LOGS
}

function* append(
  dialect: SqlDialect,
  queries: WriteQueries,
  addition: Addition,
  table: WrittenTable,
): Steps<AppendedRecord | undefined> {
  const { run: row, shape, events, posts, artifacts } = addition
  const { runId } = row
  const isMoved = isSteady(shape) && (yield* run(queries.steady(shape), row)) > 0
  const record = isMoved ? { waiting: 0 } : yield* moveFully(dialect, queries, addition)
  if (record === undefined) return undefined
  for (const event of events) yield { answer: 'run', query: queries.insert[table], args: event }
  for (const { id, error } of posts) yield* run(queries.settle, { runId, id, error })
  for (const artifact of artifacts) yield* run(queries.refer, { runId, artifact })
  return record
}

function* moveFully(
  dialect: SqlDialect,
  queries: WriteQueries,
  { run: row, shape, posts }: Addition,
): Steps<AppendedRecord | undefined> {
  const settled = posts.length === 0 ? 0 : yield* countWaiting(dialect, queries, row.runId, posts)
  return yield* get(queries.append(shape), { ...row, settled })
}

function* countWaiting(
  dialect: SqlDialect,
  queries: WriteQueries,
  runId: string,
  posts: readonly SettledPost[],
): Steps<number> {
  const found = yield* get(queries.countWaiting, { runId, ids: dialect.list(posts.map(({ id }) => id)) })
  return found?.count ?? 0
}

function* post(queries: WriteQueries, args: PostArgs): Steps<CountedPost | undefined> {
  if ((yield* get(queries.keep, args)) === undefined) return undefined
  return yield* get(queries.countPost, args)
}

/** Where an event is written; `events` is a view here. */
type WrittenTable = Exclude<LogTable, 'events'>

interface TagArgs {
  readonly runId: string
  readonly createdAt: number
  readonly tag: string
}

interface WriteQueries {
  readonly create: Query<CreateArgs, CreatedRecord>
  readonly steady: SteadyAppend
  readonly append: (shape: AppendShape) => Query<AppendArgs & { readonly settled: number }, AppendedRecord>
  readonly saveSnapshot: Query<Snapshot, unknown>
  readonly pruneSnapshots: Query<PruneArgs, unknown>
  readonly insert: Readonly<Record<WrittenTable, Query<StoredEvent, unknown>>>
  readonly refer: Query<{ readonly runId: string; readonly artifact: string }, unknown>
  readonly tag: Query<TagArgs, unknown>
  readonly countWaiting: Query<{ readonly runId: string; readonly ids: unknown }, { readonly count: number }>
  readonly settle: Query<SettledPost & { readonly runId: string }, unknown>
  readonly keep: Query<PostArgs, { readonly run_id: string }>
  readonly countPost: Query<PostArgs, CountedPost>
}

const writeQueries = perDialect((dialect): WriteQueries => {
  const { db } = dialect
  const { write } = queryCompiler(dialect)
  return {
    create: write((p: Params<CreateArgs>) => creating(dialect, db, p)),
    steady: steadyAppend(dialect),
    append: perShape((shape: AppendShape) =>
      write((p: Params<AppendArgs & { readonly settled: number }>) => appending(db, p, shape, p.int('settled'))),
    ),
    saveSnapshot: saveQuery(dialect),
    pruneSnapshots: pruneQuery(dialect),
    keep: write((p: Params<PostArgs>) => keeping(targeting(dialect, p), p)),
    countPost: write((p: Params<PostArgs>) => countingPost(db, p).where('run_id', '=', p.text('runId'))),
    ...rowQueries(dialect),
  }
})

function rowQueries(dialect: SqlDialect): Pick<WriteQueries, 'insert' | 'tag' | 'refer' | 'countWaiting' | 'settle'> {
  const { db } = dialect
  const { read, write } = queryCompiler(dialect)
  const insert = (table: WrittenTable) =>
    write((p: Params<StoredEvent>) =>
      db.insertInto(table).values({
        id: eventId(p.text('runId'), p.int('seq')),
        v: p.int('v'),
        type: p.text('type'),
        at: p.int('at'),
        body: p.text('body'),
        hash: p.text('hash'),
      }),
    )
  return {
    insert: { lone_events: insert('lone_events'), shared_events: insert('shared_events') },
    tag: write((p: Params<TagArgs>) =>
      db.insertInto('run_tags').values({ run_id: p.text('runId'), created_at: p.int('createdAt'), tag: p.text('tag') }),
    ),
    refer: write((p: Params<{ readonly runId: string; readonly artifact: string }>) =>
      db
        .insertInto('run_artifacts')
        .columns(['artifact', 'created_at', 'run_id'])
        .expression((run) =>
          run
            .selectFrom('runs')
            .select([p.text('artifact').as('artifact'), 'runs.created_at', 'runs.run_id'])
            .where('runs.run_id', '=', p.text('runId')),
        )
        .onConflict((conflict) => conflict.doNothing()),
    ),
    countWaiting: read((p: Params<{ readonly runId: string; readonly ids: unknown }>) =>
      db
        .selectFrom('posts')
        .select((post) => post.fn.countAll<number>().as('count'))
        .where('run_id', '=', p.text('runId'))
        .where(waits())
        .where(p.textIn(sql.ref('id'), 'ids')),
    ),
    settle: write((p: Params<SettledPost & { readonly runId: string }>) =>
      db
        .updateTable('posts')
        .set({
          state: sql`case when ${p.text('error')} is null then 'taken' else 'rejected' end`,
          body: sql`case when ${p.text('error')} is null then '' else body end`,
          error: p.text('error'),
        })
        .where('run_id', '=', p.text('runId'))
        .where('id', '=', p.text('id'))
        .where(waits()),
    ),
  }
}

/** The second condition says nothing new, except to the planner: it is that of the index by id. */
function waits() {
  return sql<boolean>`state = 'waiting' and state <> 'rejected'`
}
