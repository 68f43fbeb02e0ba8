import {
  checkedClock,
  checkNames,
  checkOneOf,
  checkOptions,
  checkWhole,
  isFrom,
  shown,
  StoreError,
  type NamesOf,
  type Store,
} from '@varve/store'
import { checkSchema, migrateSchema, sqliteDialect, sqlStore, type Query, type SqlDialect } from '@varve/store-kysely'
import { fileChanges, noOthers } from './file-changes.ts'
import { checkLocation, openDatabase, type SqliteDatabase, type SqliteLocation } from './database.ts'
import { sqliteError } from './sqlite-error.ts'
import { SqliteExecutor } from './sqlite-executor.ts'

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions {
  /** The store's clock, whole Unix milliseconds. Default `Date.now`. */
  readonly now?: () => number
  /** Creates the file and brings its schema up to date. Default true; with false a missing schema is `SCHEMA_MISSING`. */
  readonly migrate?: boolean
  /**
   * What a commit survives. `FULL`, the default: a power failure. `NORMAL`: the end of the process, but a power failure may
   * take back the last commits, after what they allowed has been done.
   */
  readonly synchronous?: 'FULL' | 'NORMAL'
  /** How long a call waits for other processes to let go of the file before it is `STORE_BUSY`. Default 10,000 ms. */
  readonly busyTimeoutMs?: number
  /**
   * How often the file is looked at for commits of other processes and handles, in milliseconds, while somebody subscribes
   * to notifications; a whole number of at least 5. Default 50. It is looked at sooner when the system tells of a write, as
   * Linux does. Commits of this store are told at once.
   */
  readonly pollMs?: number
  /** Writes of different runs that are in flight together share a commit, and each fails by itself. Default true. */
  readonly groupCommit?: boolean
}

const OF_STORE: NamesOf<SqliteStoreOptions> = {
  ...{ now: true, migrate: true, synchronous: true, busyTimeoutMs: true, pollMs: true, groupCommit: true },
}

/**
 * A store in one SQLite file: for one machine, and for as many of its processes as you like.
 *
 * Opening creates the file, the folders above it and the schema. Disposal closes the file, unless you passed a database.
 *
 * @throws StoreError `NOT_A_STORE` for a file that is not a database, or is somebody else's; `NEWER_SCHEMA` when a later
 * release has migrated it; `SCHEMA_MISSING`; `STORE_UNREACHABLE` when the file cannot be opened; `STORE_BUSY`;
 * `INVALID_ARGUMENT` for a location or options that are none, also for an option that there is not. In all these cases nothing was written.
 *
 * @example
 * ```ts
 * await using store = await sqliteStore({ path: 'data/runs.sqlite' })
 * ```
 */
export async function sqliteStore(location: SqliteLocation, options: SqliteStoreOptions = {}): Promise<Store> {
  checkOptions('the options of a SQLite store', options)
  checkNames('a SQLite store', options, OF_STORE)
  const { now = Date.now, migrate = true, synchronous = 'FULL', pollMs = 50, groupCommit = true } = options
  const clock = checkedClock(now)
  checkWhole('pollMs', pollMs, 5)
  checkOneOf('synchronous', synchronous, ['FULL', 'NORMAL'])
  checkOneOf('migrate', migrate, [true, false])
  checkOneOf('groupCommit', groupCommit, [true, false])
  const { database, executor, dialect, close } = await open(location, migrate, options.busyTimeoutMs)
  try {
    await (migrate ? migrateSchema(executor, dialect) : checkSchema(executor, dialect))
    // Only now that the file is known to be ours: the journal mode is written into it.
    await executor.setJournal(synchronous)
    await executor.keepToFile()
  } catch (error) {
    await close()
    throw error
  }
  const isFile = !database.memory
  const changes = isFile ? fileChanges(executor, pollMs) : noOthers
  const capabilities = { durable: isFile, shared: isFile }
  return sqlStore({ executor, dialect, capabilities, changes, groupCommit, now: clock, close })
}

/**
 * Creates the file or brings its schema up to date, and does nothing where it is. For programs that open their stores with
 * `migrate: false`.
 *
 * @throws StoreError as {@link sqliteStore} does.
 */
export async function migrateSqlite(location: SqliteLocation): Promise<void> {
  const { executor, dialect, close } = await open(location, true)
  try {
    await migrateSchema(executor, dialect)
  } finally {
    await close()
  }
}

interface Opened {
  readonly database: SqliteDatabase
  readonly executor: SqliteExecutor
  readonly dialect: SqlDialect
  readonly close: () => Promise<void>
}

async function open(location: SqliteLocation, create: boolean, busyTimeoutMs = 10_000): Promise<Opened> {
  checkLocation(location)
  if (!isFrom(0, busyTimeoutMs)) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `busyTimeoutMs must be a number of at least 0, got ${shown(busyTimeoutMs)}`,
    )
  }
  try {
    const database = 'database' in location ? location.database : await openDatabase(location.path, create)
    const executor = new SqliteExecutor(database, busyTimeoutMs)
    const close = async (): Promise<void> => {
      executor.close()
      if (!('database' in location)) database.close()
    }
    // The driver's own waiting would stop the event loop; the executor waits instead.
    if ('database' in location) await executor.run(pragma('busy_timeout = 0'), {})
    return { database, executor, dialect: sqliteDialect(), close }
  } catch (error) {
    throw sqliteError(error)
  }
}

function pragma(text: string): Query<object, unknown> {
  return { sql: `pragma ${text}`, bindings: [], writes: false }
}
