import type { Store, StoreChange } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import SQLite from 'better-sqlite3'
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sqliteStore, type SqliteStoreOptions } from './sqlite-store.ts'
import { observed } from './testing/observed-database.ts'
import { temporaryFolder } from './testing/sqlite-harness.ts'

const opened: Store[] = []
let folder = ''
let file = ''

beforeEach(async () => {
  folder = await temporaryFolder()
  file = path.join(folder, 'runs.sqlite')
})
afterEach(async () => {
  for (const store of opened.splice(0)) await store[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

async function open(options: SqliteStoreOptions = {}): Promise<Store> {
  const store = await sqliteStore({ path: file }, { synchronous: 'NORMAL', pollMs: 5, ...options })
  opened.push(store)
  return store
}

async function enqueue(store: Store, runId = 'run-1'): Promise<void> {
  const create = { workflow: 'w', version: '1', tags: [], queue: 'q' }
  const run = { status: 'running', blockedOn: [], wakeAt: 0, create } as const
  await store.events.append(runId, sampleEvents(runId, 1), { expectedHead: 0, fencingToken: 0, run })
}

async function post(store: Store, runId: string, id: string): Promise<void> {
  await store.inbox.post(runId, { id, type: 'T', body: '{}' }, { maxWaiting: 1000 })
}

/** A subscription, what it has heard, and a way to wait for more. */
function listen(store: Store) {
  const heard: StoreChange[] = []
  let moved = (): void => undefined
  const subscription = store.notifications!.subscribe((change) => {
    heard.push(change)
    moved()
  })
  const until = async (holds: (heard: readonly StoreChange[]) => boolean): Promise<void> => {
    while (!holds(heard)) await new Promise<void>((resolve) => (moved = resolve))
  }
  return { heard, until, stop: async () => subscription[Symbol.asyncDispose]() }
}

const somethingMoved: StoreChange = { kind: 'moved', dueInMs: 0 }
const anyPost: StoreChange = { kind: 'posted', dueInMs: 0 }
const posted = (runId: string): StoreChange => ({ runId, kind: 'posted', dueInMs: 0 })
const sorted = (changes: readonly StoreChange[]): string[] => changes.map((change) => JSON.stringify(change)).toSorted()
const hasMoved = (changes: readonly StoreChange[]): boolean => changes.some(({ runId }) => runId === undefined)

describe('commits of others', () => {
  test('are heard as a change of anything, and posts by their runs', async () => {
    const [store, other] = [await open(), await open()]
    await enqueue(other, 'run-1')
    await enqueue(other, 'run-2')
    const { heard, until } = listen(store)

    await post(other, 'run-2', 'p')
    await post(other, 'run-2', 'q')
    await until(hasMoved)

    expect(heard).toEqual([posted('run-2'), somethingMoved])
  })

  test('are told apart from our own, which are heard once', async () => {
    const [store, other] = [await open(), await open()]
    await enqueue(other, 'run-1')
    await enqueue(other, 'run-2')
    const { heard, until } = listen(store)

    await post(store, 'run-1', 'p')
    await post(other, 'run-2', 'p')
    await post(store, 'run-1', 'q')
    await until(hasMoved)
    await post(other, 'run-1', 'r')
    await until((changes) => changes.filter(({ runId }) => runId === undefined).length === 2)

    // When others' are looked for, before our second or behind it, is the machine's matter.
    const expected = [
      ...[posted('run-1'), posted('run-1'), posted('run-2'), somethingMoved],
      ...[posted('run-1'), somethingMoved],
    ]
    expect(sorted(heard)).toEqual(sorted(expected))
  })

  // Elsewhere the system may tell of a write when the file is closed.
  test.runIf(process.platform === 'linux').for(['FULL', 'NORMAL'] as const)(
    'are heard without waiting for the next look: the system tells of writes, also of many one after the other (%s)',
    async (synchronous) => {
      const [store, other] = [await open({ pollMs: 3_600_000 }), await open({ synchronous })]
      const { heard, until } = listen(store)

      for (let n = 1; n <= 20; n++) {
        await enqueue(other, `run-${n}`)
        await until((changes) => changes.length === n)
      }

      expect(heard).toEqual(Array.from({ length: 20 }, () => somethingMoved))
    },
  )

  test('are heard by looking where the file cannot be watched', async () => {
    const database = new SQLite(file)
    const elsewhere = observed(database, (sql, execute) =>
      sql.includes('pragma_database_list') ? ({ file: path.join(folder, 'gone', 'runs.sqlite') } as never) : execute(),
    )
    const store = await sqliteStore({ database: elsewhere }, { pollMs: 5 })
    const { heard, until } = listen(store)

    await enqueue(await open())
    await until(hasMoved)

    expect(heard).toEqual([somethingMoved])
    await store[Symbol.asyncDispose]()
    database.close()
  })

  test('of a thousand posts nothing is lost, whatever the ids of the runs', { timeout: 30_000 }, async () => {
    const [store, other] = [await open(), await open()]
    const runs = Array.from({ length: 100 }, (_, n) => `${n} ${'räumt 完了 🌊"\\'.repeat(n % 12)}`)
    for (const runId of runs) await enqueue(other, runId)
    const { heard, until } = listen(store)

    await Promise.all(Array.from({ length: 1000 }, async (_, n) => post(other, runs[n % 100] ?? '', `p${n}`)))
    await until((changes) => runs.every((id) => changes.some(({ runId }) => runId === id)))

    expect(heard.filter(({ kind }) => kind === 'posted').every(({ runId }) => runs.includes(runId ?? ''))).toBe(true)
  })

  test('that removed the last posts may hide others: then any run may have been posted to', async () => {
    const [store, other] = [await open(), await open()]
    await enqueue(other, 'run-1')
    await enqueue(other, 'run-2')
    for (const id of ['p', 'q', 'r']) await post(other, 'run-1', id)
    const { heard, until } = listen(store)

    await other.runs.remove('run-1', { ifTerminal: false })
    await post(other, 'run-2', 'p')
    await until(hasMoved)

    expect(heard).toEqual([anyPost, somethingMoved])
  })

  test('are found later when the database cannot be read', async () => {
    const database = new SQLite(file)
    let isBusy = false
    let refused = 0
    const busy = observed(database, (_, execute) => {
      if (!isBusy) return execute()
      refused++
      throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' })
    })
    const store = await sqliteStore({ database: busy }, { pollMs: 5 })
    const other = await open()
    isBusy = true
    const { heard, until } = listen(store)
    await enqueue(other)
    while (refused < 5) await new Promise((resolve) => setImmediate(resolve))

    isBusy = false
    await until(hasMoved)

    expect(heard).toEqual([anyPost, somethingMoved])
    await store[Symbol.asyncDispose]()
    database.close()
  })
})

describe('looking for commits of others', () => {
  test('goes on only while somebody subscribes, and not in a store that was closed', async () => {
    const database = new SQLite(file)
    let looks = 0
    const counting = observed(database, (sql, execute) => {
      if (sql === 'pragma data_version') looks++
      return execute()
    })
    const store = await sqliteStore({ database: counting }, { pollMs: 5 })
    const other = await open()
    const changed = async (id: string): Promise<void> => {
      const { until, stop } = listen(other)
      await enqueue(store, id)
      await until(hasMoved)
      await stop()
    }
    await changed('run-1')
    expect(looks).toBe(0)

    const [first, second] = [listen(store), listen(store)]
    await first.stop()
    await enqueue(other, 'run-2')
    await second.until(hasMoved)
    await second.stop()
    expect(looks).toBeGreaterThan(1)
    looks = 0
    await changed('run-3')
    expect(looks).toBe(0)

    listen(store)
    looks = 0
    await store[Symbol.asyncDispose]()
    const { until } = listen(other)
    await enqueue(await open(), 'run-4')
    await until(hasMoved)
    expect(looks).toBe(0)
    database.close()
  })

  test('keeps no process alive', { timeout: 30_000 }, async () => {
    const program = path.join(import.meta.dirname, 'testing', 'listen-and-leave.ts')
    const args = ['--conditions=@varve/source', program, file]

    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 })

    expect(stdout).toBe('heard of run-1')
  })

  test.for([0, 4, 5.5, Number.NaN])('every %d ms is INVALID_ARGUMENT', async (pollMs) => {
    await expect(open({ pollMs })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test('a store in memory tells of its own commits, and looks for no others', async () => {
    const store = await sqliteStore({ path: ':memory:' })
    const { heard, until } = listen(store)

    await enqueue(store)
    await until((changes) => changes.length > 0)

    expect(heard).toEqual([{ runId: 'run-1', kind: 'moved', dueInMs: 0 }])
    await store[Symbol.asyncDispose]()
  })
})
