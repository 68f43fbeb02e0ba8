import type {} from '../../../test/postgres/global-setup.ts'
import { sha256, type Store, type StoreChange } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { postgresStore, type PostgresStoreOptions } from './postgres-store.ts'
import { newSchemaName } from './testing/postgres-harness.ts'
import { observed } from './testing/observed-pool.ts'

const url = inject('pgUrl')
const pool = new pg.Pool({ connectionString: url, max: 20 })
// A test ends connections of the pool.
pool.on('error', () => undefined)
const opened: Store[] = []
let schema = ''

beforeEach(() => {
  schema = newSchemaName()
})
afterEach(async () => {
  for (const store of opened.splice(0)) await store[Symbol.asyncDispose]()
  await pool.query(`drop schema if exists ${schema} cascade`)
})
afterAll(async () => pool.end())

async function open(options: PostgresStoreOptions = {}): Promise<Store> {
  const store = await postgresStore({ url, poolSize: 2 }, { schema, ...options })
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
  const up = async (): Promise<void> => until((all) => all.some(({ runId }) => runId === undefined))
  return { heard, until, up, stop: async () => subscription[Symbol.asyncDispose]() }
}

const isPost = (of: string) => (changes: readonly StoreChange[]) =>
  changes.some(({ runId, kind }) => runId === of && kind === 'posted')

/** Connections of the server that listen to our schema's channel; another test file may listen to its own. */
async function listening(): Promise<readonly number[]> {
  const channel = `varve_${sha256(`varve changes ${schema}`).slice(0, 16)}`
  const query = `select pid from pg_stat_activity where application_name = 'varve listen' and query like $1`
  const { rows } = await pool.query<{ pid: number }>(query, [`listen ${channel};%`])
  return rows.map(({ pid }) => pid)
}

async function untilListening(count: number): Promise<void> {
  while ((await listening()).length !== count);
}

describe('what is told', () => {
  test('is heard once by the store that did it, also when it hears others', async () => {
    const [store, other] = [await open(), await open()]
    const listener = listen(store)
    await listener.up()

    await enqueue(store)
    await post(store, 'run-1', 'p')
    await enqueue(other, 'run-2')
    await listener.until((heard) => heard.some(({ runId }) => runId === 'run-2'))

    expect(listener.heard.filter(({ runId }) => runId !== undefined)).toEqual([
      { runId: 'run-1', kind: 'moved', dueInMs: 0 },
      { runId: 'run-1', kind: 'posted', dueInMs: 0 },
      { runId: 'run-2', kind: 'moved', dueInMs: 0 },
    ])
  })

  test('of a thousand posts at once nothing is lost, whatever the ids of the runs', { timeout: 30_000 }, async () => {
    const [store, other] = [await open(), await open()]
    const runs = Array.from({ length: 100 }, (_, n) => `${n} ${'räumt 完了 🌊"\\'.repeat(n % 12)}`)
    await Promise.all(runs.map(async (runId) => enqueue(other, runId)))
    const listener = listen(store)
    await listener.up()

    await Promise.all(Array.from({ length: 1000 }, async (_, n) => post(other, runs[n % 100] ?? '', `p${n}`)))
    await listener.until((heard) => runs.every((runId) => isPost(runId)(heard)))

    expect(listener.heard.every(({ runId }) => runId === undefined || runs.includes(runId))).toBe(true)
  })

  test('right before the store is closed is still told', async () => {
    const listener = listen(await open())
    await listener.up()
    const brief = await open()
    await enqueue(brief)

    const kept = post(brief, 'run-1', 'p')
    await brief[Symbol.asyncDispose]()
    await kept

    await listener.until(isPost('run-1'))
  })

  test('is not told to stores of another schema', async () => {
    const elsewhere = await postgresStore({ url, poolSize: 1 }, { schema: `${schema}b` })
    opened.push(elsewhere)
    const [store, other] = [await open(), await open()]
    const [listener, stranger] = [listen(store), listen(elsewhere)]
    await Promise.all([listener.up(), stranger.up()])

    await enqueue(other)
    await listener.until((heard) => heard.some(({ runId }) => runId === 'run-1'))
    await pool.query(`drop schema ${schema}b cascade`)

    expect(stranger.heard.every(({ runId }) => runId === undefined)).toBe(true)
  })

  test.for(['fails', 'has no answer'])('is lost where NOTIFY %s, and nothing else is', async (how) => {
    const breaking = observed(pool, () => async (text, execute) => {
      if (!text.includes('pg_notify')) return execute()
      if (how === 'fails') throw new Error('Connection terminated unexpectedly')
      return new Promise(() => undefined)
    })
    const store = await postgresStore({ pool: breaking }, { schema })

    await enqueue(store)
    await post(store, 'run-1', 'p')
    const row = await store.runs.find('run-1')
    await store[Symbol.asyncDispose]()

    expect(row).toMatchObject({ head: 1, waiting: 1 })
    expect(pool.idleCount).toBe(pool.totalCount)
  })
})

