import { StoreError } from '@varve/store'
import type { Query } from '@varve/store-kysely'
import { statSync } from 'node:fs'
import { performance } from 'node:perf_hooks'

/** The absolute path of the file, whatever it was opened by; empty for a database that has none. */
export const mainFileQuery: Query<object, { readonly file: string }> = {
  sql: "select file from pragma_database_list where name = 'main'",
  bindings: [],
  writes: false,
}

/** How long a file that was deleted may go on being written to, in milliseconds. */
const LOOK_MS = 100

/** Which file a path names: none, or one that cannot be looked at. */
type Identity = { readonly dev: bigint; readonly ino: bigint } | 'none' | 'hidden'

/**
 * The file that a connection has open. SQLite goes on with it when somebody deletes it or puts another one in its place, as a
 * restored backup is, and all that it commits from then on is gone once it is closed.
 */
export class MainFile {
  readonly #path: string
  readonly #opened: Identity
  #lookedAt = performance.now()

  constructor(path: string) {
    this.#path = path
    this.#opened = identityOf(path)
  }

  /**
   * Looks once in 100 ms.
   *
   * @param now - monotonic time, in ms.
   * @throws StoreError `STORE_FAILED` when the path names another file, or none.
   */
  check(now: number): void {
    if (now - this.#lookedAt < LOOK_MS) return
    if (isAnother(this.#opened, identityOf(this.#path))) {
      const text =
        `${this.#path} was deleted or replaced while it was open, and what is written now would be lost with it; ` +
        'put it back, or open a new store'
      throw new StoreError('STORE_FAILED', text)
    }
    this.#lookedAt = now
  }
}

function isAnother(opened: Identity, named: Identity): boolean {
  // A process that has given up its rights may write to what it has open, and not look for it: that says nothing.
  if (opened === 'hidden' || named === 'hidden') return false
  if (opened === 'none' || named === 'none') return opened !== named
  return opened.ino !== named.ino || opened.dev !== named.dev
}

function identityOf(path: string): Identity {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? 'none'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM') return 'hidden'
    throw error
  }
}
