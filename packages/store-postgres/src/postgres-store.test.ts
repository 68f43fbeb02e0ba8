import type {} from '../../../test/postgres/global-setup.ts'
import { contentId, isStoreError, type RunUpdate, type Store } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import pg from 'pg'
import { afterAll, afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { migratePostgres, postgresStore } from './postgres-store.ts'
import { observed } from './testing/observed-pool.ts'
import { newSchemaName } from './testing/postgres-harness.ts'

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const running: RunUpdate = { status: 'running', blockedOn: [], wakeAt: 0 }
const create = { workflow: 'w', version: '1', tags: ['t'], queue: 'q', lease: { owner, leaseMs: 60_000 } }

const url = inject('pgUrl')
const pool = new pg.Pool({ connectionString: url, max: 10 })
// A test ends connections of the pool.
pool.on('error', () => undefined)
let schema = ''

beforeEach(() => {
  schema = newSchemaName()
})
afterEach(async () => {
  await pool.query(`drop schema if exists ${schema} cascade`)
})
afterAll(async () => pool.end())

/** The error with which a call ends. */
async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await errorOf(call)
  return isStoreError(error) ? error.code : `no store error: ${String(error)}`
}

async function startRun(store: Store, runId = 'run-1'): Promise<void> {
  const options = { expectedHead: 0, fencingToken: 0, run: { ...running, create } }
  await store.events.append(runId, sampleEvents(runId, 1), options)
}

describe('opening', () => {
  test('creates the schema; who opens it later finds what is there', async () => {
    await startRun(await postgresStore({ pool }, { schema }))
    await migratePostgres({ url }, { schema })

    await using store = await postgresStore({ url }, { schema, migrate: false })

    expect((await store.runs.find('run-1'))?.head).toBe(1)
  })

  test('many may open and migrate at once', async () => {
    const stores = await Promise.all(Array.from({ length: 8 }, async () => postgresStore({ pool }, { schema })))

    await startRun(stores[0]!)
    expect((await stores[7]!.runs.list({}, { limit: 10 })).items).toHaveLength(1)
  })

  test('without migration a missing schema is SCHEMA_MISSING and stays missing', async () => {
    expect(await codeOf(postgresStore({ pool }, { schema, migrate: false }))).toBe('SCHEMA_MISSING')

    const { rowCount } = await pool.query('select 1 from pg_namespace where nspname = $1', [schema])
    expect(rowCount).toBe(0)
  })

  test('an empty schema that somebody made for us is ours', async () => {
    await pool.query(`create schema ${schema}`)

    await startRun(await postgresStore({ pool }, { schema }))
  })

  test.for([
    ['customers', 'id int'],
    ['varve_schema', 'application text, version bigint'],
  ])('a schema of somebody else is NOT_A_STORE and stays as it is: %s', async ([table, columns]) => {
    await pool.query(`create schema ${schema}; create table ${schema}.${table} (${columns})`)

    expect(await codeOf(postgresStore({ pool }, { schema }))).toBe('NOT_A_STORE')
    expect(await codeOf(migratePostgres({ pool }, { schema }))).toBe('NOT_A_STORE')

    const { rows } = await pool.query('select tablename from pg_tables where schemaname = $1', [schema])
    expect(rows).toEqual([{ tablename: table }])
  })

  test('a schema of a later release is NEWER_SCHEMA, an older one SCHEMA_MISSING unless migrated', async () => {
    await migratePostgres({ pool }, { schema })

    await pool.query(`update ${schema}.varve_schema set version = 99`)
    expect(await codeOf(postgresStore({ pool }, { schema }))).toBe('NEWER_SCHEMA')
    await pool.query(`update ${schema}.varve_schema set version = 0`)
    expect(await codeOf(postgresStore({ pool }, { schema, migrate: false }))).toBe('SCHEMA_MISSING')
  })

  test('a role that may not change the schema can use it once it is there', async () => {
    const role = `role_${schema}`
    await pool.query(`create role ${role} login password 'x'`)
    const asRole = new URL(url)
    asRole.username = role
    asRole.password = 'x'
    try {
      expect(await codeOf(postgresStore({ url: asRole.href }, { schema }))).toBe('STORE_FAILED')
      await migratePostgres({ pool }, { schema })
      await pool.query(`grant usage on schema ${schema} to ${role};
        grant select, insert, update, delete on all tables in schema ${schema} to ${role}`)

      for (const migrate of [true, false]) {
        await using store = await postgresStore({ url: asRole.href }, { schema, migrate })
        await startRun(store, `run-${migrate}`)
      }
    } finally {
      await pool.query(`drop schema if exists ${schema} cascade; drop role ${role}`)
    }
  })

  test('a name that is no plain identifier is INVALID_ARGUMENT', async () => {
    for (const name of ['', 'a-b', 'a"b', 'pg_varve', 'x'.repeat(64), 'a; drop schema public']) {
      expect(await codeOf(postgresStore({ pool }, { schema: name }))).toBe('INVALID_ARGUMENT')
    }
  })
})

