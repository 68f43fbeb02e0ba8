import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import pg from 'pg'

/** Opens stores for scenarios: one database for many of them, told apart by their run ids' stores being fresh. */
export interface StoreUnderTest {
  readonly store: Store
  readonly close: () => Promise<void>
}

/** A fresh, empty store by the scenario's clock. */
export type OpenStore = (now: () => number) => Promise<StoreUnderTest>

/** A store in memory. */
export const openMemory: OpenStore = (now) => {
  const store = memoryStore({ now })
  return Promise.resolve({ store, close: async () => store[Symbol.asyncDispose]() })
}

/** A SQLite file in a folder of its own. */
export const openSqlite: OpenStore = async (now) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'varve-seams-'))
  const store = await sqliteStore({ path: path.join(folder, 'runs.db') }, { now, synchronous: 'NORMAL' })
  const close = async (): Promise<void> => {
    await store[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  }
  return { store, close }
}

/** A schema of its own on a Postgres server. */
export function openPostgres(url: string): OpenStore {
  return async (now) => {
    const schema = `seams_${crypto.randomUUID().replaceAll('-', '')}`
    const pool = new pg.Pool({ connectionString: url, max: 4 })
    const store = await postgresStore({ pool }, { now, schema })
    const close = async (): Promise<void> => {
      await store[Symbol.asyncDispose]()
      await pool.query(`drop schema "${schema}" cascade`)
      await pool.end()
    }
    return { store, close }
  }
}
