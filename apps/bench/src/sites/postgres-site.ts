import type { Store } from '@varve/store'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { startPostgres } from '../../../../test/postgres/server.ts'
import { postgresDatabase } from '../plain/postgres-database.ts'
import { cpuClock, parentOf, type CpuClock } from '../rounds/cpu-time.ts'
import { rowBody, type Site } from './site.ts'
import { openStore } from './store-location.ts'

/**
 * The store on Postgres, next to tables of the same database. The server is the one that `DATABASE_URL` names, else one of
 * our own that flushes every commit. Takes schemas of its own, and drops them.
 *
 * @param preload - a library for a server of our own, in any case.
 */
export async function postgresSite(preload?: string): Promise<Site> {
  const given = preload === undefined ? (process.env['DATABASE_URL'] ?? '') : ''
  const server =
    given === '' ? await startPostgres({ durable: true, ...(preload !== undefined && { preload }) }) : undefined
  const url = server?.url ?? given
  const schema = `varve_bench_${randomUUID().replaceAll('-', '')}`
  const raw = new pg.Client({ connectionString: url })
  await raw.connect()
  const location = { kind: 'postgres', url, schema } as const
  const store = await openStore(location)
  const others: Store[] = []
  // Beside the store's schema, which holds the store and nothing else.
  const plainLocation = { ...location, schema: `${schema}_plain` }
  const plain = await postgresDatabase(url, plainLocation.schema)
  await raw.query(
    `create schema ${schema}_raw create table rows (seq bigint generated always as identity primary key, body text)`,
  )
  const insert = { name: 'insert', text: `insert into ${schema}_raw.rows (body) values ($1)`, values: [rowBody] }
  return {
    ...{ store, plain, location, plainLocation, cpuMs: await serverClock(raw) },
    commitRows: async (rows) => {
      for (let row = 0; row < rows; row++) await raw.query(insert)
    },
    another: async () => {
      const more = await openStore({ ...location, schema: `${schema}_${others.length + 1}` })
      others.push(more)
      return more
    },
    // Until autovacuum comes by, the planner knows nothing of a table that was just filled.
    settle: async () => {
      await raw.query('analyze')
    },
    close: async () => {
      for (const [place, each] of others.entries()) {
        await each[Symbol.asyncDispose]()
        await raw.query(`drop schema if exists ${schema}_${place + 1} cascade`)
      }
      await store[Symbol.asyncDispose]()
      await plain.close()
      await raw.query(`drop schema if exists ${schema}, ${schema}_plain, ${schema}_raw cascade`)
      await raw.end()
      await server?.stop()
    },
  }
}

/** Counts the server's processes where they are on this machine: the parent of whoever serves us has started them all. */
async function serverClock(client: pg.Client): Promise<CpuClock> {
  const { rows } = await client.query<{ readonly pid: number }>('select pg_backend_pid() as pid')
  const pid = rows[0]?.pid
  return cpuClock(pid === undefined ? undefined : parentOf(pid, 'postgres'))
}
