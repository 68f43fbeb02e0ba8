import { sql, type RawBuilder } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { Params } from '../query.ts'
import { asSchema } from '../schema.ts'
import { claimAt } from './claim-time.ts'
import { none, runColumn } from './run-columns.ts'

/** What a claimer drives, of which queues; the lists come from {@link SqlDialect.list}. */
export interface DrivenArgs {
  readonly workflows: unknown
  readonly versions: unknown
  readonly formats: unknown
  readonly queues: unknown
}

/** True for runs that the claimer can drive. */
export function isDriven<Args extends Omit<DrivenArgs, 'queues'>>(p: Params<Args>): RawBuilder<boolean> {
  const isOf = p.pairIn([runColumn('workflow'), runColumn('version')], ['workflows', 'versions'])
  return sql`(${p.intIn(runColumn('format'), 'formats')} and ${isOf})`
}

/** True for the runs of one level: of one queue and one priority, which the index of due runs keeps together. */
export const isOfLevel: RawBuilder<boolean> = sql`(${runColumn('queue')} = levels.queue
  and ${runColumn('priority')} = levels.priority)`

/**
 * The levels of the given queues in which runs are or will be due, each found by one step in the index from the one above
 * it; so it does not matter how many runs a level has. Each queue ends with a level whose priority is null.
 */
// Without a return type: it is the query builder's own, which only inference can name.
export function withLevels<Args extends DrivenArgs>(dialect: SqlDialect, p: Params<Args>) {
  return dialect.db.withRecursive('levels(queue, place, priority)', (recursive) => {
    const highest = (queue: RawBuilder<string>) =>
      asSchema(recursive)
        .selectFrom('runs')
        .select('runs.priority')
        .where('runs.queue', '=', queue)
        .where(claimAt(dialect), 'is not', none)
        .orderBy('runs.priority', 'desc')
        .limit(sql.lit(1))
    const below = highest(sql.ref('levels.queue')).where('runs.priority', '<', sql.ref<number>('levels.priority'))
    return recursive
      .selectFrom(dialect.rows(p.bare('queues')))
      .select(['given.value as queue', 'given.place', highest(sql.ref('given.value')).as('priority')])
      .unionAll(
        recursive
          .selectFrom('levels')
          .select(['levels.queue', 'levels.place', below.as('priority')])
          .where('levels.priority', 'is not', none),
      )
  })
}
