import { checkNames, checkOptions, shown, StoreError, type NamesOf } from '@varve/store'
import { Socket } from 'node:net'
import type pg from 'pg'
import { within } from './within.ts'

/** What the store needs of a pool: `pg.Pool` has it. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>
  /** How many connections there may be; a store takes none for good from a pool that has but one. */
  readonly options?: { readonly max?: number | undefined }
  /** How many wait for a connection now. Where it does not say, each connection is given back after each use. */
  readonly waitingCount?: number
}

/** What the store needs of a connection from the pool. */
export interface PostgresClient {
  query(query: PostgresQuery): Promise<PostgresResult>
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'notification', listener: (message: PostgresNotification) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
  /** Gives the connection back to the pool; with `true` the pool closes it. */
  release(destroy?: boolean): void
  /** Makes the process wait for the connection again. */
  ref?(): void
  /** Lets the process end although the connection is open. */
  unref?(): void
}

/** What the server says to those that listen. */
export interface PostgresNotification {
  readonly payload?: string | undefined
}

/** A statement. */
export interface PostgresQuery {
  /** Under which the session keeps it, so that it is parsed once; never the name of two texts. */
  readonly name?: string
  readonly text: string
  readonly values: unknown[]
  readonly types: { getTypeParser(oid: number): (text: string) => unknown }
}

/** What a statement answers. */
export interface PostgresResult {
  readonly rows: unknown[]
  readonly rowCount: number | null
}

/** Where the store is: a pool that you made and end, or a server of which the store makes its own. */
export type PostgresLocation =
  | { readonly pool: PostgresPool }
  | {
      /** `postgres://user:password@host:port/database`; not empty. */
      readonly url: string
      /** Connections at most. Default 10. */
      readonly poolSize?: number
    }

/** A pool, and how to end it. */
export interface OwnPool {
  readonly pool: PostgresPool
  readonly end: () => Promise<void>
}

/** How long a new connection may take. */
export const CONNECT_MS = 10_000

const OF_LOCATION: NamesOf<PostgresLocation> = { pool: true, url: true, poolSize: true }

/** An address may hold a password, so none is shown. @throws StoreError `INVALID_ARGUMENT` for what is neither a pool nor an address. */
export function checkLocation(location: PostgresLocation): void {
  if (typeof (location as unknown) === 'string') {
    throw new StoreError(
      'INVALID_ARGUMENT',
      'where a PostgreSQL store is must be an object; give the address as { url }',
    )
  }
  checkOptions('where a PostgreSQL store is', location)
  checkNames('where a PostgreSQL store is', location, OF_LOCATION)
  const { pool, url }: { readonly pool?: Partial<PostgresPool> | null; readonly url?: unknown } = location
  if (!('pool' in location)) checkUrl('url', url)
  else if (typeof pool?.connect !== 'function') {
    throw new StoreError('INVALID_ARGUMENT', `pool must be a pool of pg, with a function connect, got ${typeof pool}`)
  }
}

/** What pg takes for an address: of a server, or of a socket. */
const ADDRESS = /^\s*(?:postgres(?:ql)?:\/\/|socket:|\/)/i

/**
 * @throws StoreError `INVALID_ARGUMENT`: without an address the driver would take one from the environment, or a default; without
 * its `postgres://` it would take parts of it for others, and call another server.
 */
export function checkUrl(what: string, url: unknown): void {
  if (typeof url === 'string' && ADDRESS.test(url)) return
  const got = typeof url === 'string' && url !== '' ? 'a text that begins otherwise' : shown(url)
  throw new StoreError('INVALID_ARGUMENT', `${what} must be the address of a server, postgres://..., got ${got}`)
}

/** The given pool, which is not ours to end, or a new one. */
export async function openPool(location: PostgresLocation): Promise<OwnPool> {
  if ('pool' in location) return { pool: location.pool, end: async () => undefined }
  const { url, poolSize = 10 } = location
  if (!Number.isInteger(poolSize) || poolSize < 1) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `poolSize must be a whole number of at least 1, got ${typeof poolSize === 'number' ? poolSize : typeof poolSize}`,
    )
  }
  const { Pool } = await loadDriver()
  const sockets = new Set<Socket>()
  const pool = new Pool({
    stream: () => newSocket(sockets),
    connectionString: url,
    max: poolSize,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  })
  // The loss of an idle connection is nobody's error: the next call gets another. Unheard it would end the process.
  pool.on('error', () => undefined)
  // Nor is that of one which ends in the same breath in which it is opened, before anybody could listen to it.
  pool.on('connect', (client) => client.on('error', () => undefined))
  return { pool, end: async () => ended(pool, sockets) }
}

/** How long the server may take to say goodbye. */
const END_MS = 1000

/** One that the driver connects. */
function newSocket(sockets: Set<Socket>): Socket {
  const socket = new Socket()
  sockets.add(socket)
  return socket.once('close', () => sockets.delete(socket))
}

/** Nothing is under way any more: a server that does not answer would keep us, and our process, until the network gives it up. */
async function ended(pool: pg.Pool, sockets: ReadonlySet<Socket>): Promise<void> {
  await within(END_MS, pool.end())
  for (const socket of sockets) socket.destroy()
}

/** Imports the driver. @throws StoreError `STORE_FAILED` when it is not installed. */
export async function loadDriver(): Promise<typeof pg> {
  try {
    return (await import('pg')).default
  } catch (cause) {
    throw new StoreError('STORE_FAILED', 'pg cannot be loaded; install it beside this package', { cause })
  }
}
