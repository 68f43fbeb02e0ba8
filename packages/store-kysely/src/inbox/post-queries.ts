import { sql, type QueryCreator } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { Params } from '../query.ts'
import { dueSince, hasEnded, isLeased, none, runColumn } from '../runs/run-columns.ts'
import { asSchema, type RunsTable, type Schema } from '../schema.ts'

/** What a post binds. */
export interface PostArgs {
  readonly runId: string
  readonly now: number | null
  readonly id: string
  readonly type: string
  readonly body: string
  readonly maxWaiting: number
}

/** Our tables, and the row of the one run that a statement is about. */
export type WithTarget = Schema & { readonly target: RunsTable }

/** The run's row as `target`, locked where rows are locked one by one. */
export function targeting<Args extends { readonly runId: string }>(
  { db, locksRows }: SqlDialect,
  p: Params<Args>,
): QueryCreator<WithTarget> {
  return db.with('target', (query) => {
    const target = query.selectFrom('runs').selectAll().where('run_id', '=', p.text('runId'))
    return locksRows ? target.forNoKeyUpdate() : target
  })
}

/** Inserts the post with the run's next number; nothing for a duplicate, a full inbox or an ended run. */
// Without a return type, like the next: it is the query builder's own, which only inference can name.
export function keeping(db: QueryCreator<WithTarget>, p: Params<PostArgs>) {
  return db
    .insertInto('posts')
    .columns(['run_id', 'number', 'id', 'type', 'body', 'state', 'posted_at'])
    .expression((query) =>
      query
        .selectFrom('target')
        .select([
          'target.run_id',
          sql<number>`target.posted + 1`.as('number'),
          p.text('id').as('id'),
          p.text('type').as('type'),
          p.text('body').as('body'),
          sql.lit('waiting').as('state'),
          p.now.as('posted_at'),
        ])
        .where(sql<boolean>`not (${hasEnded(sql.ref('target.status'))})`)
        .where('target.waiting', '<', p.int('maxWaiting')),
    )
    .onConflict((conflict) => conflict.columns(['run_id', 'id']).where(notRejected()).doNothing())
    .returning('posts.run_id')
}

/** What is told of a post that was kept: whether somebody drives its run (1). */
export interface CountedPost {
  readonly leased: number
}

/** Counts the post that was kept and makes its run due. */
export function countingPost<DB extends Schema>(db: QueryCreator<DB>, p: Params<PostArgs>) {
  return asSchema(db)
    .updateTable('runs')
    .set({
      waiting: sql`${runColumn('waiting')} + 1`,
      posted: sql`${runColumn('posted')} + 1`,
      wake_at: dueSince(p.now),
      problem: none,
      retry_at: none,
    })
    .returning(sql<number>`case when ${isLeased(p.now)} then 1 else 0 end`.as('leased'))
}

/** The condition of the index that makes ids unique, word for word: without it the index would not be found. */
function notRejected() {
  return sql<boolean>`state <> 'rejected'`
}
