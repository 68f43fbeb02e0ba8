import type { StoreChange } from '@varve/store'
import type { Query, RemoteChanges, Step, Steps } from '@varve/store-kysely'
import { onLogWrites } from './log-writes.ts'
import { mainFileQuery } from './main-file.ts'
import type { SqliteExecutor } from './sqlite-executor.ts'

/** For a database that nobody else can reach: there is nobody to tell, and nothing to hear. */
export const noOthers: RemoteChanges = { tell: () => undefined, listen: () => async () => undefined }

/**
 * Hears of the commits of other connections to the file, by looking at a counter that SQLite keeps of them: when the system
 * tells of a write, and every `pollMs` milliseconds in any case. Nobody has to be told: all see that counter.
 */
export function fileChanges(executor: SqliteExecutor, pollMs: number): RemoteChanges {
  const lookouts = new Set<Lookout>()
  return {
    tell: ({ runId, kind }) => {
      if (kind === 'posted') for (const lookout of lookouts) lookout.posted(runId)
    },
    listen: (hear) => {
      const lookout = new Lookout(executor)
      lookouts.add(lookout)
      const look = (): void => {
        for (const change of lookout.look()) hear(change)
      }
      const timer = setInterval(look, pollMs).unref()
      // Only now: the first look has made the log, if there was none.
      const file = executor.tryNow(mainFile)
      const unwatch = file === undefined ? undefined : onLogWrites(file, look, () => executor.sinceWriteMs())
      return async () => {
        clearInterval(timer)
        unwatch?.()
        lookouts.delete(lookout)
      }
    },
  }
}

/** What one look has seen. */
interface Seen {
  /** Changes whenever another connection has committed. */
  readonly version: number
  /** The last row of posts. */
  readonly last: number
  /** How many posts have come since the look before, by run; our own among them. */
  readonly posts: readonly PostCount[]
}

interface PostCount {
  readonly run_id: string
  readonly count: number
}

/** Finds out what others have committed since it was made. */
class Lookout {
  readonly #executor: SqliteExecutor
  /** How many posts this connection has kept since the last look, by run: our own are told already. */
  readonly #own = new Map<string, number>()
  /** Undefined while we could not look yet: then nothing can be told apart. */
  #seen: Seen | undefined

  constructor(executor: SqliteExecutor) {
    this.#executor = executor
    this.#seen = executor.tryNow(() => seeing(undefined, undefined))
  }

  posted(runId: string): void {
    this.#own.set(runId, (this.#own.get(runId) ?? 0) + 1)
  }

  /** What has changed since the last look; nothing while the database is busy, for then the next look finds it. */
  look(): readonly StoreChange[] {
    const before = this.#seen
    // Where we have posted ourselves, too: else those posts would be taken for others' by and by.
    const unlessVersion = this.#own.size === 0 ? before?.version : undefined
    const seen = this.#executor.tryNow(() => seeing(before, unlessVersion))
    if (seen === undefined) return []
    this.#seen = seen
    const changes = this.#changes(before, seen)
    this.#own.clear()
    return changes
  }

  #changes(before: Seen | undefined, seen: Seen): readonly StoreChange[] {
    if (seen.version === before?.version) return []
    const moved = { kind: 'moved', dueInMs: 0 } as const
    // Rows of removed posts are used again: where the last one is gone, new ones may lie before it.
    if (before === undefined || seen.last < before.last) return [{ kind: 'posted', dueInMs: 0 }, moved]
    const theirs = seen.posts.filter((post) => post.count > (this.#own.get(post.run_id) ?? 0))
    return [...theirs.map(({ run_id: runId }) => ({ runId, kind: 'posted', dueInMs: 0 }) as const), moved]
  }
}

/**
 * In one transaction, so that all of it was there at one moment.
 *
 * @param before - What was seen last; undefined for a first look, which counts no posts.
 * @param unlessVersion - The version at which there is nothing to see.
 */
function* seeing(before: Seen | undefined, unlessVersion: number | undefined): Steps<Seen | undefined> {
  const { data_version: version } = (yield ask(versionQuery)) as { readonly data_version: number }
  if (version === unlessVersion) return undefined
  const { last } = (yield ask(lastQuery)) as { readonly last: number }
  if (before === undefined) return { version, last, posts: [] }
  const query = { ...postsQuery, bindings: [before.last] }
  return { version, last, posts: (yield { answer: 'all', query, args: {} }) as readonly PostCount[] }
}

function ask(query: Query<object, unknown>): Step {
  return { answer: 'get', query, args: {} }
}

function* mainFile(): Steps<string> {
  return ((yield ask(mainFileQuery)) as { readonly file: string }).file
}

const versionQuery: Query<object, unknown> = { sql: 'pragma data_version', bindings: [], writes: false }

const lastQuery: Query<object, unknown> = {
  sql: 'select coalesce(max(rowid), 0) as last from posts',
  bindings: [],
  writes: false,
}

/** By row, not by the index of runs, which would be read as a whole. */
const postsQuery: Query<object, unknown> = {
  sql: 'select run_id, count(*) as count from posts not indexed where rowid > ? group by run_id',
  bindings: [],
  writes: false,
}
