import { isStoreError, StoreError } from '@varve/store'
import { boundValues, type Query, type SqlExecutor, type Step, type Steps } from '@varve/store-kysely'
import { Connections, statement } from './connection.ts'
import type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from './pool.ts'
import {
  isConnectionLost,
  isOutdated,
  isRefusedFunction,
  isRefusedName,
  isRefusedTogether,
  postgresError,
  type Phase,
} from './postgres-error.ts'

/** Whatever the server's default: what a statement reads after a wait for a lock is what its last holder committed. */
const BEGIN = 'begin isolation level read committed'

/**
 * The server ends the session of a transaction that stands still: else whoever waits for its locks would wait until its process
 * goes on, or its machine is given up by the network.
 */
const BOUND = "set local idle_in_transaction_session_timeout = '5s'"

/** So often a statement is sent that the server's default level of isolation lets fail because of others. */
const MOST_TRIES = 100

/** Runs queries on connections of a pool. A query outside of a transaction is one statement and one round trip. */
export class PostgresExecutor implements SqlExecutor {
  readonly #connections: Connections
  #underWay = 0
  /** Called when nothing is under way any more. */
  #onIdle = (): void => undefined
  /** Names of functions that are not there or not for us: made by nobody who may, dropped, or kept from our role. */
  readonly #missing = new Set<string>()
  #namesCalls: boolean
  /** False where the driver prepares whatever it sends, as pg-native does: that is one statement each. */
  #sendsTogether = true
  #closed = false

  constructor(pool: PostgresPool, namesCalls: boolean) {
    this.#connections = new Connections(pool)
    this.#namesCalls = namesCalls
  }

  async get<Args, Row>(query: Query<Args, Row>, args: Args): Promise<Row | undefined> {
    const { rows } = await this.#alone(query, args)
    return (isNoRow(query, rows[0]) ? undefined : rows[0]) as Row | undefined
  }

  async all<Args, Row>(query: Query<Args, Row>, args: Args): Promise<readonly Row[]> {
    return (await this.#alone(query, args)).rows as readonly Row[]
  }

  async run<Args, Row>(query: Query<Args, Row>, args: Args): Promise<number> {
    return (await this.#alone(query, args)).rowCount ?? 0
  }

  async transaction<T>(mode: 'read' | 'write', steps: () => Steps<T>): Promise<T> {
    this.#underWay += 1
    try {
      return await this.#transact(mode, steps)
    } finally {
      this.#left()
    }
  }

  /** From now on every call is `STORE_CLOSED`. Resolves when those under way have their answers. To be called once. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
  }

  #left(): void {
    this.#underWay -= 1
    if (this.#underWay === 0) this.#onIdle()
  }

  /** All in one function: every step of a run waits for what lies between it and its statement. */
  async #alone<Args>(query: Query<Args, unknown>, args: Args): Promise<PostgresResult> {
    this.#underWay += 1
    try {
      const values = boundValues(query, args)
      const client = this.#takeKept() ?? (await this.#connect())
      for (let tries = 1; ; tries++) {
        const sent = this.#statementOf(query, values)
        try {
          const result = await client.query(sent)
          this.#connections.giveBack(client, false)
          return result
        } catch (error) {
          if (this.#doesWithout(query, sent, error) || (isOutdated(error) && tries < MOST_TRIES)) continue
          this.#connections.giveBack(client, isConnectionLost(error))
          throw postgresError(error, query.writes ? 'committing' : 'uncommitted')
        }
      }
    } finally {
      this.#left()
    }
  }

  /**
   * Calls the function that keeps the statement's plan. The call keeps its name in the session, which spares the server to parse
   * it, unless a pooler changes sessions under us.
   */
  #statementOf({ sql, stored }: Query<never, unknown>, values: unknown[]): PostgresQuery {
    if (stored === undefined || this.#missing.has(stored.name)) return statement(sql, values)
    return statement(stored.call, values, this.#namesCalls ? stored.name : undefined)
  }

  /** Learns from a refusal of the name or the function that were sent. @returns whether the query may be sent without. */
  #doesWithout({ stored }: Query<never, unknown>, { text, name }: PostgresQuery, error: unknown): boolean {
    if (text !== stored?.call) return false
    if (name !== undefined && isRefusedName(error)) {
      this.#namesCalls = false
      return true
    }
    if (!isRefusedFunction(error)) return false
    this.#missing.add(stored.name)
    return true
  }

  async #transact<T>(mode: 'read' | 'write', steps: () => Steps<T>): Promise<T> {
    const client = await this.#connect()
    let phase: Phase = 'uncommitted'
    try {
      if (mode === 'write') await this.#begin(client)
      else await client.query(statement('begin read only'))
      const result = await drive(client, steps())
      if (mode === 'write') phase = 'committing'
      await client.query(statement('commit'))
      this.#connections.giveBack(client, false)
      return result
    } catch (error) {
      this.#connections.giveBack(client, !(await isRolledBack(client, error)))
      throw postgresError(error, phase)
    }
  }

  /** In one round trip, where that can be. */
  async #begin(client: PostgresClient): Promise<void> {
    try {
      if (this.#sendsTogether) {
        await client.query(statement(`${BEGIN}; ${BOUND}`))
        return
      }
    } catch (error) {
      if (!isRefusedTogether(error)) throw error
      this.#sendsTogether = false
    }
    await client.query(statement(BEGIN))
    await client.query(statement(BOUND))
  }

  #takeKept(): PostgresClient | undefined {
    return this.#closed ? undefined : this.#connections.takeKept()
  }

  async #connect(): Promise<PostgresClient> {
    if (this.#closed) throw new StoreError('STORE_CLOSED', 'this store was closed; open a new one')
    try {
      return await this.#connections.take()
    } catch (error) {
      throw postgresError(error, 'unsent')
    }
  }
}

/** A function that answers a value answers null for no row. */
function isNoRow({ stored }: Query<never, unknown>, row: unknown): boolean {
  return stored?.value !== undefined && row !== undefined && (row as Record<string, unknown>)[stored.value] === null
}

/** Ends what a failure left open. @returns whether the connection can be used again. */
async function isRolledBack(client: PostgresClient, error: unknown): Promise<boolean> {
  if (isConnectionLost(error) && !isStoreError(error)) return false
  try {
    await client.query(statement('rollback'))
    return true
  } catch {
    return false
  }
}

async function drive<T>(client: PostgresClient, steps: Steps<T>): Promise<T> {
  let next = steps.next()
  while (next.done !== true) next = steps.next(await execute(client, next.value))
  return next.value
}

async function execute(client: PostgresClient, { answer, query, args }: Step): Promise<unknown> {
  const { rows, rowCount } = await client.query(statement(query.sql, boundValues(query, args as never)))
  return answer === 'run' ? (rowCount ?? 0) : answer === 'all' ? rows : rows[0]
}
