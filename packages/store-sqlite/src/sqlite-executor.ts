import { StoreError } from '@varve/store'
import { boundValues, type Query, type SqlExecutor, type Step, type Steps } from '@varve/store-kysely'
import { performance } from 'node:perf_hooks'
import { setImmediate, setTimeout as delay } from 'node:timers/promises'
import type { SqliteDatabase, SqliteStatement } from './database.ts'
import { MainFile, mainFileQuery } from './main-file.ts'
import { isBusy, isFull, sqliteError, textOf } from './sqlite-error.ts'

/** Pauses between two tries for a lock, in milliseconds; the last one repeats. */
const PAUSES_MS = [1, 2, 3, 5]

/** When a commit is on the disk: before it is answered, or some time later, in order. */
export type Synchronous = 'FULL' | 'NORMAL'

/** What each connection is set to, where that is known: several stores may have the same one. */
const levels = new WeakMap<SqliteDatabase, Synchronous>()

/** How long calls that follow one another may keep the event loop to themselves. */
const BREATH_MS = 10

/**
 * Runs queries on one connection.
 *
 * A transaction runs from begin to commit without awaiting anything: no other call gets in between, and no lock is ever
 * held while the event loop turns. While another process holds the lock we wait in timers, not inside the driver.
 */
export class SqliteExecutor implements SqlExecutor {
  readonly #database: SqliteDatabase
  readonly #busyTimeoutMs: number
  readonly #statements = new Map<string, SqliteStatement>()
  #synchronous: Synchronous = 'FULL'
  /** True where a commit that is not flushed can be taken back by a power failure, and nothing else can happen to the file. */
  #mayBeLax = false
  /** Undefined for a database without one, and while the store is being opened. */
  #file: MainFile | undefined
  #closed = false
  #breathedAt = performance.now()
  #wroteAt = -Infinity

  constructor(database: SqliteDatabase, busyTimeoutMs: number) {
    this.#database = database
    this.#busyTimeoutMs = busyTimeoutMs
  }

