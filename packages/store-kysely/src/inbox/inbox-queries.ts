import { sql, type RawBuilder } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import { perDialect, queryCompiler, type Params, type Query, type StoredColumns } from '../query.ts'
import type { PostsTable, RunsTable } from '../schema.ts'

/** Names a post by its id. */
export interface PostIdArgs {
  readonly runId: string
  readonly id: string
}

/**
 * Posts behind a number: the first two, and then as many as those before have at most `bytes`; `limit` at most. So there is one
 * more than makes a page, unless that is the last one.
 */
export interface PostPageArgs {
  readonly runId: string
  readonly after: number
  readonly limit: number
  readonly bytes: number
}

/** A post's row as it is read. */
export type PostRecord = Pick<PostsTable, 'number' | 'id' | 'type' | 'body' | 'error' | 'posted_at'>

/** What decides about a post: the row, and how many posts of its id are kept. */
export type ReceiverRecord = Pick<RunsTable, 'status' | 'waiting'> & { readonly known: number }

/** The queries on the inboxes. */
export interface InboxQueries {
  readonly receiver: Query<PostIdArgs, ReceiverRecord>
  readonly waiting: Query<PostPageArgs, PostRecord>
  readonly rejected: Query<PostPageArgs, PostRecord>
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
  const page = (state: PostsTable['state']) => read((p: Params<PostPageArgs>) => pageQuery(dialect, state, p))
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
    waiting: dialect.stored('read_posts', columns, page('waiting')),
    rejected: page('rejected'),
  }
})

/** Two looks at the index: what does not belong to the page is measured, and not read. */
function pageQuery({ db }: SqlDialect, state: PostsTable['state'], p: Params<PostPageArgs>) {
  const posts = db
    .selectFrom('posts')
    .where('run_id', '=', p.text('runId'))
    .where('number', '>', p.int('after'))
    .where(isIn(state))
    .orderBy('number')
  const sizes = posts.select(['number', sql<number>`octet_length(body)`.as('size')]).limit(p.int('limit'))
  const before = sql<number>`sum(size) over (order by number rows between unbounded preceding and 1 preceding)`
  const place = sql<number>`row_number() over (order by number)`
  const sums = db.selectFrom(sizes.as('sizes')).select(['number', before.as('before'), place.as('place')])
  // Behind the first there is one more in any case, which tells that there is a next page.
  const last = db
    .selectFrom(sums.as('sums'))
    .select(sql<number>`max(sums.number)`.as('last'))
    .where(sql<boolean>`sums.place <= 2 or sums.before <= ${p.int('bytes')}`)
  return posts.select(['number', 'id', 'type', 'body', 'error', 'posted_at']).where('number', '<=', last)
}

/** A state as a literal. */
function isIn(state: PostsTable['state']): RawBuilder<boolean> {
  return sql`state = ${sql.lit(state)}`
}