describe('the connection that listens', () => {
  test('is one for all subscriptions, from the first to the last', async () => {
    const store = await open()
    await enqueue(store)
    expect(await listening()).toHaveLength(0)

    const listeners = Array.from({ length: 5 }, () => listen(store))
    for (const listener of listeners) await listener.up()
    expect(await listening()).toHaveLength(1)
    for (const listener of listeners.slice(1)) await listener.stop()
    expect(await listening()).toHaveLength(1)
    await listeners[0]?.stop()

    await untilListening(0)
    const again = listen(store)
    await again.up()
    expect(await listening()).toHaveLength(1)
  })

  test('goes with the store, also while it is being made', async () => {
    const store = await open()
    listen(store)
    await store[Symbol.asyncDispose]()
    const other = await open()
    await listen(other).up()

    await other[Symbol.asyncDispose]()

    await untilListening(0)
    expect(() => other.notifications?.subscribe(() => undefined)).toThrow('STORE_CLOSED')
  })

  test('is made again when it is lost, and tells that anything may have changed', async () => {
    const [store, other] = [await open(), await open()]
    await enqueue(other)
    const listener = listen(store)
    await listener.up()

    for (let life = 0; life < 2; life++) {
      await untilListening(1)
      const [lost] = await listening()
      listener.heard.length = 0
      await pool.query('select pg_terminate_backend($1)', [lost])
      await listener.up()
      // What is told of the run itself may still be on its way.
      expect(listener.heard.filter(({ runId }) => runId === undefined)).toEqual([
        { kind: 'posted', dueInMs: 0 },
        { kind: 'moved', dueInMs: 0 },
      ])
    }

    await post(other, 'run-1', 'p')
    await listener.until(isPost('run-1'))
    await untilListening(1)
  })

  test('that cannot be made is nobody’s error', async () => {
    const nowhere = new URL(url)
    nowhere.port = '1'
    const store = await open({ notifications: { url: nowhere.href } })
    const listener = listen(store)

    await enqueue(store)
    await listener.until((heard) => heard.length > 0)

    expect(listener.heard).toEqual([{ runId: 'run-1', kind: 'moved', dueInMs: 0 }])
  })

  test('is one of a pool that was passed, and does not come back', async () => {
    const passed = new pg.Pool({ connectionString: url, max: 3 })
    const store = await postgresStore({ pool: passed }, { schema })
    const listener = listen(store)
    await listener.up()
    const [connection] = await listening()
    const other = await open()
    await enqueue(other)
    await listener.until((heard) => heard.some(({ runId }) => runId === 'run-1'))

    await listener.stop()
    await untilListening(0)
    await store[Symbol.asyncDispose]()

    const { rows } = await passed.query<{ pid: number }>('select pg_backend_pid() as pid')
    expect(rows[0]?.pid).not.toBe(connection)
    await passed.end()
  })

  test('is not taken from a pool that has but one', async () => {
    const single = new pg.Pool({ connectionString: url, max: 1 })
    const store = await postgresStore({ pool: single }, { schema })
    const listener = listen(store)

    await enqueue(store)
    await listener.until((heard) => heard.length > 0)

    expect(await listening()).toHaveLength(0)
    await store[Symbol.asyncDispose]()
    await single.end()
  })

  test('leaves a connection to work with, however many stores share the pool', { timeout: 20_000 }, async () => {
    const shared = new pg.Pool({ connectionString: url, max: 2 })
    const stores = await Promise.all([1, 2, 3].map(async () => postgresStore({ pool: shared }, { schema })))
    const [first] = stores.map((store) => listen(store))
    await first?.up()

    for (const [n, store] of stores.entries()) await enqueue(store, `run-${n}`)
    await first?.until((heard) => heard.some(({ runId }) => runId === 'run-2'))

    expect(await listening()).toHaveLength(1)
    for (const store of stores) await store[Symbol.asyncDispose]()
    await shared.end()
  })

  test('goes to the address that was given', async () => {
    const role = `role_${schema}`
    await pool.query(`create role ${role} login password 'x'`)
    const direct = new URL(url)
    direct.username = role
    direct.password = 'x'
    const store = await open({ notifications: { url: direct.href } })
    const listener = listen(store)
    await listener.up()

    await enqueue(await open())
    await listener.until((heard) => heard.some(({ runId }) => runId === 'run-1'))

    const { rows } = await pool.query('select usename from pg_stat_activity where pid = any($1)', [await listening()])
    expect(rows).toEqual([{ usename: role }])
    await store[Symbol.asyncDispose]()
    await pool.query(`drop role ${role}`)
  })

  test('to an address that cannot be is INVALID_ARGUMENT', async () => {
    const notifications = { url: 'postgres://me:hunter2@:port/varve' }

    await expect(postgresStore({ url }, { schema, notifications })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test.for(['own', 'pooled'])('keeps no process alive: %s', { timeout: 30_000 }, async (whose) => {
    const program = path.join(import.meta.dirname, 'testing', 'listen-and-leave.ts')
    const args = ['--conditions=@varve/source', program, url, schema, whose]

    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 })

    expect(stdout).toBe('listening')
  })
})

describe('a store that is not to notify', () => {
  test('says so, sends nothing and listens to nothing', async () => {
    const statements: string[] = []
    const counting = observed(pool, () => async (text, execute) => {
      statements.push(text)
      return execute()
    })
    const store = await postgresStore({ pool: counting }, { schema, notifications: false })

    await enqueue(store)
    await post(store, 'run-1', 'p')
    await store[Symbol.asyncDispose]()

    expect(store.capabilities.notify).toBe(false)
    expect(store.notifications).toBeUndefined()
    expect(statements.filter((text) => text.includes('notify') || text.startsWith('listen'))).toEqual([])
  })
})
