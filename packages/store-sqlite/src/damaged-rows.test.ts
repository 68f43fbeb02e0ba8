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

async function enqueue(runId: string): Promise<void> {
  const create = { workflow: 'w', version: '1', tags: [], queue: 'q' }
  const run = { status: 'running', blockedOn: [], wakeAt: 0, create } as const
  await store.events.append(runId, sampleEvents(runId, 1), { expectedHead: 0, fencingToken: 0, run })
}

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

test.for(['owes', 'problem'])(
  'a claim leases a run whose %s was damaged, says so, and leases the others with it',
  async (column) => {
    for (const runId of ['run-2', 'run-3']) await enqueue(runId)
    database.prepare(`update runs set ${column} = '[1,', retry_at = 0 where run_id = 'run-2'`).run()

    for (const concurrency of [undefined, 5]) {
      const claims = await store.runs.claim({
        ...{ workflows: [{ name: 'w', versions: ['1'] }], formats: [1], owner, limit: 10, leaseMs: 60_000 },
        queues: [{ name: 'q', ...(concurrency !== undefined && { concurrency }) }],
      })

      expect(claims.map(({ runId, damage }) => [runId, damage])).toEqual([
        ['run-2', expect.stringContaining(`${column} of run run-2 is no JSON`)],
        ['run-3', undefined],
      ])
      for (const claim of claims) await store.runs.release(claim, { expectedHead: 1 })
      database.prepare(`update runs set ${column} = '[1,', retry_at = 0 where run_id = 'run-2'`).run()
    }
  },
)

test('a damaged run that is acquired can be released with a problem', async () => {
  await enqueue('run-2')
  database.prepare(`update runs set owes = '[1,' where run_id = 'run-2'`).run()

  const claim = await store.runs.acquire('run-2', { owner, leaseMs: 60_000 })
  const problem = { code: 'CORRUPT_LOG', message: claim.damage ?? '', retryAt: null }
  await store.runs.release(claim, { expectedHead: 1, problem })

  expect(claim.owes).toEqual([])
  const row = database.prepare(`select lease_until, problem from runs where run_id = 'run-2'`).get()
  expect(row).toEqual({ lease_until: null, problem: JSON.stringify(problem) })
})

test('an entry of the cache that was damaged holds nothing, and can be taken out', async () => {
  const key = contentId('key')
  await store.cache.putIfAbsent({ key, group: 'g', artifacts: [], body: { a: 1 } })
  database.prepare(`update cache_entries set body = '{"a', artifacts = ''`).run()

  expect(await store.cache.find(key)).toMatchObject({ body: null, artifacts: [] })
  expect((await store.cache.list({}, { limit: 10 })).items).toMatchObject([{ key, body: null }])
  expect(await store.cache.delete(key)).toBe(true)
})
