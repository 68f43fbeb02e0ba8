import type { PostgresPool } from '../pool.ts'
import { observed } from './observed-pool.ts'

/** A pool on whose connections the answer to a commit gets lost, when `forgets` says so. */
export function forgetful(pool: PostgresPool, forgets: () => boolean): PostgresPool {
  return observed(pool, () => {
    let inTransaction = false
    return async (text, execute) => {
      const result = await execute()
      if (text.startsWith('begin')) inTransaction = true
      const commits = inTransaction
        ? text === 'commit'
        : /^(insert|update|delete)|^with .*\b(insert|update|delete) /s.test(text) ||
          /^select (\* from )?"\w+"\."(?!read_)/.test(text)
      if (commits && forgets()) throw new Error('Connection terminated unexpectedly')
      return result
    }
  })
}
