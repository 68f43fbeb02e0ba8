import type {} from '../../../test/postgres/global-setup.ts'
import { describeStoreContract, sampleEvents } from '@varve/store-contract'
import type { RunUpdate, Store } from '@varve/store'
import pg from 'pg'
import { afterAll, describe, expect, inject, test } from 'vitest'
import { migratePostgres, postgresStore } from './postgres-store.ts'
import { observed } from './testing/observed-pool.ts'
import { dropFunctions, schemaHarnesses } from './testing/postgres-harness.ts'
import { schemaPool } from './testing/schema-pool.ts'

const running: RunUpdate = { status: 'running', blockedOn: [], wakeAt: 0 }
const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const create = { workflow: 'w', version: '1', tags: [], queue: 'q', lease: { owner, leaseMs: 60_000 } }

const url = inject('pgUrl')
let schema = ''
const pool = schemaPool(url, (name) => {
  schema = name
})

async function functions(): Promise<readonly string[]> {
  const { rows } = await pool.query<{ name: string }>(
    'select proname as name from pg_proc where pronamespace = $1::regnamespace order by proname',
    [schema],
  )
  return rows.map(({ name }) => name)
}

/** What the session of a pool of one connection keeps by name. */
async function namedIn(single: pg.Pool): Promise<readonly string[]> {
  const { rows } = await single.query<{ name: string }>('select name from pg_prepared_statements order by name')
  return rows.map(({ name }) => name)
}

/** A pool that notes what is sent. */
function noting(texts: string[]): ReturnType<typeof observed> {
  return observed(pool, () => async (text, execute) => {
    texts.push(text)
    return execute()
  })
}

async function start(store: Store, runId: string): Promise<void> {
  const options = { expectedHead: 0, fencingToken: 0, run: { ...running, create } }
  await store.events.append(runId, sampleEvents(runId, 1), options)
}

async function extend(store: Store, runId: string, head: number, count = 1): Promise<void> {
  const options = { expectedHead: head, fencingToken: 1, run: running }
  await store.events.append(runId, sampleEvents(runId, head + count).slice(head), options)
}

