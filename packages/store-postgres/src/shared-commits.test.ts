import type {} from '../../../test/postgres/global-setup.ts'
import { isStoreError, type RunUpdate, type Store } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import pg from 'pg'
import { describe, expect, inject, test } from 'vitest'
import { postgresStore } from './postgres-store.ts'
import { observed } from './testing/observed-pool.ts'
import { schemaPool } from './testing/schema-pool.ts'

const running: RunUpdate = { status: 'running', blockedOn: [], wakeAt: 0 }
const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const create = { workflow: 'w', version: '1', tags: [], queue: 'q', lease: { owner, leaseMs: 60_000 } }

let schema = ''
const pool = schemaPool(inject('pgUrl'), (name) => {
  schema = name
})

const named = (count: number): readonly string[] => Array.from({ length: count }, (_, n) => `run-${n}`)

async function start(store: Store, runId: string): Promise<void> {
  const options = { expectedHead: 0, fencingToken: 0, run: { ...running, create } }
  await store.events.append(runId, sampleEvents(runId, 1), options)
}

async function extend(store: Store, runId: string, head: number): Promise<void> {
  const options = { expectedHead: head, fencingToken: 1, run: running }
  await store.events.append(runId, sampleEvents(runId, head + 1).slice(head), options)
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'done',
    (error: unknown) => (isStoreError(error) ? error.code : String(error)),
  )
}

async function opened(notes: string[] = [], groupCommit = true): Promise<Store> {
  const noting = observed(pool, () => async (text, execute) => {
    notes.push(text)
    return execute()
  })
  return postgresStore({ pool: noting }, { schema, notifications: false, groupCommit })
}

/** Somebody else's transaction that has created a run: a create waits for another of its id. */
async function creating(runId: string): Promise<pg.PoolClient> {
  const other = await pool.connect()
  await other.query('begin')
  await other.query(
    `insert into ${schema}.runs (run_id, workflow, version, tags, queue, priority, created_at, status,
      blocked_on, head, format, waiting, posted, recoveries, token)
      values ($1, 'w', '1', '[]', 'q', 0, 0, 'running', '[]', 0, 0, 0, 0, 0, 0)`,
    [runId],
  )
  return other
}

describe('writes of many runs at once', () => {
  test.for([
    [true, 4],
    [false, 200],
  ] as const)('are few statements where they share commits: %s', async ([groupCommit, atMost]) => {
    const texts: string[] = []
    const store = await opened(texts, groupCommit)
    texts.length = 0

    await Promise.all(named(100).map(async (runId) => start(store, runId)))
    await Promise.all(named(100).map(async (runId) => extend(store, runId, 1)))

    expect(texts.length).toBeLessThanOrEqual(atMost)
    expect((await store.runs.list({}, { limit: 100 })).items.map(({ head }) => head)).toEqual(new Array(100).fill(2))
  })

  test('do not wait for somebody who holds the row of one of them', async () => {
    const store = await opened()
    await Promise.all(named(20).map(async (runId) => start(store, runId)))
    const other = await pool.connect()
    await other.query(`begin; select 1 from ${schema}.runs where run_id = 'run-3' for update`)

    const appends = named(20).map(async (runId) => extend(store, runId, 1))
    const [held] = appends.splice(3, 1)
    await Promise.all(appends)
    await Promise.all(['run-0', 'run-1'].map(async (runId) => extend(store, runId, 2)))

    expect((await store.runs.find('run-3'))?.head).toBe(1)
    await other.query('rollback')
    other.release()
    await held
    expect((await store.runs.find('run-3'))?.head).toBe(2)
  })

  test('go on while others, each made alone, wait for somebody who holds their rows', async () => {
    const store = await opened()
    await Promise.all(named(10).map(async (runId) => start(store, runId)))
    const other = await pool.connect()
    other.on('error', () => undefined)
    // Where nobody goes on, the server ends it, and what follows fails instead of waiting for ever.
    const begin = `begin; set local idle_in_transaction_session_timeout = '5s'`
    await other.query(`${begin}; select 1 from ${schema}.runs where run_id in ('run-0', 'run-1') for update`)
    const waiting = `select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and query like $1`
    const held: Promise<void>[] = []
    for (const runId of named(2)) {
      held.push(extend(store, runId, 1))
      while ((await pool.query<{ n: number }>(waiting, [`%"${schema}"%`])).rows[0]?.n !== held.length);
    }

    const free = named(10).slice(2)
    await Promise.all(free.map(async (runId) => extend(store, runId, 1)))

    await other.query('rollback')
    other.release()
    await Promise.all(held)
    expect((await store.runs.list({}, { limit: 10 })).items.map(({ head }) => head)).toEqual(new Array(10).fill(2))
  })

  test('are all UNKNOWN_OUTCOME when the server ends their connection', async () => {
    const store = await opened()
    const other = await creating('run-1')

    const codes = named(3).map(async (runId) => codeOf(start(store, runId)))
    const terminate = `select pg_terminate_backend(pid) from pg_stat_activity
      where wait_event_type = 'Lock' and query like $1 and pid <> pg_backend_pid()`
    while ((await pool.query(terminate, [`%"${schema}"%`])).rowCount === 0);

    expect(await Promise.all(codes)).toEqual(new Array(3).fill('UNKNOWN_OUTCOME'))
    await other.query('rollback')
    other.release()
    expect((await store.runs.list({}, { limit: 9 })).items).toEqual([])
  })

  test('are not given up for one of them that waits longer than its role may', async () => {
    const hasty = new pg.Pool({ connectionString: inject('pgUrl'), options: '-c lock_timeout=100ms', max: 10 })
    const store = await postgresStore({ pool: hasty }, { schema, notifications: false })
    const other = await creating('run-1')

    const codes = await Promise.all(named(4).map(async (runId) => codeOf(start(store, runId))))
    await other.query('rollback')
    other.release()
    await hasty.end()

    expect(codes).toEqual(['done', 'STORE_BUSY', 'done', 'done'])
  })

  test('never wait for one another in a circle, whatever else is written to the same runs', async () => {
    const stores = await Promise.all([opened(), opened(), opened()])
    const runIds = named(60)
    const codes = await Promise.all(
      stores.flatMap((store, n) => {
        const order = n === 1 ? runIds.toReversed() : n === 2 ? runIds.toSorted() : runIds
        return order.flatMap((runId, i) => [
          codeOf(start(store, runId)),
          codeOf(extend(store, runId, 1)),
          codeOf(store.inbox.post(runId, { id: `p${n}-${i}`, type: 'T', body: '{}' }, { maxWaiting: 9 })),
          ...(i % 10 === 0 ? [codeOf(store.runs.acquire(runId, { owner, leaseMs: 60_000 }))] : []),
        ])
      }),
    )

    const expected = ['done', 'HEAD_CONFLICT', 'RUN_NOT_FOUND', 'FENCED']
    expect(codes.filter((code) => !expected.includes(code))).toEqual([])
    expect((await stores[0].runs.list({}, { limit: 100 })).items).toHaveLength(60)
  })
})