  /** Sets the journal to WAL, where the database can have that, and when a commit is flushed. */
  async setJournal(synchronous: Synchronous): Promise<void> {
    await this.#patiently(() => {
      const mode = this.#database.prepare('pragma journal_mode = wal').get([]) as { readonly journal_mode: string }
      this.#setLevel(synchronous)
      this.#mayBeLax = mode.journal_mode === 'wal'
    })
    this.#synchronous = synchronous
  }

  /** From now on a call is `STORE_FAILED` when the file is not the one any more that was opened. */
  async keepToFile(): Promise<void> {
    const { file = '' } = (await this.get(mainFileQuery, {})) ?? {}
    if (file !== '') this.#file = new MainFile(file)
  }

  async get<Args, Row>(query: Query<Args, Row>, args: Args): Promise<Row | undefined> {
    return (await this.#runAlone({ answer: 'get', query, args })) as Row | undefined
  }

  async all<Args, Row>(query: Query<Args, Row>, args: Args): Promise<readonly Row[]> {
    return (await this.#runAlone({ answer: 'all', query, args })) as readonly Row[]
  }

  async run<Args, Row>(query: Query<Args, Row>, args: Args): Promise<number> {
    return (await this.#runAlone({ answer: 'run', query, args })) as number
  }

  async transaction<T>(mode: 'read' | 'write', steps: () => Steps<T>): Promise<T> {
    return this.#patiently(() => this.#transact(mode, steps))
  }

  /** Runs the steps in a read transaction at once; undefined when they cannot run now, for whatever reason. */
  tryNow<T>(steps: () => Steps<T>): T | undefined {
    if (this.#closed) return undefined
    try {
      return this.#transact('read', steps)
    } catch {
      return undefined
    }
  }

  /** How long ago something was committed here, in milliseconds. */
  sinceWriteMs(): number {
    return performance.now() - this.#wroteAt
  }

  /** From now on every call is `STORE_CLOSED`. */
  close(): void {
    this.#closed = true
    this.#statements.clear()
  }

  async #runAlone(step: Step): Promise<unknown> {
    const { writes, flushed = true } = step.query
    if (!writes) return this.#patiently(() => this.#execute(step))
    const level = flushed || !this.#mayBeLax ? this.#synchronous : 'NORMAL'
    return this.#patiently(() => this.#transact('write', () => only(step), level))
  }

  /** Prepared each time: that, not the execution, is what sets it. */
  #setLevel(level: Synchronous): void {
    levels.delete(this.#database)
    this.#database.prepare(`pragma synchronous = ${level}`).run([])
    levels.set(this.#database, level)
  }

  async #patiently<T>(act: () => T): Promise<T> {
    let now = performance.now()
    if (now - this.#breathedAt >= BREATH_MS) now = await this.#breathe()
    const until = now + this.#busyTimeoutMs
    for (let tries = 0; ; tries++) {
      if (this.#closed) throw new StoreError('STORE_CLOSED', 'this store was closed; open a new one')
      try {
        this.#file?.check(now)
        return act()
      } catch (error) {
        if (!isBusy(error)) throw sqliteError(error)
        if (performance.now() >= until) throw stillBusy(this.#busyTimeoutMs, error)
      }
      await delay(PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)])
      now = performance.now()
    }
  }

  /** A database that answers at once would otherwise let whoever calls it in a loop stop every timer. @returns what time it is then. */
  async #breathe(): Promise<number> {
    await setImmediate()
    return (this.#breathedAt = performance.now())
  }

  #transact<T>(mode: 'read' | 'write', steps: () => Steps<T>, level = this.#synchronous): T {
    // Each sees to its own, whatever became of the one before. Until the journal is set, the file may be somebody else's.
    if (mode === 'write' && this.#mayBeLax && levels.get(this.#database) !== level) this.#setLevel(level)
    // Immediate: a transaction that reads first and then wants to write could never be made to wait for its turn.
    this.#prepared(mode === 'write' ? 'begin immediate' : 'begin').run([])
    let result: T
    try {
      result = this.#drive(steps())
    } catch (error) {
      this.#rollback()
      throw error
    }
    this.#commit()
    if (mode === 'write') this.#wroteAt = performance.now()
    return result
  }

  #drive<T>(steps: Steps<T>): T {
    let next = steps.next()
    while (next.done !== true) next = steps.next(this.#execute(next.value))
    return next.value
  }

  #execute({ answer, query, args }: Step): unknown {
    const statement = this.#prepared(query.sql)
    const values = boundValues(query, args as never)
    return answer === 'run' ? statement.run(values).changes : statement[answer](values)
  }

  #commit(): void {
    try {
      this.#prepared('commit').run([])
    } catch (error) {
      // Still in the transaction: it was not committed, for certain.
      if (this.#database.inTransaction) {
        this.#rollback()
        throw error
      }
      // SQLite has rolled back by itself: of a frame for which there was no room, nobody reads the part that was written.
      if (isFull(error)) throw error
      throw halfWay(error)
    }
  }

  /** SQLite has rolled back by itself after some errors. */
  #rollback(): void {
    if (this.#database.inTransaction) this.#prepared('rollback').run([])
  }

  #prepared(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      // Whatever the default of a database that was given to us.
      statement.safeIntegers?.(false)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

function* only(step: Step): Steps<unknown> {
  return yield step
}

function halfWay(cause: unknown): StoreError {
  const text = `the commit failed half-way (${textOf(cause)}); read what is there`
  return new StoreError('UNKNOWN_OUTCOME', text, { cause })
}

function stillBusy(timeoutMs: number, cause: unknown): StoreError {
  const text = `another process has held the database's lock for ${timeoutMs} ms; try again`
  return new StoreError('STORE_BUSY', text, { retryable: true, cause })
}
