import type pg from 'pg'
import { giveBack, take } from '../connection.ts'
import { CONNECT_MS, loadDriver, type PostgresClient, type PostgresPool } from '../pool.ts'
import { postgresError } from '../postgres-error.ts'
import type { Ear, OpenEar } from './listen-connection.ts'
import { within } from '../within.ts'

/** How often the system asks whether a silent server is still there. */
const KEEP_ALIVE_MS = 10_000

/** How long a connection gets to take its leave. */
const LEAVE_MS = 1000

/**
 * Connections of our own to the server at this address.
 *
 * @throws StoreError `INVALID_ARGUMENT` for an address that cannot be.
 */
export async function ownEars(url: string): Promise<OpenEar> {
  const { Client } = await loadDriver()
  const newClient = (): pg.Client =>
    new Client({
      connectionString: url,
      connectionTimeoutMillis: CONNECT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    })
  try {
    newClient()
  } catch (error) {
    throw postgresError(error, 'unsent')
  }
  return async (signal) => {
    signal.throwIfAborted()
    const client = newClient()
    const abort = (): void => void client.connection.stream.destroy(new Error('nobody listens any more'))
    // Told by `connect`, and later to those who listen to it as well.
    client.on('error', () => undefined)
    signal.addEventListener('abort', abort, { once: true })
    try {
      const connected = client.connect()
      socketOf(client).unref()
      await connected
    } finally {
      signal.removeEventListener('abort', abort)
    }
    // TLS has put another one in its place.
    socketOf(client).unref()
    return { client, close: async () => leave(client) }
  }
}

/** How many connections of each pool only listen: several stores may share one. */
const listeningOf = new WeakMap<PostgresPool, number>()

/**
 * Connections taken from a pool. They do not come back: the pool makes others in their place. The last one is never taken:
 * it would leave none for anything else, and every call would wait for ever.
 */
export function pooledEars(pool: PostgresPool): OpenEar {
  return async (signal) => {
    const { max = Infinity } = pool.options ?? {}
    const before = listeningOf.get(pool) ?? 0
    if (before + 1 >= max) throw new Error('the pool has no connection to spare')
    listeningOf.set(pool, before + 1)
    const done = (): unknown => listeningOf.set(pool, (listeningOf.get(pool) ?? 1) - 1)
    return takeEar(pool, signal, done)
  }
}

/** @param done - called once, when the connection is the pool's again or was never given. */
function takeEar(pool: PostgresPool, signal: AbortSignal, done: () => void): Promise<Ear> {
  return new Promise((resolve, reject) => {
    const end = (client: PostgresClient, destroy: boolean): void => {
      giveBack(client, destroy)
      done()
    }
    const taken = take(pool).then((client) => {
      if (signal.aborted) {
        end(client, false)
        return
      }
      client.unref?.()
      const close = async (): Promise<void> => {
        client.ref?.()
        end(client, true)
      }
      resolve({ client, close })
    })
    taken.catch(reject)
    taken.catch(done)
    signal.addEventListener('abort', () => reject(new Error('nobody listens any more')), { once: true })
  })
}

/** Who waits for the end must not see the process end before. */
async function leave(client: pg.Client): Promise<void> {
  socketOf(client).ref()
  await within(LEAVE_MS, client.end())
  socketOf(client).destroy()
}

/** The driver's stream is a socket, whatever its type says. */
function socketOf({ connection }: pg.Client): { ref(): void; unref(): void; destroy(): void } {
  return connection.stream as typeof connection.stream & { ref(): void; unref(): void }
}
