import { sql, type QueryCreator } from 'kysely'
import { naming, hasBytes, type PutArgs } from '../artifacts/artifact-queries.ts'
import { keepingEntry, type EntryArgs } from '../cache/cache-queries.ts'
import type { SqlDialect } from '../dialect.ts'
import {
  appending,
  creating,
  type AppendArgs,
  type AppendedRecord,
  type AppendShape,
  type CreateArgs,
  type CreatedRecord,
} from '../events/append-queries.ts'
import type { SqlExecutor } from '../executor.ts'
import { countingPost, keeping, targeting, type CountedPost, type PostArgs } from '../inbox/post-queries.ts'
import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import { perShape } from '../runs/update-shape.ts'
import { claimQuery, inTurns, type PlacedRecord } from './postgres-claim.ts'
import { claimTypes } from '../runs/run-columns.ts'
import { asSchema, type Schema } from '../schema.ts'
import type { ClaimArgs, KeptEntry, SettledPost, SqlWrites } from '../writes.ts'
import { sharedCommits } from './shared-commits.ts'
import { inParts, isInParts, type BoundQuery } from './event-parts.ts'
import type { SharedQuery } from './shared-query.ts'
import { eventArgs, eventsForms, formOf, logging, type EventArgs, type EventsForm } from './logged-events.ts'
import { pruneQuery, saveQuery, type PruneArgs } from '../snapshots/snapshot-queries.ts'
import type { Snapshot, StoredEvent } from '@varve/store'

/** One statement and one round trip for each write, unless it logs more than a statement should send. */
export function postgresWrites(dialect: SqlDialect, executor: SqlExecutor, shared: SharedQuery): SqlWrites {
  const queries = writeQueries(dialect)
  const logged = <Args, Row>(
    events: readonly StoredEvent[],
    write: (events: readonly StoredEvent[]) => BoundQuery<Args, Row>,
  ): Promise<Row | undefined> => {
    if (isInParts(events)) return executor.transaction('write', () => inParts(dialect, events, write))
    const { query, args } = write(events)
    return executor.get(query, args)
  }
  return {
    create: ({ run, tags, events, artifacts }) =>
      logged(events, (given) => ({
        query: queries.create[formOf(given)]({ refers: artifacts.length > 0 }),
        args: { ...run, ...eventArgs(given), tagList: tags, artifactList: artifacts },
      })),
    append: ({ run, shape, events, posts, artifacts }) =>
      logged(events, (given) => ({
        query: queries.append[formOf(given)](shape),
        args: { ...run, ...eventArgs(given), ...postColumns(posts), artifactList: artifacts },
      })),
    saveSnapshot: async (snapshot) => (await executor.run(queries.saveSnapshot, snapshot)) > 0,
    pruneSnapshots: (pruning) => executor.run(queries.pruneSnapshots, pruning),
    shared: sharedCommits(executor, shared),
    post: (args) => executor.get(queries.post, args),
    claim: async (args) => inTurns(await executor.all(queries.claim, args)),
    putArtifact: async (args) => (await executor.get(queries.putArtifact, args))?.sound === 1,
    keepEntry: (args, artifacts) => executor.get(queries.keepEntry, { ...args, artifactList: artifacts }),
  }
}

/** The statements that are kept as functions: those that running and finishing runs ask for all the time. */
export function storedWrites(dialect: SqlDialect): readonly Query<never, unknown>[] {
  const { create, append, post, claim } = writeQueries(dialect)
  const flags = [false, true]
  const shapes = flags.flatMap((ended) =>
    flags.flatMap((setsOwes) =>
      flags.flatMap((progressed) =>
        flags.map((settles): AppendShape => ({ ...usual, ended, setsOwes, progressed, settles })),
      ),
    ),
  )
  const resting = flags.flatMap((progressed) =>
    flags.map((settles): AppendShape => ({ ...usual, progressed, settles, releases: true })),
  )
  const appends = [...shapes, ...resting]
  const writes = eventsForms.flatMap((form) => [create[form]({ refers: false }), ...appends.map(append[form])])
  return [...writes, post, claim]
}

/** What most appends have no part of. */
const usual = {
  ...{ ended: false, setsOwes: false, progressed: false, setsVersion: false },
  ...{ settles: false, refers: false, releases: false },
}

