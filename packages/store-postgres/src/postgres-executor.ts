import { isStoreError, StoreError } from '@varve/store'
import { boundValues, type Query, type SqlExecutor, type Step, type Steps } from '@varve/store-kysely'
import { Connections, statement } from './connection.ts'
import type { PostgresClient, PostgresPool, PostgresResult } from './pool.ts'
import { isConnectionLost, isRefusedFunction, isRefusedName, postgresError, type Phase } from './postgres-error.ts'

/** Whatever the server's default: what a statement reads after a wait for a lock is what its last holder committed. */
const BEGIN = 'begin isolation level read committed'

type Stored = NonNullable<Query<never, unknown>['stored']>

/** Runs queries on connections of a pool. A query outside of a transaction is one statement and one round trip. */
export class PostgresExecutor implements SqlExecutor {
  readonly #connections: Connections
  readonly #underWay = new Set<Promise<unknown>>()
  /** Names of functions that are not there or not for us: made by nobody who may, dropped, or kept from our role. */
  readonly #missing = new Set<string>()
  #namesCalls: boolean
  #closed = false

  constructor(pool: PostgresPool, namesCalls: boolean) {
    this.#connections = new Connections(pool)
    this.#namesCalls = namesCalls
  }

  async get<Args, Row>(query: Query<Args, Row>, args: Args): Promise<Row | undefined> {
    return (await this.#tracked(this.#alone(query, args))).rows[0] as Row | undefined
  }

  async all<Args, Row>(query: Query<Args, Row>, args: Args): Promise<readonly Row[]> {
    return (await this.#tracked(this.#alone(query, args))).rows as readonly Row[]
  }

  async run<Args, Row>(query: Query<Args, Row>, args: Args): Promise<number> {
    return (await this.#tracked(this.#alone(query, args))).rowCount ?? 0
  }

  async transaction<T>(mode: 'read' | 'write', steps: () => Steps<T>): Promise<T> {
    return this.#tracked(this.#transact(mode, steps))
  }

  /** From now on every call is `STORE_CLOSED`. Resolves when those under way have their answers. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#underWay)
  }

  async #tracked<T>(call: Promise<T>): Promise<T> {
    this.#underWay.add(call)
    try {
      return await call
    } finally {
      this.#underWay.delete(call)
    }
  }

  async #alone<Args>(query: Query<Args, unknown>, args: Args): Promise<PostgresResult> {
    const client = await this.#connect()
    try {
      const result = await this.#execute(client, query, boundValues(query, args))
      this.#connections.giveBack(client, false)
      return result
    } catch (error) {
      this.#connections.giveBack(client, isConnectionLost(error))
      throw postgresError(error, query.writes ? 'committing' : 'uncommitted')
    }
  }

  /** Calls the function that keeps the statement's plan, and does without where there is none. */
  async #execute(
    client: PostgresClient,
    { sql, stored }: Query<never, unknown>,
    values: unknown[],
  ): Promise<PostgresResult> {
    if (stored === undefined || this.#missing.has(stored.name)) return client.query(statement(sql, values))
    try {
      return await this.#call(client, stored, values)
    } catch (error) {
      if (!isRefusedFunction(error)) throw error
      this.#missing.add(stored.name)
      return client.query(statement(sql, values))
    }
  }

  /** The call keeps its name in the session, which spares the server to parse it, unless a pooler changes sessions under us. */
  async #call(client: PostgresClient, { name, call }: Stored, values: unknown[]): Promise<PostgresResult> {
    if (!this.#namesCalls) return client.query(statement(call, values))
    try {
      return await client.query(statement(call, values, name))
    } catch (error) {
      if (!isRefusedName(error)) throw error
      this.#namesCalls = false
      return client.query(statement(call, values))
    }
  }

  async #transact<T>(mode: 'read' | 'write', steps: () => Steps<T>): Promise<T> {
    const client = await this.#connect()
    let phase: Phase = 'uncommitted'
    try {
      await client.query(statement(mode === 'write' ? BEGIN : 'begin read only'))
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

  async #connect(): Promise<PostgresClient> {
    if (this.#closed) throw new StoreError('STORE_CLOSED', 'this store was closed; open a new one')
    try {
      return await this.#connections.take()
    } catch (error) {
      throw postgresError(error, 'unsent')
    }
  }
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
