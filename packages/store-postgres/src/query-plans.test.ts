import type {} from '../../../test/postgres/global-setup.ts'
import { contentId, type RunFilter, type RunUpdate, type Store } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { migratePostgres, postgresStore } from './postgres-store.ts'
import { explained } from './testing/explained-pool.ts'
import { newSchemaName } from './testing/postgres-harness.ts'

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const running: RunUpdate = { status: 'running', blockedOn: [], wakeAt: 0 }
const driven = { workflows: [{ name: 'w', versions: ['1'] }], queues: [{ name: 'q' }], formats: [1] }

/** An artifact that all runs refer to. */
const artifact = contentId('common')

const pool = new pg.Pool({ connectionString: inject('pgUrl'), max: 10 })
const schema = newSchemaName()

beforeAll(async () => {
  await migratePostgres({ pool }, { schema })
  await manyRuns()
}, 60_000)
afterAll(async () => {
  await pool.query(`drop schema if exists ${schema} cascade`)
  await pool.end()
})

/** Runs of many workflows, statuses, parents and tags, most of them ended; each with a log and posts that it took. */
async function manyRuns(): Promise<void> {
  await insertRuns(schema)
  await pool.query(`
    insert into ${schema}.events (run_id, seq, v, type, at, body, hash)
    select 'run-' || i, seq, 1, 'T', 1, '{}', 'h' from generate_series(1, 10000) as i, generate_series(1, 3) as seq;
    insert into ${schema}.posts (run_id, number, id, type, body, state, posted_at)
    select 'run-' || i, number, 'p' || number, 'T', '{}', 'taken', 1
    from generate_series(1, 10000) as i, generate_series(1, 2) as number`)
  // Not all of the database: other files fill their tables meanwhile, and would have them taken for empty.
  const tables = ['runs', 'events', 'posts', 'run_tags', 'run_artifacts'].map((table) => `${schema}.${table}`)
  await pool.query(`analyze ${tables.join(', ')}`)
}

/** 10,000 of them, none of which is leased. */
async function insertRuns(schema: string): Promise<void> {
  const later = '4102444800000'
  await pool.query(`
    insert into ${schema}.runs (run_id, workflow, version, tags, queue, priority, parent, created_at, status, blocked_on,
      wake_at, head, format, waiting, posted, owes, recoveries, problem, token)
    select 'run-' || i, 'w' || i % 100, '1', '["common"]', 'q', i % 3, case i % 9 when 0 then 'run-' || i / 90 end, i,
      case when i % 500 = 0 then 'failed' when i % 3 = 0 then 'blocked' else 'completed' end, '[]',
      case i % 3 when 0 then ${later} end, 3, 1, 0, 2, case i % 400 when 1 then '[]' end, 0,
      case i % 300 when 2 then '{}' end, 1
    from generate_series(1, 10000) as i;
    insert into ${schema}.run_tags (tag, created_at, run_id)
    select tag, i, 'run-' || i from generate_series(1, 10000) as i, unnest(array['common', 'of-' || i % 200]) as tag;
    insert into ${schema}.run_artifacts (artifact, created_at, run_id)
    select '${artifact}', i, 'run-' || i from generate_series(1, 10000) as i`)
}

const list =
  (filter: RunFilter) =>
  async ({ runs }: Store) =>
    runs.list(filter, { limit: 10 })

async function started({ events }: Store): Promise<string> {
  const runId = `started-${crypto.randomUUID()}`
  const create = { workflow: 'w', version: '1', tags: ['t'], queue: 'other', lease: { owner, leaseMs: 60_000 } }
  const run = { ...running, create }
  await events.append(runId, sampleEvents(runId, 1), { expectedHead: 0, fencingToken: 0, run })
  return runId
}

async function claimWithinRate(store: Store): Promise<unknown> {
  const runId = `due-${crypto.randomUUID()}`
  const create = { workflow: 'w', version: '1', tags: [], queue: 'rated' }
  const run = { ...running, create }
  await store.events.append(runId, sampleEvents(runId, 1), { expectedHead: 0, fencingToken: 0, run })
  const queues = [{ name: 'rated', rate: { limit: 1, periodMs: 1000 } }]
  return store.runs.claim({ ...driven, queues, owner, leaseMs: 1, limit: 1 })
}

const append = async (
  { events }: Store,
  runId: string,
  run: RunUpdate = running,
  take: readonly string[] = [],
): Promise<unknown> =>
  events.append(runId, sampleEvents(runId, 2).slice(1), { expectedHead: 1, fencingToken: 1, run, take })

const post = async ({ inbox }: Store, runId: string): Promise<unknown> =>
  inbox.post(runId, { id: 'p', type: 'T', body: '{}' }, { maxWaiting: 9 })

async function read({ events }: Store): Promise<void> {
  let count = 0
  for await (const event of events.read('run-7', { from: 2, limit: 100 })) count += event.seq > 1 ? 1 : 0
  expect(count).toBe(2)
}

type Call = (store: Store) => Promise<unknown>

