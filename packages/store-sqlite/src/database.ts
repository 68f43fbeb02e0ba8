import { checkNames, checkOptions, shown, StoreError, type NamesOf } from '@varve/store'
import type SQLite from 'better-sqlite3'
import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'

/** What the store needs of a better-sqlite3 database. */
export interface SqliteDatabase {
  /** True for a database that lives in memory alone. */
  readonly memory: boolean
  readonly inTransaction: boolean
  prepare(sql: string): SqliteStatement
  close(): unknown
}

/** What the store needs of a prepared statement. */
export interface SqliteStatement {
  run(values: unknown[]): { readonly changes: number }
  get(values: unknown[]): unknown
  all(values: unknown[]): unknown[]
  /** Whether integers are answered as BigInts. */
  safeIntegers?(toggle: boolean): unknown
}

/** Where the store is: a file, or a connection that you opened. */
export type SqliteLocation =
  /** Path of the file, or `:memory:`; a text without NUL, not only of blanks, and no `file:` URI. */
  | { readonly path: string }
  /**
   * A better-sqlite3 database that nobody else uses from now on: the store sets its journal mode, its `synchronous` and its
   * busy timeout, and begins and ends transactions on it. You close it, after the store.
   */
  | { readonly database: SqliteDatabase }

const OF_LOCATION: NamesOf<SqliteLocation> = { path: true, database: true }

/** @throws StoreError `INVALID_ARGUMENT` for what names no file, and for what is no database. */
export function checkLocation(location: SqliteLocation): void {
  checkOptions('where a SQLite store is', location)
  checkNames('where a SQLite store is', location, OF_LOCATION)
  const { database, path: file }: { readonly database?: Partial<SqliteDatabase>; readonly path?: unknown } = location
  if ('database' in location) {
    if (typeof database?.prepare === 'function') return
    throw new StoreError('INVALID_ARGUMENT', `database must be one of better-sqlite3, got ${shown(database)}`)
  }
  // The driver takes no URIs: it would make a file of that name, also where a database in memory was meant.
  if (typeof file === 'string' && file.startsWith('file:')) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `path must be a path, not a URI, got ${shown(file)}; fileURLToPath makes one of it`,
    )
  }
  // It would open the file that is named before a NUL, and for blanks alone one that it deletes in the end.
  if (typeof file === 'string' && file.trim() !== '' && !file.includes('\0')) return
  throw new StoreError('INVALID_ARGUMENT', `path must name a file, or be :memory:, got ${shown(file)}`)
}

/**
 * Opens a file; creates it, and the folders above it, when `create` is true.
 *
 * @throws StoreError `SCHEMA_MISSING` when there is no file and none may be created, `STORE_FAILED` when the driver cannot
 * be loaded here.
 */
export async function openDatabase(file: string, create: boolean): Promise<SqliteDatabase> {
  const Database = await loadDriver()
  if (file !== ':memory:') {
    if (create) mkdirSync(path.dirname(file), { recursive: true })
    else if (!existsSync(file)) {
      throw new StoreError(
        'SCHEMA_MISSING',
        `there is no file ${file}; migrate it first, or open it with migrate: true`,
      )
    }
  }
  return new Database(file, { timeout: 0 })
}

async function loadDriver(): Promise<typeof SQLite> {
  // better-sqlite3 is built for Node-API 10 and ends the process without a word on anything older.
  if (Number(process.versions['napi']) < 10) {
    throw new StoreError('STORE_FAILED', `better-sqlite3 needs Node 22.14 or newer, this is ${process.versions.node}`)
  }
  try {
    return (await import('better-sqlite3')).default
  } catch (cause) {
    throw new StoreError('STORE_FAILED', 'better-sqlite3 cannot be loaded; install it beside this package', { cause })
  }
}
