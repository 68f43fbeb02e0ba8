import { isStoreError, sealEvent, type RunUpdate, type Store, type StoredEvent } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import SQLite from 'better-sqlite3'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { migrateSqlite, sqliteStore } from './sqlite-store.ts'
import { observed } from './testing/observed-database.ts'
import { temporaryFolder } from './testing/sqlite-harness.ts'

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const running: RunUpdate = { status: 'running', blockedOn: [], wakeAt: 0 }
const create = { workflow: 'w', version: '1', tags: ['t'], queue: 'q', lease: { owner, leaseMs: 60_000 } }

let folder = ''
let file = ''

beforeEach(async () => {
  folder = await temporaryFolder()
  file = path.join(folder, 'runs.sqlite')
})
afterEach(async () => rm(folder, { recursive: true }))

/** Code of the error with which a call ends. */
async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return isStoreError(error) ? error.code : `no store error: ${String(error)}`
}

async function startRun(store: Store): Promise<void> {
  const options = { expectedHead: 0, fencingToken: 0, run: { ...running, create } }
  await store.events.append('run-1', sampleEvents('run-1', 1), options)
}

describe('opening', () => {
  test('creates the file, the folders above it and the schema', async () => {
    const deep = path.join(folder, 'a', 'b', 'runs.sqlite')

    await using store = await sqliteStore({ path: deep })

    await startRun(store)
    expect(existsSync(deep)).toBe(true)
    expect(store.capabilities).toEqual({ durable: true, shared: true, notify: true })
  })

  test('finds what another store has left, and migrates only once', async () => {
    {
      await using store = await sqliteStore({ path: file })
      await startRun(store)
    }
    await migrateSqlite({ path: file })

    await using store = await sqliteStore({ path: file }, { migrate: false })

    expect((await store.runs.find('run-1'))?.head).toBe(1)
  })

  test('many may open and migrate a new file at once', async () => {
    const stores = await Promise.all(Array.from({ length: 8 }, async () => sqliteStore({ path: file })))

    await startRun(stores[0]!)
    expect((await stores[7]!.runs.list({}, { limit: 10 })).items).toHaveLength(1)
    for (const store of stores) await store[Symbol.asyncDispose]()
  })

  test('without migration a missing file is SCHEMA_MISSING and stays missing', async () => {
    expect(await codeOf(sqliteStore({ path: path.join(folder, 'a', 'runs.sqlite') }, { migrate: false }))).toBe(
      'SCHEMA_MISSING',
    )
    expect(await readdir(folder)).toEqual([])
  })

  test('without migration an empty file is SCHEMA_MISSING and stays empty', async () => {
    await writeFile(file, '')

    expect(await codeOf(sqliteStore({ path: file }, { migrate: false }))).toBe('SCHEMA_MISSING')
    expect((await readFile(file)).length).toBe(0)
  })

  test('a file that is not a database is NOT_A_STORE and stays as it is', async () => {
    const text = 'these are notes, not a database '.repeat(100)
    for (const content of [text, 'short', '\u0000'.repeat(5000)]) {
      await writeFile(file, content)

      expect(await codeOf(sqliteStore({ path: file }))).toBe('NOT_A_STORE')
      expect(await readFile(file, 'utf8')).toBe(content)
    }
  })

  test.for([
    ['with tables', 'create table customers (id integer)'],
    ['with an application id', 'pragma application_id = 4711; create table t (a); drop table t'],
    [
      'with a schema table that is not ours',
      "create table varve_schema (application text, version); insert into varve_schema values ('other', 1)",
    ],
  ])('a database of somebody else is NOT_A_STORE and stays as it is: %s', async ([, statements]) => {
    const foreign = new SQLite(file)
    foreign.exec(statements ?? '')
    foreign.close()
    const before = await readFile(file)

    expect(await codeOf(sqliteStore({ path: file }))).toBe('NOT_A_STORE')
    expect(await codeOf(migrateSqlite({ path: file }))).toBe('NOT_A_STORE')

    expect(await readFile(file)).toEqual(before)
    expect(await readdir(folder)).toEqual(['runs.sqlite'])
  })

  test('a schema of a later release is NEWER_SCHEMA, an older one SCHEMA_MISSING unless migrated', async () => {
    await migrateSqlite({ path: file })
    const setVersion = (version: number): void => {
      const database = new SQLite(file)
      database.prepare('update varve_schema set version = ?').run(version)
      database.close()
    }

    setVersion(99)
    expect(await codeOf(sqliteStore({ path: file }))).toBe('NEWER_SCHEMA')
    expect(await codeOf(sqliteStore({ path: file }, { migrate: false }))).toBe('NEWER_SCHEMA')
    setVersion(0)
    expect(await codeOf(sqliteStore({ path: file }, { migrate: false }))).toBe('SCHEMA_MISSING')
  })

  test('a path that no file can have is STORE_UNREACHABLE, no path at all INVALID_ARGUMENT', async () => {
    await mkdir(file)
    await writeFile(path.join(folder, 'plain'), '')

    expect(await codeOf(sqliteStore({ path: file }))).toBe('STORE_UNREACHABLE')
    expect(await codeOf(sqliteStore({ path: path.join(folder, 'plain', 'runs.sqlite') }))).toBe('STORE_UNREACHABLE')
    expect(await codeOf(sqliteStore({ path: '' }))).toBe('INVALID_ARGUMENT')
  })

  test('a busy timeout that is no time is INVALID_ARGUMENT', async () => {
    for (const busyTimeoutMs of [-1, NaN]) {
      expect(await codeOf(sqliteStore({ path: file }, { busyTimeoutMs }))).toBe('INVALID_ARGUMENT')
    }
  })

  test('sets the journal to WAL, and what a commit survives', async () => {
    for (const [synchronous, level] of [
      ['FULL', 2],
      ['NORMAL', 1],
    ] as const) {
      const database = new SQLite(file)
      await using store = await sqliteStore({ database }, { synchronous })

      expect(database.pragma('journal_mode', { simple: true })).toBe('wal')
      expect(database.pragma('synchronous', { simple: true })).toBe(level)
      await store[Symbol.asyncDispose]()
      database.close()
    }
  })

  test('a commit waits for the disk, but for one that need not be durable', async () => {
    const real = new SQLite(file)
    const levels: unknown[] = []
    const noting = observed(real, (sql, execute) => {
      if (sql === 'commit') levels.push(real.pragma('synchronous', { simple: true }))
      return execute()
    })
    const store = await sqliteStore({ database: noting })
    const id = await store.artifacts.put(new Uint8Array([1]))
    levels.length = 0

    expect(await store.artifacts.touch([id], { durable: false })).toEqual([id])
    expect(levels.splice(0)).toEqual([1])
    await store.artifacts.touch([id])
    await startRun(store)
    expect(levels).toEqual([2, 2])
    await store[Symbol.asyncDispose]()
    real.close()
  })

  test('a commit waits for the disk whatever became of one that did not', async () => {
    const real = new SQLite(file)
    const levels: unknown[] = []
    let failing = ''
    const noting = observed(real, (sql, execute) => {
      if (sql === failing) {
        failing = ''
        throw Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' })
      }
      if (sql === 'commit') levels.push(real.pragma('synchronous', { simple: true }))
      return execute()
    })
    const store = await sqliteStore({ database: noting })
    const id = await store.artifacts.put(new Uint8Array([1]))

    for (const text of ['pragma synchronous = NORMAL', 'begin immediate', 'commit', 'pragma synchronous = FULL']) {
      failing = text
      await codeOf(store.artifacts.touch([id], { durable: false }))
      await codeOf(store.artifacts.touch([id]))
      expect(failing).toBe('')
      levels.length = 0
      await store.artifacts.touch([id])
      expect(levels).toEqual([2])
    }
    await store[Symbol.asyncDispose]()
    real.close()
  })

  test('a database that was passed stays open when the store is closed', async () => {
    const database = new SQLite(':memory:')
    const store = await sqliteStore({ database })
    await startRun(store)

    await store[Symbol.asyncDispose]()

    expect(database.open).toBe(true)
    expect(database.prepare('select head from runs').get()).toEqual({ head: 1 })
    expect(store.capabilities).toEqual({ durable: false, shared: false, notify: true })
  })
})