function isUsual({ setsVersion, refers, releases, ended, setsOwes }: AppendShape): boolean {
  return !setsVersion && !refers && !(releases && (ended || setsOwes))
}

interface PostLists {
  readonly ids: readonly string[]
  /** Empty for none: what an unquoted null in an array is depends on a setting of the server, `array_nulls`. */
  readonly errors: readonly string[]
}

function postColumns(posts: readonly SettledPost[]): PostLists {
  return { ids: posts.map(({ id }) => id), errors: posts.map(({ error }) => error ?? '') }
}

/** Artifacts, for `unnest`. */
interface ArtifactList {
  readonly artifactList: readonly string[]
}

type Create = CreateArgs & EventArgs & ArtifactList & { readonly tagList: readonly string[] }
type Append = AppendArgs & EventArgs & PostLists & ArtifactList

/** A statement for each form of its events. */
type PerForm<T> = Readonly<Record<EventsForm, T>>

interface WriteQueries {
  readonly create: PerForm<(shape: { readonly refers: boolean }) => Query<Create, CreatedRecord>>
  readonly append: PerForm<(shape: AppendShape) => Query<Append, AppendedRecord>>
  readonly saveSnapshot: Query<Snapshot, unknown>
  readonly pruneSnapshots: Query<PruneArgs, unknown>
  readonly post: Query<PostArgs, CountedPost>
  readonly claim: Query<ClaimArgs, PlacedRecord>
  readonly putArtifact: Query<PutArgs, { readonly sound: number }>
  readonly keepEntry: Query<EntryArgs & ArtifactList, KeptEntry>
}

const writeQueries = perDialect((dialect): WriteQueries => {
  return {
    create: perForm((form) => createQuery(dialect, form)),
    append: perForm((form) => appendQuery(dialect, form)),
    saveSnapshot: saveQuery(dialect),
    pruneSnapshots: pruneQuery(dialect),
    post: dialect.stored('post', { leased: 'integer' }, postQuery(dialect)),
    claim: claimQuery(dialect),
    ...contentQueries(dialect),
  }
})

function perForm<T>(make: (form: EventsForm) => T): PerForm<T> {
  return { one: make('one'), two: make('two'), lists: make('lists') }
}

function createQuery(dialect: SqlDialect, form: EventsForm): WriteQueries['create'][EventsForm] {
  const { db } = dialect
  return perShape(({ refers }: { readonly refers: boolean }) => {
    const query = queryCompiler(dialect).write((p: Params<Create>) => {
      const created = db
        .with('changed', (query) => creating(dialect, query, p))
        .with('logged', (query) => logging(query, p, form))
        .with('tagged', (query) =>
          query
            .insertInto('run_tags')
            .columns(['run_id', 'created_at', 'tag'])
            .expression(
              sql`select changed.run_id, changed.created_at, unnest(cast(${p.bare('tagList')} as text[])) from changed`,
            ),
        )
      return (refers ? created.with('referring', (query) => referring(query, p)) : created)
        .selectFrom('changed')
        .selectAll()
    })
    return refers ? query : dialect.stored('create', { ...claimTypes, created_at: 'bigint', claim_at: 'bigint' }, query)
  })
}

function appendQuery(dialect: SqlDialect, form: EventsForm): WriteQueries['append'][EventsForm] {
  return perShape((shape: AppendShape) => {
    const query = queryCompiler(dialect).write((p: Params<Append>) =>
      shape.settles ? appendingAndSettling(dialect, p, shape, form) : appendingAlone(dialect, p, shape, form),
    )
    if (!isUsual(shape)) return query
    return shape.releases
      ? dialect.stored('append', { waiting: 'bigint', due_in: 'bigint' }, query)
      : dialect.storedValue<Append, Pick<AppendedRecord, 'waiting'>>('append', { waiting: 'bigint' }, query)
  })
}

function postQuery(dialect: SqlDialect): WriteQueries['post'] {
  return queryCompiler(dialect).write((p: Params<PostArgs>) =>
    targeting(dialect, p)
      .with('kept', (query) => keeping(query, p))
      .with('counted', (query) => countingPost(query, p).where('run_id', 'in', sql<string>`(select run_id from kept)`))
      .selectFrom('counted')
      .selectAll(),
  )
}

