import { StoreError } from '@varve/store'
import type { Query } from '@varve/store-kysely'
import { statSync } from 'node:fs'

/** The absolute path of the file, whatever it was opened by; empty for a database that has none. */
export const mainFileQuery: Query<object, { readonly file: string }> = {
  sql: "select file from pragma_database_list where name = 'main'",
  bindings: [],
  writes: false,
}

/** How long a file that was deleted may go on being written to, in milliseconds. */
const LOOK_MS = 100

/** Which file a path names. */
type Identity = { readonly dev: bigint; readonly ino: bigint }

/**
 * The file that a connection has open. SQLite goes on with it when somebody deletes it or puts another one in its place, as a
 * restored backup is, and all that it commits from then on is gone once it is closed.
 */
export class MainFile {
  readonly #path: string
  readonly #opened: Identity | undefined
  #lookedAt = performance.now()

  constructor(path: string) {
    this.#path = path
    this.#opened = identityOf(path)
  }

  /** Looks once in 100 ms. @throws StoreError `STORE_FAILED` when the path names another file, or none. */
  check(): void {
    const now = performance.now()
    if (now - this.#lookedAt < LOOK_MS) return
    const { dev, ino } = identityOf(this.#path) ?? {}
    if (ino !== this.#opened?.ino || dev !== this.#opened?.dev) {
      const text =
        `${this.#path} was deleted or replaced while it was open, and what is written now would be lost with it; ` +
        'put it back, or open a new store'
      throw new StoreError('STORE_FAILED', text)
    }
    this.#lookedAt = now
  }
}

function identityOf(path: string): Identity | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })
}