describe('a file that is taken away while it is open', () => {
  /** Appends one event after another until one is refused: what is lost on the way is bounded by time. */
  async function refusal(store: Store): Promise<unknown> {
    const options = { fencingToken: 1, run: running }
    // As startRun made it: that a read is refused is nothing that an append has met.
    let [end] = sampleEvents('run-1', 1) as [StoredEvent]
    for (;;) {
      const { stored } = sealEvent('run-1', end, { type: 'Noted', data: {} }, 0)
      try {
        await store.events.append('run-1', [stored], { ...options, expectedHead: end.seq })
      } catch (error) {
        return error
      }
      end = stored
    }
  }

  test.for(['deleted', 'replaced by another'])('is not written to for long when it was %s', async (how) => {
    await using store = await sqliteStore({ path: file }, { synchronous: 'NORMAL' })
    await startRun(store)
    const other = path.join(folder, 'other.sqlite')
    await migrateSqlite({ path: other })

    await (how === 'deleted' ? rm(file) : rename(other, file))

    expect(await refusal(store)).toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining(file) as unknown,
    })
    expect(await codeOf(store.runs.find('run-1'))).toBe('STORE_FAILED')
  })

  test('is used again once it is back', async () => {
    await using store = await sqliteStore({ path: file }, { synchronous: 'NORMAL' })
    await startRun(store)
    const elsewhere = path.join(folder, 'elsewhere.sqlite')
    await rename(file, elsewhere)
    expect(await refusal(store)).toMatchObject({ code: 'STORE_FAILED' })

    await rename(elsewhere, file)

    expect((await store.runs.find('run-1'))?.status).toBe('running')
  })

  test(
    'is none of those that a process may not look for any more, since it gave up its rights',
    { timeout: 30_000 },
    async () => {
      const program = path.join(import.meta.dirname, 'testing', 'write-without-rights.ts')
      const args = ['--conditions=@varve/source', program, file]

      const writing = promisify(execFile)(process.execPath, args).finally(async () => chmod(folder, 0o700))

      expect((await writing).stdout).toBe('running')
    },
  )
})