describe('stored statements', () => {
  test('are made with the schema, and once', async () => {
    const [first, again]: [string[], string[]] = [[], []]
    await migratePostgres({ pool: noting(first) }, { schema })
    const made = await functions()

    await migratePostgres({ pool: noting(again) }, { schema })

    expect(first.filter((text) => text.startsWith('create function'))).toHaveLength(made.length)
    expect(made.length).toBeGreaterThan(10)
    expect(again.filter((text) => text.startsWith('create'))).toEqual([])
    expect(await functions()).toEqual(made)
  })

  test('are made where a release that had none, or others, was before', async () => {
    await migratePostgres({ pool }, { schema })
    const made = await functions()
    const [renamed = '', dropped = ''] = made
    await pool.query(`alter function ${schema}.${renamed} rename to append_of_another_release`)
    await pool.query(`drop function ${schema}.${dropped}`)

    await Promise.all(Array.from({ length: 4 }, async () => migratePostgres({ pool }, { schema })))

    expect(await functions()).toEqual([...made, 'append_of_another_release'].toSorted())
  })

  test('are called, each by one statement', async () => {
    const texts: string[] = []
    const store = await postgresStore({ pool: noting(texts) }, { schema, notifications: false })
    await start(store, 'run-1')
    texts.length = 0

    await extend(store, 'run-1', 1)

    expect(texts).toEqual([expect.stringMatching(/^select "\w+"\."append_[0-9a-f]{12}"\(\$1,/)])
  })

  test('are all of them there, however a log, a snapshot or an inbox is read', async () => {
    const refused: string[] = []
    const noticing = observed(pool, () => async (text, execute) => {
      try {
        return await execute()
      } catch (error) {
        refused.push(text)
        throw error
      }
    })
    const store = await postgresStore({ pool: noticing }, { schema, notifications: false })
    await start(store, 'run-1')

    for await (const _ of store.events.read('run-1', { limit: 1 }));
    for await (const _ of store.events.read('run-1'));
    await store.snapshots.latest('run-1')
    await store.inbox.list('run-1', { limit: 1 })

    expect(refused).toEqual([])
  })

  test('are there for appends of one, of two and of more events, each of which writes what it is given', async () => {
    const texts: string[] = []
    const store = await postgresStore({ pool: noting(texts) }, { schema, notifications: false })
    await start(store, 'run-1')
    texts.length = 0

    for (const [head, count] of [
      [1, 1],
      [2, 2],
      [4, 3],
    ] as const)
      await extend(store, 'run-1', head, count)

    const called = texts.map((text) => /"(append_[0-9a-f]{12})"/.exec(text)?.[1])
    expect(new Set(called).size).toBe(3)
    expect(await functions()).toEqual(expect.arrayContaining(called))
    expect(await Array.fromAsync(store.events.read('run-1'))).toEqual(sampleEvents('run-1', 7))
  })

  test('are called by a name, which the session keeps and which stands for one text', async () => {
    const single = new pg.Pool({ connectionString: url, max: 1 })
    const store = await postgresStore({ pool: single }, { schema, notifications: false })
    await start(store, 'run-1')
    await extend(store, 'run-1', 1)

    expect(await namedIn(single)).toEqual([expect.stringMatching(/^append_/), expect.stringMatching(/^create_/)])
    await single.end()
  })

  test('are called without a name where none is wanted', async () => {
    const single = new pg.Pool({ connectionString: url, max: 1 })
    const store = await postgresStore({ pool: single }, { schema, notifications: false, preparedStatements: false })
    await start(store, 'run-1')

    expect(await namedIn(single)).toEqual([])
    await single.end()
  })

  test('are called without a name once a session has forgotten one, as behind a pooler, and nothing is lost', async () => {
    const single = new pg.Pool({ connectionString: url, max: 1 })
    const store = await postgresStore({ pool: single }, { schema, notifications: false })
    await start(store, 'run-1')
    await extend(store, 'run-1', 1)
    await single.query('deallocate all')

    await extend(store, 'run-1', 2)
    await extend(store, 'run-1', 3)

    expect((await store.runs.find('run-1'))?.head).toBe(4)
    expect(await namedIn(single)).toEqual([])
    await single.end()
  })

  test('are called without a name where the session has one of that name, and nothing is lost', async () => {
    await migratePostgres({ pool }, { schema })
    const single = new pg.Pool({ connectionString: url, max: 1 })
    for (const name of await functions()) await single.query(`prepare "${name}" as select 1`)
    const store = await postgresStore({ pool: single }, { schema, notifications: false })

    await start(store, 'run-1')
    await extend(store, 'run-1', 1)

    expect((await store.runs.find('run-1'))?.head).toBe(2)
    await single.end()
  })

  test('are done without when they are gone, which is noticed once', async () => {
    const texts: string[] = []
    const store = await postgresStore({ pool: noting(texts) }, { schema, notifications: false })
    await start(store, 'run-1')
    await dropFunctions(pool, schema)
    texts.length = 0

    await extend(store, 'run-1', 1)
    await extend(store, 'run-1', 2)

    expect(texts.map((text) => text.slice(0, 4))).toEqual(['sele', 'with', 'with'])
    expect((await store.runs.find('run-1'))?.head).toBe(3)
  })

  test('are done without by a role that may not execute them', async () => {
    await migratePostgres({ pool }, { schema })
    const role = `role_${schema}`
    await pool.query(`create role ${role} login password 'x'; grant usage on schema ${schema} to ${role};
      grant select, insert, update, delete on all tables in schema ${schema} to ${role};
      revoke execute on all functions in schema ${schema} from public`)
    const asRole = new URL(url)
    Object.assign(asRole, { username: role, password: 'x' })
    try {
      await using store = await postgresStore({ url: asRole.href }, { schema, migrate: false })
      await start(store, 'run-1')
      await extend(store, 'run-1', 1)

      expect((await store.runs.find('run-1'))?.head).toBe(2)
    } finally {
      await pool.query(`drop schema ${schema} cascade; drop role ${role}`)
    }
  })

  test('leave an old schema with a role that may make none as it is', async () => {
    await migratePostgres({ pool }, { schema })
    await dropFunctions(pool, schema)
    const role = `role_${schema}`
    await pool.query(`create role ${role} login password 'x'; grant usage on schema ${schema} to ${role};
      grant select, insert, update, delete on all tables in schema ${schema} to ${role}`)
    const asRole = new URL(url)
    Object.assign(asRole, { username: role, password: 'x' })
    try {
      await using store = await postgresStore({ url: asRole.href }, { schema })
      await Promise.all(['run-1', 'run-2', 'run-3'].map(async (runId) => start(store, runId)))

      expect(await functions()).toEqual([])
      expect((await store.runs.list({}, { limit: 9 })).items).toHaveLength(3)
    } finally {
      await pool.query(`drop schema ${schema} cascade; drop role ${role}`)
    }
  })

  test('keep a plan that reads no table as a whole, however small it was when the plan was made', async () => {
    const single = new pg.Pool({ connectionString: url, max: 1 })
    const store = await postgresStore({ pool: single }, { schema, notifications: false })
    for (let n = 0; n < 3; n++) await start(store, `run-${n}`)
    await single.query(`analyze ${schema}.runs; analyze ${schema}.events`)

    const scans = async (): Promise<number> => {
      await single.query('select pg_stat_force_next_flush()')
      const { rows } = await single.query<{ count: string }>(
        `select sum(seq_scan) as count from pg_stat_user_tables where schemaname = $1 and relname in ('runs', 'events')`,
        [schema],
      )
      return Number(rows[0]?.count)
    }
    const before = await scans()

    await Promise.all(Array.from({ length: 3 }, async (_, n) => extend(store, `run-${n}`, 1)))
    await extend(store, 'run-0', 2)
    await store.runs.acquire('run-1', { owner, leaseMs: 1 })
    for await (const _ of store.events.read('run-0'));
    const queues = [{ name: 'q' }]
    await store.runs.claim({
      owner,
      leaseMs: 1,
      workflows: [{ name: 'w', versions: ['1'] }],
      formats: [1],
      queues,
      limit: 9,
    })

    expect(await scans()).toBe(before)
    await single.end()
  })
})

const { make, drop } = schemaHarnesses(url, { functions: false })
afterAll(drop)

describeStoreContract('postgres without functions', make)