describe('a server that is not there', () => {
  test('is STORE_UNREACHABLE, retryable, and the password is not told', async () => {
    const error = await errorOf(postgresStore({ url: 'postgres://me:hunter2@127.0.0.1:1/varve' }))

    expect(error).toMatchObject({ code: 'STORE_UNREACHABLE', retryable: true })
    expect(String((error as Error).stack)).not.toContain('hunter2')
  })

  test('and a database that is not there is not worth a retry', async () => {
    const missing = new URL(url)
    missing.pathname = '/no_such_database'

    expect(await errorOf(postgresStore({ url: missing.href }))).toMatchObject({
      code: 'STORE_UNREACHABLE',
      retryable: false,
    })
  })

  test('and a url that is none is INVALID_ARGUMENT, and the password is not told', async () => {
    const error = await errorOf(postgresStore({ url: 'postgres://me:hunter2@:port/varve' }))

    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect((error as Error).cause).toBeUndefined()
    expect(String((error as Error).stack)).not.toContain('hunter2')
  })
})

describe('round trips', () => {
  test('every write is one statement without a name, and an append reads nothing besides', async () => {
    const statements: string[] = []
    const counting = observed(pool, () => async (text, execute) => {
      statements.push(text)
      return execute()
    })
    const store = await postgresStore({ pool: counting }, { schema, notifications: false })
    const counted = async <T>(call: Promise<T>): Promise<readonly [T, number]> => {
      statements.length = 0
      return [await call, statements.length]
    }
    const lease = { owner, leaseMs: 1000 }
    const events = sampleEvents('run-1', 5)
    const append = { fencingToken: 1, run: running }

    const counts = [
      await counted(startRun(store)),
      await counted(store.events.append('run-1', events.slice(1, 3), { ...append, expectedHead: 1 })),
      await counted(store.inbox.post('run-1', { id: 'p', type: 'T', body: '{}' }, { maxWaiting: 1 })),
      await counted(store.events.append('run-1', events.slice(3), { ...append, expectedHead: 3, take: ['p'] })),
      await counted(store.runs.acquire('run-1', lease)),
      await counted(store.runs.claim({ ...lease, workflows: [], queues: [], formats: [1], limit: 1 })),
    ].map(([, count]) => count)
    const bytes = new Uint8Array(1024 * 1024)
    const entry = { key: 'k', group: 'g', artifacts: [contentId(bytes)], body: 1 }
    const refers = { ...append, expectedHead: 5, run: { ...running, artifacts: [contentId(bytes)] } }
    const ofContents = [
      await counted(store.artifacts.put(bytes)),
      await counted(store.artifacts.put(bytes)),
      await counted(store.artifacts.touch([contentId(bytes)])),
      await counted(store.cache.putIfAbsent(entry)),
      await counted(store.events.append('run-1', sampleEvents('run-1', 6).slice(5), { ...refers, fencingToken: 2 })),
      await counted(store.runs.referred([contentId(bytes)])),
    ].map(([, count]) => count)
    const [claim, ofAcquire] = await counted(store.runs.acquire('run-1', lease))
    const [, ofRenew] = await counted(store.runs.renew(claim, { leaseMs: 1 }))
    const [, ofRelease] = await counted(store.runs.release(claim, { expectedHead: 6, run: running }))

    expect([...counts, ...ofContents, ofAcquire, ofRenew, ofRelease]).toEqual(new Array(15).fill(1))
  })

  test('an append changes no index', async () => {
    const single = new pg.Pool({ connectionString: url, max: 1 })
    const store = await postgresStore({ pool: single }, { schema })
    await startRun(store)
    const events = sampleEvents('run-1', 21)

    for (let head = 1; head <= 20; head++) {
      const options = {
        expectedHead: head,
        fencingToken: 1,
        run: { ...running, blockedOn: [{ kind: 'timer', key: `${head}` }] },
      }
      await store.events.append('run-1', events.slice(head, head + 1), options as never)
    }

    await single.query('select pg_stat_force_next_flush()')
    const { rows } = await single.query<{ n_tup_upd: string; n_tup_hot_upd: string }>(
      'select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where schemaname = $1 and relname = $2',
      [schema, 'runs'],
    )
    expect(rows).toEqual([{ n_tup_upd: '20', n_tup_hot_upd: '20' }])
    await single.end()
  })

  test('due runs are found by their index', async () => {
    const plans: string[] = []
    const store = await postgresStore({ pool: explaining(plans) }, { schema })
    await startRun(store)

    await store.runs.claim({
      owner,
      leaseMs: 1,
      workflows: [{ name: 'w', versions: ['1'] }],
      queues: [{ name: 'q' }],
      formats: [1],
      limit: 1,
    })

    expect(plans.join('\n')).toMatch(/Index Scan (using|on) runs_due/)
  })

  test("the clock is the server's unless one is given", async () => {
    const store = await postgresStore({ pool }, { schema })
    const clock = async (): Promise<number> => {
      const { rows } = await pool.query<{ ms: string }>('select extract(epoch from clock_timestamp()) * 1000 as ms')
      return Number(rows[0]?.ms)
    }

    const before = await clock()
    await startRun(store)
    const after = await clock()

    const createdAt = (await store.runs.find('run-1'))?.createdAt
    expect(createdAt).toBeGreaterThanOrEqual(Math.floor(before))
    expect(createdAt).toBeLessThanOrEqual(after)
  })
})