describe('a lock of another connection', () => {
  test('is waited for while the event loop runs', async () => {
    await using store = await sqliteStore({ path: file })
    await startRun(store)
    const other = new SQLite(file)
    other.exec('begin immediate')

    const posting = store.inbox.post('run-1', { id: 'p', type: 'T', body: '{}' }, { maxWaiting: 1 })
    await nextTurn()
    const found = await store.runs.find('run-1')
    other.exec('rollback')

    expect(found?.waiting).toBe(0)
    expect(await posting).toBe('kept')
    other.close()
  })

  test('is STORE_BUSY, retryable, after the busy timeout', async () => {
    await using store = await sqliteStore({ path: file }, { busyTimeoutMs: 0 })
    await startRun(store)
    const other = new SQLite(file)
    other.exec('begin immediate')
    const post = async (): Promise<unknown> =>
      store.inbox.post('run-1', { id: 'p', type: 'T', body: '{}' }, { maxWaiting: 1 })

    await expect(post()).rejects.toMatchObject({ code: 'STORE_BUSY', retryable: true })

    other.exec('rollback')
    expect(await post()).toBe('kept')
    other.close()
  })

  test('ends the wait when the store is closed', async () => {
    const store = await sqliteStore({ path: file })
    await startRun(store)
    const other = new SQLite(file)
    other.exec('begin immediate')

    const posting = codeOf(store.inbox.post('run-1', { id: 'p', type: 'T', body: '{}' }, { maxWaiting: 1 }))
    await store[Symbol.asyncDispose]()

    expect(await posting).toBe('STORE_CLOSED')
    other.close()
  })
})

