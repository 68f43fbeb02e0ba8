import { giveBack, statement, take } from '../connection.ts'
import type { PostgresClient, PostgresPool } from '../pool.ts'
import { isConnectionLost } from '../postgres-error.ts'
import { anyRun, payloadsOf } from './payload.ts'
import { within } from '../within.ts'

/**
 * So many changes wait at most; instead of more the others are told that any run may have moved. Else a connection that no
 * longer answers, while commits go on over the others, would fill the memory.
 */
const MOST_WAITING = 10_000

/** How long the end of a store waits for what is still to be sent. */
const FLUSH_MS = 1000

/**
 * Sends notifications, in statements of their own and never in the transaction that they tell of: a transaction that
 * notifies takes a lock of the whole server for its commit, so that all commits would stand in line.
 *
 * The first is sent at once; what comes while a statement is under way goes together in the next. Whatever fails is
 * dropped: who waits for a run looks at it again after a while.
 */
export class Notifier {
  readonly #pool: PostgresPool
  readonly #channel: string
  readonly #sender: string
  readonly #waiting = new Set<string>()
  #sending: Promise<void> | undefined
  #client: PostgresClient | undefined
  #dropped = false

  constructor(pool: PostgresPool, channel: string, sender: string) {
    this.#pool = pool
    this.#channel = channel
    this.#sender = sender
  }

  /** @param entry - made by `entryOf`; equal ones that wait are sent once. */
  send(entry: string): void {
    if (this.#dropped) return
    if (this.#waiting.size >= MOST_WAITING) {
      this.#waiting.clear()
      this.#waiting.add(anyRun)
    }
    if (!this.#waiting.has(anyRun)) this.#waiting.add(entry)
    this.#sending ??= this.#sendAll()
  }

  /** Resolves when everything is sent, or dropped because it takes too long. */
  async close(): Promise<void> {
    if (this.#sending !== undefined) await within(FLUSH_MS, this.#sending)
    this.#dropped = true
    this.#waiting.clear()
    // Still under way: the pool ends the connection, and with it the statement.
    this.#giveBack(true)
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.size > 0) {
      try {
        this.#client = await take(this.#pool)
        // Only now: what came while we waited for a connection goes along.
        const payloads = payloadsOf(this.#sender, [...this.#waiting])
        this.#waiting.clear()
        if (payloads.length > 0) await this.#client.query(statement(NOTIFY, [this.#channel, payloads]))
        this.#giveBack(false)
      } catch (error) {
        this.#waiting.clear()
        this.#giveBack(isConnectionLost(error))
      }
    }
    this.#sending = undefined
  }

  #giveBack(destroy: boolean): void {
    const client = this.#client
    this.#client = undefined
    if (client !== undefined) giveBack(client, destroy)
  }
}

const NOTIFY = 'select pg_notify($1, payload) from unnest(cast($2 as text[])) as payload'
