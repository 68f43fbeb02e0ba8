import { sampleEvents } from '@varve/store-contract'
import SQLite from 'better-sqlite3'
import { contentId, type Store } from '@varve/store'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sqliteStore } from './sqlite-store.ts'

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }

let database: SQLite.Database
let store: Store

beforeEach(async () => {
  database = new SQLite(':memory:')
  store = await sqliteStore({ database })
  const create = { workflow: 'w', version: '1', tags: ['t'], queue: 'q', lease: { owner, leaseMs: 60_000 } }
  const run = { status: 'running', blockedOn: [], wakeAt: 0, owes: [], create } as const
  await store.events.append('run-1', sampleEvents('run-1', 1), { expectedHead: 0, fencingToken: 0, run })
})
afterEach(async () => {
  await store[Symbol.asyncDispose]()
  database.close()
})

test.for(['tags', 'blocked_on', 'lease_owner', 'owes', 'problem'])(
  'a row whose %s was damaged is STORE_FAILED, and says of which run',
  async (column) => {
    database.prepare(`update runs set ${column} = '[1,'`).run()

    for (const call of [store.runs.find('run-1'), store.runs.list({}, { limit: 10 })]) {
      await expect(call).rejects.toMatchObject({
        code: 'STORE_FAILED',
        where: { runId: 'run-1' },
        message: expect.stringContaining(`${column} of run run-1 is no JSON`) as string,
      })
    }
  },
)

test('an entry of the cache that was damaged holds nothing, and can be taken out', async () => {
  const key = contentId('key')
  await store.cache.putIfAbsent({ key, group: 'g', artifacts: [], body: { a: 1 } })
  database.prepare(`update cache_entries set body = '{"a', artifacts = ''`).run()

  expect(await store.cache.find(key)).toMatchObject({ body: null, artifacts: [] })
  expect((await store.cache.list({}, { limit: 10 })).items).toMatchObject([{ key, body: null }])
  expect(await store.cache.delete(key)).toBe(true)
})