describe('a claim', () => {
  const driven = { workflows: [{ name: 'w', versions: ['1'] }], formats: [1] }
  const limits = { concurrency: 9, concurrencyPerKey: 9, rate: { limit: 9, periodMs: 9 } }

  test('that finds nothing does not ask for the lock', async () => {
    await using store = await sqliteStore({ path: file }, { busyTimeoutMs: 0 })
    await startRun(store)
    const other = new SQLite(file)
    other.exec('begin immediate')

    for (const queue of [{ name: 'q' }, { name: 'q', ...limits }]) {
      expect(await store.runs.claim({ owner, leaseMs: 1, ...driven, queues: [queue], limit: 10 })).toEqual([])
    }

    other.exec('rollback')
    other.close()
  })
})

describe('statements', () => {
  test('an append is one transaction and reads nothing besides', async () => {
    const statements: string[] = []
    const database = new SQLite(file)
    const seen = observed(database, (sql, execute) => {
      statements.push(sql)
      return execute()
    })
    await using store = await sqliteStore({ database: seen })
    await startRun(store)
    statements.length = 0

    const events = sampleEvents('run-1', 3).slice(1)
    await store.events.append('run-1', events, { expectedHead: 1, fencingToken: 1, run: running })

    expect(statements.map((sql) => sql.split(' ', 1)[0])).toEqual(['begin', 'update', 'insert', 'insert', 'commit'])
    await store[Symbol.asyncDispose]()
    database.close()
  })

  test('a thousand writes at once are a few commits, and wait nowhere but for those', async () => {
    const batches: number[] = []
    const database = new SQLite(file)
    const counting = observed(database, (sql, execute) => {
      if (sql === 'begin immediate') batches.push(0)
      if (sql.startsWith('insert into "runs"')) batches.push((batches.pop() ?? 0) + 1)
      return execute()
    })
    await using store = await sqliteStore({ database: counting })
    batches.length = 0
    const start = async (_: unknown, n: number): Promise<unknown> =>
      store.events.append(`run-${n}`, sampleEvents(`run-${n}`, 1), {
        ...{ expectedHead: 0, fencingToken: 0, run: { ...running, create } },
      })

    await Promise.all(Array.from({ length: 1000 }, start))

    expect(batches.reduce((sum, size) => sum + size, 0)).toBe(1000)
    expect(Math.max(...batches)).toBeLessThanOrEqual(256)
    expect(batches.length).toBeLessThanOrEqual(Math.ceil(1000 / 256) + 2)
    await store[Symbol.asyncDispose]()
    database.close()
  })

  test('an append in the midst of a run touches no index', async () => {
    const touched: string[] = []
    const database = new SQLite(file)
    const explained = observed(database, (sql, execute, values) => {
      const result = execute() as unknown as { readonly changes?: number }
      if (/^(insert|update)/.test(sql) && result.changes !== 0) touched.push(...indexesTouched(database, sql, values))
      return result as never
    })
    await using store = await sqliteStore({ database: explained })
    await startRun(store)
    const [second, third, fourth] = sampleEvents('run-1', 4).slice(1)
    const append = async (event: StoredEvent, run: RunUpdate): Promise<unknown> =>
      store.events.append('run-1', [event], { expectedHead: event.seq - 1, fencingToken: 1, run })
    touched.length = 0

    const blockedOn = [{ kind: 'action' as const, key: 'a' }]
    await append(second!, { ...running, owes: [], progressed: true, blockedOn })
    expect(touched).toEqual([])
    await append(third!, { ...running, owes: [{ to: 'run-2' }] })
    expect(touched).toContain('runs_owing')
    touched.length = 0
    await append(fourth!, { ...running, owes: [{ to: 'run-2' }] })

    expect(touched).toEqual([])
    expect(await store.runs.find('run-1')).toMatchObject({ head: 4, owes: [{ to: 'run-2' }] })
    await store[Symbol.asyncDispose]()
    database.close()
  })

  test('a commit that fails inside the transaction changed nothing, for certain', async () => {
    let fails = false
    const database = new SQLite(file)
    const failing = observed(database, (sql, execute) => {
      if (sql === 'commit' && fails) throw new Error('disk I/O error')
      return execute()
    })
    const store = await sqliteStore({ database: failing })
    await startRun(store)
    const events = sampleEvents('run-1', 2).slice(1)
    const append = async (): Promise<unknown> =>
      store.events.append('run-1', events, { expectedHead: 1, fencingToken: 1, run: running })

    fails = true
    expect(await codeOf(append())).toBe('STORE_FAILED')
    fails = false

    expect(await append()).toEqual({ waiting: 0 })
    database.close()
  })

  test('a commit for which the disk has no room changed nothing, and one that fails otherwise half-way says how', async () => {
    let code = ''
    const database = new SQLite(file)
    const failing = observed(database, (sql, execute) => {
      if (sql !== 'commit' || code === '') return execute()
      // As SQLite does with what it could not write.
      database.exec('rollback')
      throw Object.assign(new Error('no more can be written'), { code })
    })
    const store = await sqliteStore({ database: failing })
    const put = async (): Promise<unknown> => store.artifacts.put(Uint8Array.of(1))

    const saying = (text: string): unknown => expect.stringContaining(text)

    code = 'SQLITE_FULL'
    await expect(put()).rejects.toMatchObject({ code: 'STORE_FAILED', message: saying('the disk is full') })
    code = 'SQLITE_IOERR_FSYNC'
    await expect(put()).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME', message: saying('no more can be written') })
    code = ''

    expect((await store.artifacts.list({}, { limit: 1 })).items).toEqual([])
    database.close()
  })

  test('claims, lists and reads go through an index', async () => {
    const database = new SQLite(file)
    const plans: string[] = []
    const explained = observed(database, (sql, execute, values) => {
      if (/^(select|with|update)/.test(sql) && !sql.includes('sqlite_master')) {
        const steps = database.prepare(`explain query plan ${sql}`).all(values) as { readonly detail: string }[]
        plans.push(...steps.map(({ detail }) => detail))
      }
      return execute()
    })
    await using store = await sqliteStore({ database: explained })
    await startRun(store)
    plans.length = 0

    await callEverything(store)

    const scans = plans.filter((step) =>
      /^SCAN (runs|lone_events|shared_events|posts|run_tags|snapshots|artifacts|uploads|\w+_artifacts|cache_\w+|secrets)\b/.test(
        step,
      ),
    )
    expect(scans.filter((step) => !step.includes('USING INDEX runs_newest'))).toEqual([])
    expect(plans.join('\n')).toMatch(/SEARCH runs USING INDEX runs_due \(queue=\? AND priority=\? AND <expr><\?\)/)
    expect(plans.join('\n')).toMatch(/SEARCH runs USING INDEX runs_due \(queue=\? AND priority=\? AND <expr>>\?\)/)
    expect(plans.join('\n')).toMatch(/SEARCH runs USING COVERING INDEX runs_due \(queue=\? AND priority<\?\)/)
    expect(plans.join('\n')).toMatch(/SEARCH runs USING INDEX runs_leased \(queue=\?\)/)
    expect(plans.join('\n')).toMatch(
      /SEARCH runs USING (COVERING )?INDEX runs_begun \(queue=\? AND begun_at>\? AND begun_at<\?\)/,
    )
    expect(plans.join('\n')).toMatch(/runs_by_workflow \(workflow=\?/)
    expect(plans.join('\n')).not.toMatch(/TEMP B-TREE FOR ORDER BY/)
    expect(plans.join('\n')).toMatch(/SEARCH posts USING INDEX posts_by_id \(run_id=\? AND id=\?\)/)
    await store[Symbol.asyncDispose]()
    database.close()
  })

  test('a log of large events is read in pages of bounded size', async () => {
    const pages: number[] = []
    const database = new SQLite(file)
    const counting = observed(database, (_sql, execute) => {
      const result = execute()
      if (Array.isArray(result)) pages.push(result.length)
      return result
    })
    await using store = await sqliteStore({ database: counting })
    const large = sampleEvents('run-1', 12).map((event) => ({
      ...event,
      body: JSON.stringify('x'.repeat(1024 * 1024)),
    }))
    await store.events.append('run-1', large, { expectedHead: 0, fencingToken: 0, run: { ...running, create } })
    pages.length = 0

    let read = 0
    for await (const event of store.events.read('run-1')) read += event.body.length

    expect(read).toBe(12 * (1024 * 1024 + 2))
    expect(pages).toEqual([4, 4, 4])
    await store[Symbol.asyncDispose]()
    database.close()
  })
})

/** The indexes that a statement writes entries of. */
function indexesTouched(database: SQLite.Database, sql: string, values: readonly unknown[]): readonly string[] {
  const roots = database.prepare('select rootpage, name from sqlite_master').all() as readonly Root[]
  const names = new Map(roots.map(({ rootpage, name }) => [rootpage, name]))
  const program = database.prepare(`explain ${sql}`).all(values) as readonly Instruction[]
  const opened = new Map(program.filter(({ opcode }) => opcode === 'OpenWrite').map(({ p1, p2 }) => [p1, p2]))
  const inserts = program.filter(({ opcode }) => opcode === 'IdxInsert').map(({ p1 }) => opened.get(p1))
  return inserts.flatMap((root) => (root === undefined ? [] : (names.get(root) ?? [])))
}

interface Root {
  readonly rootpage: number
  readonly name: string
}

interface Instruction {
  readonly opcode: string
  readonly p1: number
  readonly p2: number
}

async function callEverything({ runs, events, inbox, snapshots, artifacts, cache, secrets }: Store): Promise<void> {
  const page = { limit: 10, cursor: Buffer.from('[1,"a"]').toString('base64url') }
  await runs.list({}, page)
  await runs.list({ workflow: 'w' }, page)
  await runs.list({ tags: ['t'], parent: 'r', parked: true, createdFrom: 0 }, { limit: 10 })
  const limits = { concurrency: 9, concurrencyPerKey: 9, rate: { limit: 9, periodMs: 9 } }
  const driven = { workflows: [{ name: 'w', versions: ['1'] }], queues: [{ name: 'q', ...limits }], formats: [1] }
  await runs.dueIn(driven)
  const lease = await runs.acquire('run-1', { owner, leaseMs: 1 })
  await runs.release(lease, { expectedHead: 1 })
  const [claim] = await runs.claim({ ...driven, owner, leaseMs: 60_000, limit: 10 })
  expect(claim?.token).toBe(3)
  await inbox.post('run-1', { id: 'p', type: 'T', body: '{}' }, { maxWaiting: 9 })
  await inbox.list('run-1', { limit: 10 })
  await inbox.rejected('run-1', { limit: 10 })
  await events.append('run-1', [], { expectedHead: 1, fencingToken: 3, run: running, take: ['p'] })
  for await (const event of events.read('run-1')) expect(event.seq).toBe(1)
  await snapshots.latest('run-1')
  await snapshots.prune('run-1', { keep: 2 })
  const id = await artifacts.put(Uint8Array.of(1))
  await (await artifacts.get(id)).bytes()
  await artifacts.put(new Uint8Array(2 * 1024 * 1024))
  await artifacts.touch([id])
  await artifacts.list({ unusedSince: 1 }, { limit: 10 })
  await artifacts.delete(id, { ifUnusedSince: 1 })
  await cache.putIfAbsent({ key: 'k', group: 'g', artifacts: [id], body: null })
  await cache.list({}, page)
  await cache.list({ group: 'g' }, page)
  await cache.referred([id])
  await cache.delete('k')
  await runs.referred([id])
  await runs.list({ artifact: id, parent: 'r' }, page)
  await secrets.put('s-1', Uint8Array.of(1))
  await secrets.get('s-1')
  await secrets.erase('s-1')
}
