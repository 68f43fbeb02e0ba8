import { sql, type QueryCreator } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import { asSchema, type CacheEntriesTable, type Schema } from '../schema.ts'

/** Names one entry. */
export interface KeyArgs {
  readonly key: string
}

/** What an entry binds. */
export interface EntryArgs extends KeyArgs {
  readonly now: number | null
  readonly group: string
  readonly artifacts: string
  readonly body: string
}

/** Which page of which entries. */
export interface CacheListArgs {
  readonly limit: number
  readonly createdBefore: number
  readonly group?: string
  readonly afterAt?: number
  readonly afterKey?: string
}

/** The queries on the cache. */
export interface CacheQueries {
  readonly find: Query<KeyArgs, CacheEntriesTable>
  readonly delete: Query<KeyArgs, unknown>
  readonly deleteReferences: Query<KeyArgs, unknown>
}

/** Compiles the queries of the cache store. */
export const cacheQueries = perDialect((dialect): CacheQueries => {
  const { db } = dialect
  const { read, write } = queryCompiler(dialect)
  return {
    find: read((p: Params<KeyArgs>) => db.selectFrom('cache_entries').selectAll().where('key', '=', p.text('key'))),
    delete: write((p: Params<KeyArgs>) => db.deleteFrom('cache_entries').where('key', '=', p.text('key'))),
    deleteReferences: write((p: Params<KeyArgs>) => db.deleteFrom('cache_artifacts').where('key', '=', p.text('key'))),
  }
})

/** Compiles the list for arguments of this shape: newest first. */
export function cacheListQuery(dialect: SqlDialect, shape: CacheListArgs): Query<CacheListArgs, CacheEntriesTable> {
  return queryCompiler(dialect).read((p: Params<Required<CacheListArgs>>) => {
    let query = dialect.db
      .selectFrom('cache_entries')
      .selectAll()
      .where('created_at', '<', p.int('createdBefore'))
      .orderBy('created_at', 'desc')
      .orderBy('key', 'desc')
    if (shape.group !== undefined) query = query.where('entry_group', '=', p.text('group'))
    if (shape.afterAt !== undefined) {
      query = query.where(sql<boolean>`(created_at, key) < (${p.int('afterAt')}, ${p.text('afterKey')})`)
    }
    return query.limit(p.int('limit'))
  }) as Query<CacheListArgs, CacheEntriesTable>
}

/** Keeps an entry; inserts nothing where its key has one. */
// Without a return type: it is the query builder's own, which only inference can name.
export function keepingEntry<DB extends Schema, Args extends EntryArgs>(db: QueryCreator<DB>, p: Params<Args>) {
  return asSchema(db)
    .insertInto('cache_entries')
    .values({
      key: p.text('key'),
      entry_group: p.text('group'),
      artifacts: p.text('artifacts'),
      body: p.text('body'),
      created_at: p.now,
    })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .returning(['key', 'created_at'])
}
