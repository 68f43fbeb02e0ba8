import path from 'node:path'
import type { Store } from '@varve/store'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import Database from 'better-sqlite3'
import pg from 'pg'

/** Where processes share a store, and a ledger of what their handlers did that is no part of it. */
export type Place =
  | { readonly kind: 'postgres'; readonly url: string; readonly schema: string }
  | { readonly kind: 'sqlite'; readonly folder: string }

/** What a handler did outside. */
export interface Effect {
  readonly runId: string
  readonly key: string
  readonly idempotencyKey: string
  readonly attempt: number
  readonly token: number
  /** Id of the process that did it. */
  readonly pid: number
}

/** An effect as it was written down. */
export interface WrittenEffect extends Effect {
  /** Unix milliseconds, by the clock of the place. */
  readonly at: number
}

/** Every effect is a row of its own: one that happens twice is there twice. */
export interface Ledger {
  write(effect: Effect): Promise<void>
  /** All effects in the order in which they were written. */
  read(): Promise<readonly WrittenEffect[]>
  close(): Promise<void>
}

/** Opens the store of a place. */
export async function openStore(place: Place): Promise<Store> {
  if (place.kind === 'sqlite') return sqliteStore({ path: path.join(place.folder, 'runs.sqlite') })
  return postgresStore({ url: place.url }, { schema: place.schema })
}

/** Opens the ledger of a place, and makes it where it is not there yet. */
export async function openLedger(place: Place): Promise<Ledger> {
  return place.kind === 'sqlite' ? sqliteLedger(place.folder) : postgresLedger(place)
}

const COLUMNS = '"runId", "key", "idempotencyKey", "attempt", "token", "pid"'

function valuesOf({ runId, key, idempotencyKey, attempt, token, pid }: Effect): unknown[] {
  return [runId, key, idempotencyKey, attempt, token, pid]
}

async function postgresLedger({ url, schema }: Place & { readonly kind: 'postgres' }): Promise<Ledger> {
  const pool = new pg.Pool({ connectionString: url, max: 4 })
  pool.on('error', () => undefined)
  const table = `"${schema}_ledger"."effects"`
  return {
    write: async (effect) => {
      await pool.query(`insert into ${table} (${COLUMNS}) values ($1, $2, $3, $4, $5, $6)`, valuesOf(effect))
    },
    read: async () => {
      const { rows } = await pool.query<WrittenEffect>(
        `select ${COLUMNS}, (extract(epoch from "at") * 1000)::float8 as "at" from ${table} order by "n"`,
      )
      return rows
    },
    close: () => pool.end(),
  }
}

/** Makes the ledger of a place on Postgres. */
export async function createPostgresLedger({ url, schema }: Place & { readonly kind: 'postgres' }): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`create schema "${schema}_ledger"`)
  await client.query(`create table "${schema}_ledger"."effects" ("n" serial primary key, "runId" text, "key" text,
    "idempotencyKey" text, "attempt" int, "token" float8, "pid" int, "at" timestamptz default clock_timestamp())`)
  await client.end()
}

function sqliteLedger(folder: string): Ledger {
  const database = new Database(path.join(folder, 'ledger.sqlite'), { timeout: 10_000 })
  database.pragma('journal_mode = wal')
  database.pragma('synchronous = off')
  database.exec(`create table if not exists effects ("n" integer primary key, "runId" text, "key" text,
    "idempotencyKey" text, "attempt" int, "token" int, "pid" int, "at" int)`)
  const insert = database.prepare(`insert into effects (${COLUMNS}, "at") values (?, ?, ?, ?, ?, ?, ?)`)
  const select = database.prepare<unknown[], WrittenEffect>(`select ${COLUMNS}, "at" from effects order by "n"`)
  return {
    write: async (effect) => {
      insert.run([...valuesOf(effect), Date.now()])
    },
    read: async () => select.all(),
    close: async () => {
      database.close()
    },
  }
}
