import { sql, type RawBuilder } from 'kysely'
import { perDialect, queryCompiler, type Params, type Query, type StoredColumns } from '../query.ts'
import type { PostsTable, RunsTable } from '../schema.ts'

/** Names a post by its id. */
export interface PostIdArgs {
  readonly runId: string
  readonly id: string
}

/** A page of posts behind a number. */
export interface RejectedArgs {
  readonly runId: string
  readonly after: number
  readonly limit: number
}

/** A post's row as it is read. */
export type PostRecord = Pick<PostsTable, 'number' | 'id' | 'type' | 'body' | 'error' | 'posted_at'>

/** What decides about a post: the row, and how many posts of its id are kept. */
export type ReceiverRecord = Pick<RunsTable, 'status' | 'waiting'> & { readonly known: number }

/** The queries on the inboxes. */
export interface InboxQueries {
  readonly receiver: Query<PostIdArgs, ReceiverRecord>
  readonly waiting: Query<{ readonly runId: string; readonly limit: number }, PostRecord>
  readonly rejected: Query<RejectedArgs, PostRecord>
}

const columns: StoredColumns<PostRecord> = {
  number: 'bigint',
  id: 'text',
  type: 'text',
  body: 'text',
  error: 'text',
  posted_at: 'bigint',
}

/** Compiles the queries of the inbox. States stand as literals, so that the partial indexes are found. */
export const inboxQueries = perDialect((dialect): InboxQueries => {
  const { db } = dialect
  const { read } = queryCompiler(dialect)
  const posts = db.selectFrom('posts').select(['number', 'id', 'type', 'body', 'error', 'posted_at']).orderBy('number')
  return {
    receiver: read((p: Params<PostIdArgs>) =>
      db
        .selectFrom('runs')
        .select(['status', 'waiting'])
        .select((run) =>
          run
            .selectFrom('posts')
            .select((post) => post.fn.countAll<number>().as('count'))
            .where('posts.run_id', '=', p.text('runId'))
            .where('posts.id', '=', p.text('id'))
            .where(sql<boolean>`posts.state <> 'rejected'`)
            .as('known'),
        )
        .$castTo<ReceiverRecord>()
        .where('run_id', '=', p.text('runId')),
    ),
    waiting: dialect.stored(
      'read_posts',
      columns,
      read((p: Params<{ readonly runId: string; readonly limit: number }>) =>
        posts.where('run_id', '=', p.text('runId')).where(isIn('waiting')).limit(p.int('limit')),
      ),
    ),
    rejected: read((p: Params<RejectedArgs>) =>
      posts
        .where('run_id', '=', p.text('runId'))
        .where('number', '>', p.int('after'))
        .where(isIn('rejected'))
        .limit(p.int('limit')),
    ),
  }
})

/** A state as a literal. */
function isIn(state: PostsTable['state']): RawBuilder<boolean> {
  return sql`state = ${sql.lit(state)}`
}
