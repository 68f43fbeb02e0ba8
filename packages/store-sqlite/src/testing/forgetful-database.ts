import type { SqliteDatabase } from '../database.ts'
import { observed } from './observed-database.ts'

/** A database whose commit happens, and then throws, when `forgets` says so: an answer that was lost. */
export function forgetful(database: SqliteDatabase, forgets: () => boolean): SqliteDatabase {
  return observed(database, (sql, execute) => {
    const result = execute()
    if (sql === 'commit' && forgets()) throw new Error('the disk fell silent')
    return result
  })
}