/** Every call that workers make again and again, and the index that serves it. */
const calls: readonly (readonly [what: string, index: string, call: Call])[] = [
  ['a claim', 'runs_due', async ({ runs }) => runs.claim({ ...driven, owner, leaseMs: 1, limit: 1 })],
  ['a claim within a rate', 'runs_begun', claimWithinRate],
  ['the time of the next due run', 'runs_due', async ({ runs }) => runs.dueIn(driven)],
  ['a list of all runs', 'runs_newest', list({})],
  ['a list by workflow', 'runs_by_workflow', list({ workflow: 'w7' })],
  ['a list by status', 'runs_by_status', list({ statuses: ['failed'] })],
  ['a list by tag', 'run_tags_key', list({ tags: ['of-7'] })],
  ['a list by parent', 'runs_by_parent', list({ parent: 'run-7' })],
  ['a list of parked runs', 'runs_parked', list({ parked: true })],
  ['a list of leased runs', 'runs_leased', list({ leased: true })],
  ['a list of runs that owe something', 'runs_owing', list({ owing: true })],
  ['a start', 'runs_key', started],
  ['an append', 'runs_key', async (store) => append(store, await started(store))],
  [
    'an append that ends the run',
    'runs_key',
    async (store) => append(store, await started(store), { ...running, status: 'completed', wakeAt: null }),
  ],
  [
    'appends that share a commit',
    'runs_key',
    async (store) => {
      const runIds = [await started(store), await started(store), await started(store)]
      return Promise.all(runIds.map(async (runId) => append(store, runId)))
    },
  ],
  ['a page of a log', 'events_key', read],
  ['a post', 'posts_by_id', async (store) => post(store, await started(store))],
  [
    'an append that takes a post',
    'posts_',
    async (store) => {
      const runId = await started(store)
      await post(store, runId)
      return append(store, runId, running, ['p'])
    },
  ],
]

test.for(calls)('%s goes through an index and reads no table as a whole', async ([, index, call]) => {
  const plans: string[] = []
  const store = await postgresStore(
    { pool: explained(pool, schema, { lines: plans, command: 'explain' }) },
    { schema, notifications: false },
  )
  plans.length = 0

  await call(store)

  expect(plans.join('\n')).toContain(index)
  expect(plans.filter((line) => /Seq Scan on (runs|events|posts|run_tags|run_artifacts)\b/.test(line))).toEqual([])
})

test('writes that share a commit are compared with one another by no join', async () => {
  const plans: string[] = []
  const store = await postgresStore(
    { pool: explained(pool, schema, { lines: plans, command: 'explain' }) },
    { schema, notifications: false },
  )
  const runIds = [await started(store), await started(store), await started(store)]
  plans.length = 0

  await Promise.all(runIds.map(async (runId) => append(store, runId)))

  expect(plans.join('\n')).toContain('Function Scan on reference')
  expect(plans.filter((line) => line.includes('Join Filter'))).toEqual([])
})

test.for<[what: string, filter: RunFilter, most?: number]>([
  ['all', {}],
  ['a workflow', { workflow: 'w7' }],
  ['a status', { statuses: ['blocked'] }],
  ['several statuses', { statuses: ['completed', 'blocked', 'failed'] }],
  ['a tag that all have', { tags: ['common'] }],
  // The 50 of the second.
  ['a tag that all have, and one that few have', { tags: ['common', 'of-8'] }, 50],
  ['a tag and a status', { tags: ['common'], statuses: ['completed'] }],
  ['an artifact that all refer to', { artifact }],
  ['an artifact and a status', { artifact, statuses: ['completed'] }],
  ['an artifact and a status that few have', { artifact, statuses: ['failed'] }],
  ['an artifact and a tag', { artifact, tags: ['common'] }],
])('a list of the runs of %s reads hardly more of them than it answers', async ([, filter, most = 33]) => {
  const plans: string[] = []
  const store = await postgresStore(
    { pool: explained(pool, schema, { lines: plans, command: 'explain (analyze)' }) },
    { schema, notifications: false },
  )
  plans.length = 0

  const { items } = await store.runs.list(filter, { limit: 10 })

  const read = plans.flatMap((line) => /actual time=.* rows=(\d+)/.exec(line)?.[1] ?? []).map(Number)
  expect(items).toHaveLength(10)
  expect(read.length).toBeGreaterThan(1)
  // One more than asked for, of each status.
  expect(Math.max(...read)).toBeLessThanOrEqual(most)
})

test('a list of leased runs reads no others before the server has statistics', async () => {
  expect(await planWithoutStatistics({ leased: true })).toContain('runs_leased')
})

test.for<[what: string, filter: RunFilter]>([
  ['a tag and a status', { tags: ['common'], statuses: ['completed'] }],
  ['a tag and a workflow', { tags: ['common'], workflow: 'w7' }],
  ['a tag and a parent', { tags: ['common'], parent: 'run-1' }],
  ['a tag and a problem', { tags: ['common'], parked: true }],
])('a list by %s compares no runs with one another before the server has statistics', async ([, filter]) => {
  const plan = await planWithoutStatistics(filter)

  expect(plan).toContain('runs_key')
  expect(plan).not.toContain('Join Filter')
})

/** How a list is had of tables that were just filled. */
async function planWithoutStatistics(filter: RunFilter): Promise<string> {
  const fresh = newSchemaName()
  await migratePostgres({ pool }, { schema: fresh })
  await insertRuns(fresh)
  const plans: string[] = []
  const store = await postgresStore(
    { pool: explained(pool, fresh, { lines: plans, command: 'explain' }) },
    { schema: fresh, notifications: false },
  )
  plans.length = 0
  await store.runs.list(filter, { limit: 10 })
  await pool.query(`drop schema ${fresh} cascade`)
  return plans.join('\n')
}
