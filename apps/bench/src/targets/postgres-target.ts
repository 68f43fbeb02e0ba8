import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { startPostgres } from '../../../../test/postgres/server.ts'
import { openStore } from './store-location.ts'
import { rowBody, type Target } from './target.ts'

/**
 * The store on Postgres, next to inserting rows into a table of the same database. The server is the one that
 * `DATABASE_URL` names, else one of our own that flushes every commit. Takes a schema of its own, and drops it.
 */
export async function postgresTarget(): Promise<Target> {
  const given = process.env['DATABASE_URL'] ?? ''
  const server = given === '' ? await startPostgres({ durable: true }) : undefined
  const url = server?.url ?? given
  const schema = `varve_bench_${randomUUID().replaceAll('-', '')}`
  const raw = new pg.Client({ connectionString: url })
  await raw.connect()
  const location = { kind: 'postgres', url, schema } as const
  const store = await openStore(location)
  // Beside the store's schema, which holds the store and nothing else.
  await raw.query(
    `create schema ${schema}_raw create table rows (seq bigint generated always as identity primary key, body text)`,
  )
  const insert = `insert into ${schema}_raw.rows (body) values ($1)`
  return {
    name: 'postgres',
    store,
    location,
    commitRows: async (rows) => {
      for (let row = 0; row < rows; row++) await raw.query(insert, [rowBody])
    },
    close: async () => {
      await store[Symbol.asyncDispose]()
      await raw.query(`drop schema if exists ${schema}, ${schema}_raw cascade`)
      await raw.end()
      await server?.stop()
    },
  }
}
