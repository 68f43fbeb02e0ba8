import pg from 'pg'

/** A pool that counts what goes over its connections. */
export interface CountingPool {
  readonly pool: pg.Pool
  /** Statements since it was asked last; each is a round trip. */
  readonly take: () => number
}

/**
 * Without what tells others of a commit: nobody waits for it, and several commits share it. Nor the look at its inbox of a run
 * that is driven when its process begins to hear of others, which a short one may or may not live to see.
 */
export function countingPool(connectionString: string): CountingPool {
  const pool = new pg.Pool({ connectionString })
  let statements = 0
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown
    const counted = (...args: readonly [pg.QueryConfig, ...unknown[]]): unknown => {
      if (!/pg_notify|"read_posts_|^(un)?listen /i.test(args[0].text)) statements++
      return query(...args)
    }
    Object.assign(client, { query: counted })
  })
  return {
    pool,
    take: () => {
      const taken = statements
      statements = 0
      return taken
    },
  }
}
