import type { PostgresPool, PostgresResult } from '../pool.ts'

/** Stands around the execution of every statement of one connection: sees its text, and executes it or not. */
export type Observer = (text: string, execute: () => Promise<PostgresResult>) => Promise<PostgresResult>

/** A pool whose statements are executed by observers, one for each time that a connection is taken. */
export function observed(pool: PostgresPool, observer: () => Observer): PostgresPool {
  return {
    connect: async () => {
      const client = await pool.connect()
      const observe = observer()
      return {
        query: async (query) => observe(query.text, async () => client.query(query)),
        on: client.on.bind(client),
        removeListener: client.removeListener.bind(client),
        release: (destroy) => client.release(destroy),
      }
    },
  }
}
