import {
  checkedClock,
  checkNames,
  checkOneOf,
  checkOptions,
  shown,
  StoreError,
  type NamesOf,
  type Store,
} from '@varve/store'
import { checkSchema, migrateSchema, postgresDialect, sqlStore, type SqlDialect } from '@varve/store-kysely'
import { postgresChanges, type PostgresChanges } from './changes/postgres-changes.ts'
import { checkLocation, checkUrl, openPool, type PostgresLocation } from './pool.ts'
import { PostgresExecutor } from './postgres-executor.ts'

/** Options of {@link postgresStore}. */
export interface PostgresStoreOptions {
  /** The database schema that holds the store and nothing else. Default `varve`. */
  readonly schema?: string
  /** The store's clock, whole Unix milliseconds. Default: the server's, which is the same for all processes. */
  readonly now?: () => number
  /** Creates the schema and brings it up to date. Default true; with false a missing schema is `SCHEMA_MISSING`. */
  readonly migrate?: boolean
  /**
   * Tells and hears of commits by NOTIFY and LISTEN, so that nobody needs to poll. Default true: while somebody subscribes,
   * one connection more listens, of our own where the store has a `url`, else one of your pool, which is not given back until
   * the last subscription ends; the last connection of a pool is left alone, and who would need it hears nothing. With `{ url }` it is a connection
   * to that address: behind a pooler that hands out connections by transaction, the server itself. False: nobody is told.
   */
  readonly notifications?: boolean | { readonly url: string }
  /**
   * Names the calls of the store's functions, so that a session parses each once. Default true. Where a pooler changes sessions
   * under us the first refusal ends it, and nothing is lost; false spares that, and poolers that keep a session for whoever names.
   */
  readonly preparedStatements?: boolean
  /** Writes of different runs that are in flight together share a commit, and each fails by itself. Default true. */
  readonly groupCommit?: boolean
}

const OF_STORE: NamesOf<PostgresStoreOptions> = {
  ...{ schema: true, now: true, migrate: true, notifications: true, preparedStatements: true, groupCommit: true },
}

/**
 * A store in one schema of a PostgreSQL database, for any number of processes and machines.
 *
 * Needs nothing of a session: it names calls of functions, and does without where that is refused, and sets nothing. So it works
 * behind a pooler that hands out connections by transaction. Disposal ends the pool that was made for a `url`, and never one that you passed.
 *
 * @throws StoreError `STORE_UNREACHABLE`; `NOT_A_STORE` for a schema that holds something else; `NEWER_SCHEMA` when a later
 * release has migrated it; `SCHEMA_MISSING`; `STORE_FAILED` when the role may not create what is missing;
 * `INVALID_ARGUMENT` for a location or options that are none, also for an option that there is not. In all these cases nothing was written.
 *
 * @example
 * ```ts
 * await using store = await postgresStore({ url: 'postgres://app@localhost:5432/app' })
 * ```
 */
export async function postgresStore(location: PostgresLocation, options: PostgresStoreOptions = {}): Promise<Store> {
  checkOptions('the options of a PostgreSQL store', options)
  checkNames('a PostgreSQL store', options, OF_STORE)
  const { migrate = true, groupCommit = true } = options
  checkOneOf('migrate', migrate, [true, false])
  checkOneOf('groupCommit', groupCommit, [true, false])
  const now = options.now === undefined ? () => null : checkedClock(options.now)
  const { executor, dialect, changes, close } = await open(location, options)
  try {
    await (migrate ? migrateSchema(executor, dialect) : checkSchema(executor, dialect))
  } catch (error) {
    await close()
    throw error
  }
  const capabilities = { durable: true, shared: true }
  return sqlStore({ executor, dialect, capabilities, changes, groupCommit, now, close })
}

/**
 * Creates the schema or brings it up to date, and does nothing where it is: with a role that may, for programs whose own
 * role may not and that open their stores with `migrate: false`.
 *
 * @throws StoreError as {@link postgresStore} does.
 */
export async function migratePostgres(
  location: PostgresLocation,
  options: Pick<PostgresStoreOptions, 'schema'> = {},
): Promise<void> {
  checkOptions('the options of a migration', options)
  checkNames('a migration', options, { schema: true })
  const { executor, dialect, close } = await open(location, { ...options, notifications: false })
  try {
    await migrateSchema(executor, dialect)
  } finally {
    await close()
  }
}

interface Opened {
  readonly executor: PostgresExecutor
  readonly dialect: SqlDialect
  readonly changes: PostgresChanges | undefined
  readonly close: () => Promise<void>
}

async function open(location: PostgresLocation, options: PostgresStoreOptions): Promise<Opened> {
  const { schema = 'varve', notifications = true, preparedStatements = true } = options
  checkLocation(location)
  checkSchemaName(schema)
  checkNotifications(notifications)
  checkOneOf('preparedStatements', preparedStatements, [true, false])
  const { pool, end } = await openPool(location)
  const url = typeof notifications === 'object' ? notifications.url : undefined
  const changes = notifications === false ? undefined : await postgresChanges({ location, pool, schema, url })
  const executor = new PostgresExecutor(pool, preparedStatements)
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    // In this order: a pool that ends forgets those who wait for a connection.
    closed ??= executor.close().then(changes?.close).then(end)
    await closed
  }
  return { executor, dialect: postgresDialect(schema), changes, close }
}

/** @throws StoreError `INVALID_ARGUMENT` for a name that PostgreSQL would cut, reserves, or that needs care in a shell. */
function checkSchemaName(schema: unknown): void {
  if (typeof schema === 'string' && /^(?!pg_)[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(schema)) return
  const text = `schema must be 1-63 letters, digits and underscores and not begin with pg_, got ${shown(schema)}`
  throw new StoreError('INVALID_ARGUMENT', text)
}

function checkNotifications(notifications: unknown): void {
  if (typeof notifications === 'boolean') return
  if (typeof notifications === 'object' && notifications !== null && 'url' in notifications) {
    checkUrl('notifications.url', notifications.url)
    return
  }
  throw new StoreError('INVALID_ARGUMENT', 'notifications must be true, false, or an object with the url to listen at')
}