/**
 * First the run's row is locked, then its posts: whoever else writes to the run waits at the row, so `settled` counts what
 * still waits and not what waited when the statement began.
 */
// Without a return type, like the next: it is the query builder's own, which only inference can name.
function appendingAndSettling(dialect: SqlDialect, p: Params<Append>, shape: AppendShape, form: EventsForm) {
  const given = sql<SettledPost>`unnest(cast(${p.bare('ids')} as text[]), cast(${p.bare('errors')} as text[]))`
  const appended = targeting(dialect, p)
    .with('settled', (db) =>
      db
        .selectFrom('target')
        .innerJoin('posts', 'posts.run_id', 'target.run_id')
        .innerJoin(given.as<'given'>(sql`given(id, error)`), 'given.id', 'posts.id')
        .select(['posts.run_id', 'posts.number', sql<string | null>`nullif(given.error, '')`.as('error')])
        .where(sql<boolean>`posts.state = 'waiting'`)
        .forUpdate('posts'),
    )
    .with('changed', (db) => appending(db, p, shape, sql`(select count(*) from settled)`))
    .with('logged', (db) => logging(db, p, form))
    .with('moved', (db) =>
      db
        .updateTable('posts')
        .from(['settled', 'changed'])
        .set({
          state: sql`case when settled.error is null then 'taken' else 'rejected' end`,
          body: sql`case when settled.error is null then '' else posts.body end`,
          error: sql`settled.error`,
        })
        .whereRef('posts.run_id', '=', 'settled.run_id')
        .whereRef('posts.number', '=', 'settled.number'),
    )
  return (shape.refers ? appended.with('referring', (db) => referring(db, p)) : appended)
    .selectFrom('changed')
    .select('changed.waiting')
    .$if(shape.releases, (query) => query.select('changed.due_in'))
}

function appendingAlone({ db }: SqlDialect, p: Params<Append>, shape: AppendShape, form: EventsForm) {
  const appended = db
    .with('changed', (query) => appending(query, p, shape, sql.lit(0)))
    .with('logged', (query) => logging(query, p, form))
  return (shape.refers ? appended.with('referring', (query) => referring(query, p)) : appended)
    .selectFrom('changed')
    .select('changed.waiting')
    .$if(shape.releases, (query) => query.select('changed.due_in'))
}

/** Inserts what the run that `changed` answers refers to from now on. */
function referring<DB extends Schema, Args extends ArtifactList>(db: QueryCreator<DB>, p: Params<Args>) {
  return asSchema(db)
    .insertInto('run_artifacts')
    .columns(['artifact', 'created_at', 'run_id'])
    .expression(
      sql`select unnest(cast(${p.bare('artifactList')} as text[])), changed.created_at, changed.run_id from changed`,
    )
    .onConflict((conflict) => conflict.doNothing())
}

function contentQueries(dialect: SqlDialect): Pick<WriteQueries, 'putArtifact' | 'keepEntry'> {
  const { db } = dialect
  const { write } = queryCompiler(dialect)
  return {
    putArtifact: write((p: Params<PutArgs>) => {
      const isOwn = sql<boolean>`named.upload = ${p.text('upload')}`
      const sound = sql<number>`case when ${isOwn} or ${hasBytes(dialect, p, sql.id('named'))} then 1 else 0 end`
      return db
        .with('named', (query) => naming(query, p))
        .with('kept', (query) =>
          query
            .insertInto('artifact_chunks')
            .columns(['upload', 'number', 'bytes'])
            .expression(sql`select named.upload, 0, ${p.bytes('bytes')} from named where ${isOwn}`),
        )
        .selectFrom('named')
        .select(sound.as('sound'))
    }),
    keepEntry: write((p: Params<EntryArgs & ArtifactList>) =>
      db
        .with('kept', (query) => keepingEntry(query, p))
        .with('referring', (query) =>
          query
            .insertInto('cache_artifacts')
            .columns(['artifact', 'key'])
            .expression(sql`select unnest(cast(${p.bare('artifactList')} as text[])), kept.key from kept`),
        )
        .selectFrom('kept')
        .selectAll(),
    ),
  }
}
