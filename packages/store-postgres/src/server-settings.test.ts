import type {} from '../../../test/postgres/global-setup.ts'
import { genesis, isStoreError } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import type { PostgresPool } from './pool.ts'
import { postgresStore } from './postgres-store.ts'
import { newSchemaName } from './testing/postgres-harness.ts'

/** A store whose role, database or server has this setting, as `alter role ... set` makes it. */
async function storeWith(setting: string) {
  const schema = newSchemaName()
  const pool = new pg.Pool({ connectionString: inject('pgUrl'), max: 8, options: `-c ${setting}` })
  const store = await postgresStore({ pool }, { schema, notifications: false })
  const end = async (): Promise<void> => {
    await store[Symbol.asyncDispose]()
    await pool.query(`drop schema ${schema} cascade`)
    await pool.end()
  }
  return { store, [Symbol.asyncDispose]: end }
}

const owner = { id: 'o', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const running = { status: 'running', blockedOn: [], wakeAt: 0 } as const
const create = { workflow: 'w', version: '1', tags: [], queue: 'q', lease: { owner, leaseMs: 60_000 } }

test('with bytea_output = escape a secret comes back as it was put, and may be put again', async () => {
  await using at = await storeWith('bytea_output=escape')
  const sealed = Buffer.from('sealed \\ \0 \xff', 'latin1')
  await at.store.secrets.put('s1', sealed)

  expect(Buffer.from((await at.store.secrets.get('s1')) ?? []).toString('latin1')).toBe(sealed.toString('latin1'))
  await expect(at.store.secrets.put('s1', sealed)).resolves.toBeUndefined()
})

test('with bytea_output = escape artifacts of one and of several chunks come back', async () => {
  await using at = await storeWith('bytea_output=escape')
  for (const bytes of [Buffer.from('hello'), Buffer.alloc(2_500_000, '\\\xe9x', 'latin1')]) {
    const id = await at.store.artifacts.put(bytes)
    expect(Buffer.compare(await (await at.store.artifacts.get(id)).bytes(), bytes)).toBe(0)
  }
})

test('with array_nulls = off a post that was taken is not kept a second time', async () => {
  await using at = await storeWith('array_nulls=off')
  const { store } = at
  const first = sampleEvents('r', 1)
  await store.events.append('r', first, { expectedHead: 0, fencingToken: 0, run: { ...running, create } })
  const post = { id: 'p', type: 'T', body: '{}' }
  await store.inbox.post('r', post, { maxWaiting: 9 })
  const next = sampleEvents('r', 1, first[0] ?? genesis('r'))
  await store.events.append('r', next, { expectedHead: 1, fencingToken: 1, run: running, take: ['p'] })

  expect((await store.inbox.rejected('r', { limit: 9 })).items).toEqual([])
  expect(await store.inbox.post('r', post, { maxWaiting: 9 })).toBe('duplicate')
})

test.for(['repeatable\\ read', 'serializable'])('at %s posts to one run are all kept', async (level) => {
  await using at = await storeWith(`default_transaction_isolation=${level}`)
  await at.store.events.append('r', sampleEvents('r', 1), {
    expectedHead: 0,
    fencingToken: 0,
    run: { ...running, create },
  })
  const posting = Array.from({ length: 20 }, async (_, n) =>
    at.store.inbox
      .post('r', { id: `p${n}`, type: 'T', body: '{}' }, { maxWaiting: 99 })
      .catch((error: unknown) => (isStoreError(error) ? error.code : error)),
  )

  expect([...new Set(await Promise.all(posting))]).toEqual(['kept'])
})

/** A pool whose driver prepares whatever it sends, as that of `pg.native` does. */
function preparing(pool: pg.Pool): PostgresPool {
  return {
    connect: async () => {
      const client = await pool.connect()
      return {
        query: async (query) => client.query(Object.assign({ queryMode: 'extended' }, query)),
        on: client.on.bind(client),
        removeListener: client.removeListener.bind(client),
        release: (destroy) => client.release(destroy),
      }
    },
  }
}

test('with a driver that sends one statement at a time a store is opened, and writes of several statements are made', async () => {
  const schema = newSchemaName()
  const pool = new pg.Pool({ connectionString: inject('pgUrl'), max: 2 })
  const bytes = Buffer.alloc(2_500_000, 'x')
  try {
    await using store = await postgresStore({ pool: preparing(pool) }, { schema, notifications: false })

    const id = await store.artifacts.put(bytes)

    expect(Buffer.compare(await (await store.artifacts.get(id)).bytes(), bytes)).toBe(0)
  } finally {
    await pool.query(`drop schema if exists ${schema} cascade`)
    await pool.end()
  }
})
