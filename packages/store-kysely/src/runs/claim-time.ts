import { sql, type RawBuilder } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import { runColumn } from './run-columns.ts'

type Column = 'problem' | 'retry_at' | 'wake_at' | 'lease_until'

/**
 * When a claimer may take a run if nothing else happens to it: the last of the times before which it may not; null when one
 * of them never comes. The index of due runs holds this value. It is no column: the server would read what a computed column
 * is computed from anew with every statement that updates a run, which takes longer than to update its row.
 */
export function claimAt(
  { greatest }: Pick<SqlDialect, 'greatest'>,
  column: (name: Column) => RawBuilder<unknown> = runColumn,
): RawBuilder<number | null> {
  const times = [column('wake_at'), sql`coalesce(${column('lease_until')}, 0)`, sql`coalesce(${column('retry_at')}, 0)`]
  return sql`(case when ${column('problem')} is null or ${column('retry_at')} is not null then
    case when ${column('wake_at')} is not null then ${greatest(times)} end end)`
}
