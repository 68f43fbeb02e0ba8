import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Store } from '@varve/store'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import pg from 'pg'

/** Opens a fresh, empty store by the given clock. What it leaves behind goes with it when it is disposed of. */
export type OpenStore = (options: { readonly now: () => number }) => Promise<Store>

/** A SQLite file in a folder of its own. */
export const openSqlite: OpenStore = async ({ now }) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'varve-seams-'))
  const store = await sqliteStore({ path: path.join(folder, 'runs.db') }, { now, synchronous: 'NORMAL' })
  return closing(store, async () => {
    await store[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })
}

/** A schema of its own on a Postgres server, emptied after each store. */
export function openPostgres(url: string): OpenStore & AsyncDisposable {
  const schema = `seams_${crypto.randomUUID().replaceAll('-', '')}`
  const pool = new pg.Pool({ connectionString: url, max: 4 })
  const open: OpenStore = async ({ now }) => {
    const store = await postgresStore({ pool }, { now, schema, notifications: false })
    return closing(store, async () => {
      await store[Symbol.asyncDispose]()
      await empty(pool, schema)
    })
  }
  return Object.assign(open, {
    [Symbol.asyncDispose]: async () => {
      await pool.query(`drop schema if exists "${schema}" cascade`)
      await pool.end()
    },
  })
}

/** Deleting a few rows takes less time than making the schema anew. */
async function empty(pool: pg.Pool, schema: string): Promise<void> {
  const found = 'select tablename as name from pg_tables where schemaname = $1 and tablename <> $2'
  const { rows } = await pool.query<{ name: string }>(found, [schema, 'varve_schema'])
  await pool.query(rows.map(({ name }) => `delete from "${schema}"."${name}"`).join('; '))
}

function closing(store: Store, close: () => Promise<void>): Store {
  return { ...store, [Symbol.asyncDispose]: close }
}
