import { StoreError } from '@varve/store'
import type { PostgresClient, PostgresPool, PostgresQuery } from './pool.ts'

/** A connection of the pool, which is to be given back. @throws StoreError `INVALID_ARGUMENT` for what is no pool, after all. */
export async function take(pool: PostgresPool): Promise<PostgresClient> {
  const client: Partial<PostgresClient> | undefined = await pool.connect()
  if (!isConnection(client)) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      'pool must be a pool of pg, of which connections are taken, such as pg.Pool, not one pg.Client',
    )
  }
  client.on('error', hear)
  return client
}

/** A `pg.Client` has a function connect, too, and answers nothing or itself. */
function isConnection(client: Partial<PostgresClient> | undefined): client is PostgresClient {
  return typeof client?.release === 'function'
}

/**
 * While we have a connection its pool does not listen to it, and an error event that nobody hears ends the process. There
 * is nothing to do about one: the query that is under way fails with the same error.
 */
function hear(): void {
  // Heard.
}

/** Gives a connection back; with `destroy` the pool closes it. */
export function giveBack(client: PostgresClient, destroy: boolean): void {
  client.removeListener('error', hear)
  client.release(destroy)
}

/**
 * Connections of a pool, for one query or transaction each. One that is given back is kept until the end of the turn of the
 * event loop, unless somebody waits for one: what follows at once finds it without asking the pool, which takes as long as
 * a third of a small query.
 */
export class Connections {
  readonly #pool: PostgresPool
  #kept: Kept | undefined

  constructor(pool: PostgresPool) {
    this.#pool = pool
  }

  async take(): Promise<PostgresClient> {
    return this.takeKept() ?? take(this.#pool)
  }

  /** The one that is kept, at once. */
  takeKept(): PostgresClient | undefined {
    const kept = this.#kept
    this.#kept = undefined
    if (kept === undefined) return undefined
    kept.client.removeListener('error', kept.drop)
    return kept.client
  }

  giveBack(client: PostgresClient, destroy: boolean): void {
    if (destroy || this.#kept !== undefined || this.#pool.waitingCount !== 0) giveBack(client, destroy)
    else this.#keep(client)
  }

  #keep(client: PostgresClient): void {
    const letGo = (destroy: boolean): void => {
      if (this.#kept !== kept) return
      this.#kept = undefined
      client.removeListener('error', kept.drop)
      giveBack(client, destroy)
    }
    const kept: Kept = { client, drop: () => letGo(true) }
    this.#kept = kept
    client.on('error', kept.drop)
    setImmediate(letGo, false)
  }
}

/** A connection that nobody uses. */
interface Kept {
  readonly client: PostgresClient
  /** Called when it is lost. */
  readonly drop: () => void
}

/** A statement, which the session keeps under its name, if it has one. */
export function statement(text: string, values: unknown[] = [], name?: string): PostgresQuery {
  return name === undefined ? { text, values, types } : { text, values, types, name }
}

/** Type 17 is bytes. 20, 21 and 23 are the integers: all of ours are exact in a double, and the driver would answer text for the first. */
const types: PostgresQuery['types'] = {
  getTypeParser: (oid) => {
    if (oid === 17) return bytesOf
    return oid === 20 || oid === 21 || oid === 23 ? Number : (text) => text
  },
}

/** As `bytea_output` says, which roles and databases may set: `hex` begins with a backslash and an x, which `escape` never does. */
function bytesOf(text: string): Buffer {
  if (text.startsWith('\\x')) return Buffer.from(text.slice(2), 'hex')
  const bytes = text.replaceAll(/\\(\\|[0-7]{3})/g, (_, code: string) =>
    code === '\\' ? code : String.fromCharCode(Number.parseInt(code, 8)),
  )
  return Buffer.from(bytes, 'latin1')
}