describe('connections', () => {
  test('a write whose connection is ended by the server is UNKNOWN_OUTCOME, and the next call gets another', async () => {
    const store = await postgresStore({ pool }, { schema })
    await startRun(store)
    const other = await pool.connect()
    await other.query(`begin; select 1 from ${schema}.runs for update`)

    const posting = codeOf(store.inbox.post('run-1', { id: 'p', type: 'T', body: '{}' }, { maxWaiting: 1 }))
    await terminateWaiting(schema)

    expect(await posting).toBe('UNKNOWN_OUTCOME')
    await other.query('rollback')
    other.release()
    expect((await store.runs.find('run-1'))?.waiting).toBe(0)
  })

  test('a removal whose connection is ended before its commit did not happen', async () => {
    const store = await postgresStore({ pool }, { schema })
    await startRun(store)
    await store.runs.release({ ...(await store.runs.acquire('run-1', { owner, leaseMs: 1 })) }, { expectedHead: 1 })
    const other = await pool.connect()
    await other.query(`begin; select 1 from ${schema}.runs for update`)

    const removing = codeOf(store.runs.remove('run-1', { ifTerminal: false }))
    await terminateWaiting(schema)

    expect(await removing).toBe('STORE_UNREACHABLE')
    await other.query('rollback')
    other.release()
    expect((await store.runs.find('run-1'))?.head).toBe(1)
  })

  test('closing waits for what is under way, and leaves a passed pool open', async () => {
    const store = await postgresStore({ url, poolSize: 2 }, { schema })
    await startRun(store)
    const finds = Array.from({ length: 20 }, async () => store.runs.find('run-1'))

    await store[Symbol.asyncDispose]()

    expect((await Promise.all(finds)).map((row) => row?.head)).toEqual(new Array(20).fill(1))
    const passed = await postgresStore({ pool }, { schema })
    await passed[Symbol.asyncDispose]()
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

/** Ends the connection that waits for a row of the schema, as soon as there is one. */
async function terminateWaiting(name: string): Promise<void> {
  const terminate = `select pg_terminate_backend(pid) from pg_stat_activity
    where wait_event_type = 'Lock' and query like $1 and pid <> pg_backend_pid()`
  while ((await pool.query(terminate, [`%"${name}"%`])).rowCount === 0);
}

/** A pool on which every query tells its plan before it runs; small tables are scanned unless that is forbidden. */
function explaining(plans: string[]): ReturnType<typeof observed> {
  return {
    connect: async () => {
      const client = await pool.connect()
      return {
        query: async (query) => {
          if (query.text.startsWith('with "due"')) {
            await client.query('begin; set local enable_seqscan = off')
            const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain ${query.text}`, query.values)
            await client.query('rollback')
            plans.push(...rows.map((row) => row['QUERY PLAN']))
          }
          return client.query(query)
        },
        on: client.on.bind(client),
        removeListener: client.removeListener.bind(client),
        release: (destroy) => client.release(destroy),
      }
    },
  }
}
