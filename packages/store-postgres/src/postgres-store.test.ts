import type {} from '../../../test/postgres/global-setup.ts'
import { contentId, isStoreError, type RunUpdate, type Store } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import pg from 'pg'
import { describe, expect, inject, test } from 'vitest'
import { migratePostgres, postgresStore } from './postgres-store.ts'
import { explained } from './testing/explained-pool.ts'
import { observed } from './testing/observed-pool.ts'
import { schemaPool } from './testing/schema-pool.ts'

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const running: RunUpdate = { status: 'running', blockedOn: [], wakeAt: 0 }
const create = { workflow: 'w', version: '1', tags: ['t'], queue: 'q', lease: { owner, leaseMs: 60_000 } }

const driven = { workflows: [{ name: 'w', versions: ['1'] }], formats: [1] }
const limited = { name: 'q', rate: { limit: 9, periodMs: 9 } }

const url = inject('pgUrl')
let schema = ''
const pool = schemaPool(url, (name) => {
  schema = name
})

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
    ].map(([, count]) => count)
    const [{ token: fencingToken }, ofFirst] = await counted(store.runs.acquire('run-1', lease))
    const nothing = { ...lease, workflows: [], queues: [], formats: [1], limit: 1 }
    const [, ofClaim] = await counted(store.runs.claim(nothing))
    const bytes = new Uint8Array(1024 * 1024)
    const entry = { key: 'k', group: 'g', artifacts: [contentId(bytes)], body: 1 }
    const refers = { ...append, expectedHead: 5, run: { ...running, artifacts: [contentId(bytes)] } }
    const ofContents = [
      await counted(store.artifacts.put(bytes)),
      await counted(store.artifacts.put(bytes)),
      await counted(store.artifacts.touch([contentId(bytes)])),
      await counted(store.cache.putIfAbsent(entry)),
      await counted(store.events.append('run-1', sampleEvents('run-1', 6).slice(5), { ...refers, fencingToken })),
      await counted(store.runs.referred([contentId(bytes)])),
    ].map(([, count]) => count)
    const [claim, ofAcquire] = await counted(store.runs.acquire('run-1', lease))
    const [, ofRenew] = await counted(store.runs.renew(claim, { leaseMs: 1 }))
    const [, ofRelease] = await counted(store.runs.release(claim, { expectedHead: 6, run: running }))

    expect([...counts, ofFirst, ofClaim, ...ofContents, ofAcquire, ofRenew, ofRelease]).toEqual(new Array(15).fill(1))
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

  test('a claim from queues without limits is one statement, however many they are', async () => {
    const statements: string[] = []
    const counting = observed(pool, () => async (text, execute) => {
      statements.push(text)
      return execute()
    })
    const store = await postgresStore({ pool: counting }, { schema, notifications: false })
    await startRun(store)
    await store.runs.release(await store.runs.acquire('run-1', { owner, leaseMs: 1 }), { expectedHead: 1 })
    statements.length = 0

    const queues = [...Array.from({ length: 999 }, (_, i) => ({ name: `other ${i}` })), { name: 'q' }]
    const claims = await store.runs.claim({ owner, leaseMs: 1, ...driven, queues, limit: 1 })

    expect(claims.map(({ runId }) => runId)).toEqual(['run-1'])
    expect(statements).toHaveLength(1)
  })

  test('a claim within limits that finds nothing is one statement, which locks nothing', async () => {
    const statements: string[] = []
    const counting = observed(pool, () => async (text, execute) => {
      statements.push(text)
      return execute()
    })
    const store = await postgresStore({ pool: counting }, { schema, notifications: false })
    await startRun(store)
    statements.length = 0

    expect(await store.runs.claim({ owner, leaseMs: 1, ...driven, queues: [limited], limit: 1 })).toEqual([])

    expect(statements).toHaveLength(1)
    expect(statements.join()).not.toMatch(/lock|for (no key )?update/)
  })

  test.for([
    ['without limits', { name: 'q' }],
    ['within limits', limited],
  ] as const)('no claim looks at runs that are not due: %s', async ([, queue]) => {
    const plans: string[] = []
    const store = await postgresStore(
      { pool: explained(pool, schema, { lines: plans, command: 'explain (analyze)' }) },
      { schema },
    )
    await manyRuns(schema)

    expect(await store.runs.claim({ owner, leaseMs: 1, ...driven, queues: [queue], limit: 1 })).toHaveLength(1)
    expect(await store.runs.dueIn({ ...driven, queues: [queue] })).toBeGreaterThan(0)

    const scans = plans.filter((line) => /Scan .*\bon runs\b|Index Scan on runs_/.test(line))
    expect(scans.filter((line) => line.includes('Seq Scan'))).toEqual([])
    expect(scans.filter((line) => line.includes(' runs_due ')).length).toBeGreaterThan(2)
    const rows = scans.map((line) => Number(/actual time=\S+ rows=([\d.]+)/.exec(line)?.[1]))
    expect(Math.max(...rows)).toBeLessThan(5)
    expect(plans.join('\n')).not.toMatch(/Rows Removed by Filter: \d\d/)
  })

  test('limits hold on a server whose transactions repeat their reads by default', async () => {
    const repeating = new pg.Pool({
      connectionString: url,
      options: '-c default_transaction_isolation=repeatable\\ read',
      max: 8,
    })
    const store = await postgresStore({ pool: repeating }, { schema })
    for (let n = 0; n < 20; n++) await startRun(store, `run-${n}`)
    await pool.query(`update ${schema}.runs set lease_owner = null, lease_owner_id = null, lease_until = null`)
    const queues = [{ name: 'q', concurrency: 3 }]

    const claims = await Promise.all(
      Array.from({ length: 8 }, async () => store.runs.claim({ owner, leaseMs: 60_000, ...driven, queues, limit: 2 })),
    )

    expect(claims.flat()).toHaveLength(3)
    await repeating.end()
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

test('a large snapshot is kept as it is: to compress it takes longer than to write it', async () => {
  await using store = await postgresStore({ url }, { schema })
  await startRun(store)
  const body = 'a'.repeat(100_000)
  const code = { format: 1, workflowVersion: '1', build: 'b' }

  await store.snapshots.save({ runId: 'run-1', seq: 1, hash: 'h', ...code, body })

  const { rows } = await pool.query<{ size: number }>(`select pg_column_size(body) as size from ${schema}.snapshots`)
  expect(rows).toEqual([{ size: body.length }])
  expect((await store.snapshots.latest('run-1'))?.body).toBe(body)
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

/** One run that is due among thousands that are not: future, leased, parked and ended ones, of several priorities. */
async function manyRuns(name: string): Promise<void> {
  const future = '4102444800000'
  const columns = `run_id, workflow, version, tags, queue, priority, created_at, status, blocked_on, wake_at, head, format,
    waiting, posted, recoveries, token, problem, retry_at, lease_owner, lease_owner_id, lease_until`
  const rest = `1, 1, 0, 0, 0, 1`
  // An analysis while they are inserted would take the table for empty, and the planner any index for as good as another.
  await pool.query(`alter table ${name}.runs set (autovacuum_enabled = off)`)
  await pool.query(`insert into ${name}.runs (${columns})
    select 'run-' || i, 'w', '1', '[]', 'q', i % 3, 0, case i % 4 when 0 then 'completed' else 'running' end, '[]',
      case i % 4 when 0 then null when 1 then ${future} else 1 end, ${rest},
      case i % 4 when 2 then '{}' end, case i % 4 when 2 then ${future} end,
      case i % 4 when 3 then '{}' end, case i % 4 when 3 then 'x' end, case i % 4 when 3 then ${future} end
    from generate_series(1, 20000) as i`)
  await pool.query(`insert into ${name}.runs (${columns})
    values ('due', 'w', '1', '[]', 'q', 1, 0, 'running', '[]', 1, ${rest}, null, null, null, null, null)`)
}
