import { contentId, type RunFilter, type RunUpdate, type Store } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import SQLite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { sqliteStore } from './sqlite-store.ts'
import { observed } from './testing/observed-database.ts'

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const running: RunUpdate = { status: 'running', blockedOn: [], wakeAt: 0 }
const driven = { workflows: [{ name: 'w', versions: ['1'] }], queues: [{ name: 'q' }], formats: [1] }
const token = { expectedHead: 1, fencingToken: 1 }

const list =
  (filter: RunFilter) =>
  async ({ runs }: Store) =>
    runs.list(filter, { limit: 10 })

const post = async ({ inbox }: Store): Promise<unknown> =>
  inbox.post('run-1', { id: 'p', type: 'T', body: '{}' }, { maxWaiting: 9 })

const append = async ({ events }: Store, run: RunUpdate, take: readonly string[] = []): Promise<unknown> =>
  events.append('run-1', sampleEvents('run-1', 2).slice(1), { ...token, run, take })

async function read({ events }: Store): Promise<void> {
  for await (const event of events.read('run-1', { from: 1, limit: 100 })) expect(event.seq).toBe(1)
}

type Call = (store: Store) => Promise<unknown>

/** Every call that workers make again and again, and a step of the plan that shows the index that serves it. */
const calls: readonly (readonly [what: string, index: RegExp, call: Call])[] = [
  [
    'a claim',
    /runs_due \(queue=\? AND priority=\?/,
    async ({ runs }) => runs.claim({ ...driven, owner, leaseMs: 1, limit: 1 }),
  ],
  [
    'the time of the next due run',
    /runs_due \(queue=\? AND priority=\? AND <expr>>\?/,
    async ({ runs }) => runs.dueIn(driven),
  ],
  ['a list of all runs', /SCAN runs USING INDEX runs_newest/, list({})],
  ['a list by workflow', /runs_by_workflow \(workflow=\?/, list({ workflow: 'w' })],
  ['a list by status', /runs_by_status \(status=\?/, list({ statuses: ['failed'] })],
  [
    'a list by several statuses',
    /(runs_by_status \(status=\?[^]*){2}/,
    list({ statuses: ['failed', 'completed', 'failed'] }),
  ],
  ['a list by tag', /SEARCH tag0 USING PRIMARY KEY \(tag=\?/, list({ tags: ['t'] })],
  ['a list by parent', /runs_by_parent \(parent=\?/, list({ parent: 'r' })],
  ['a list of parked runs', /SCAN runs USING INDEX runs_parked/, list({ parked: true })],
  ['a list of leased runs', /SCAN runs USING INDEX runs_leased_newest/, list({ leased: true })],
  ['a list of runs that owe something', /SCAN runs USING INDEX runs_owing/, list({ owing: true })],
  ['an append', /SEARCH runs USING .*\(run_id=\?/, async (store) => append(store, running)],
  [
    'an append that ends the run',
    /SEARCH runs USING .*\(run_id=\?/,
    async (store) => append(store, { ...running, status: 'completed', wakeAt: null }),
  ],
  [
    'a page of a log',
    /^MERGE .*SEARCH lone_events USING INTEGER PRIMARY KEY .*SEARCH shared_events USING INDEX .*\(id>\? AND id<\?\)/s,
    read,
  ],
  ['a post', /SEARCH runs USING .*\(run_id=\?/, post],
  [
    'a post that is sent twice',
    /SEARCH posts USING .*posts_by_id \(run_id=\? AND id=\?\)/,
    async (store) => {
      await post(store)
      return post(store)
    },
  ],
  [
    'an append that takes a post',
    /SEARCH posts USING .*\(run_id=\?/,
    async (store) => {
      await post(store)
      return append(store, running, ['p'])
    },
  ],
]

test.for(calls)('%s goes through an index and reads no table as a whole', async ([, index, call]) => {
  const plans: string[] = []
  const database = new SQLite(':memory:')
  const explained = observed(database, (sql, execute, values) => {
    if (/^(select|with|update|insert|delete)/.test(sql) && !sql.includes('sqlite_master')) {
      const steps = database.prepare(`explain query plan ${sql}`).all(values) as { readonly detail: string }[]
      plans.push(...steps.map(({ detail }) => detail))
    }
    return execute()
  })
  await using store = await sqliteStore({ database: explained })
  const create = { workflow: 'w', version: '1', tags: ['t'], queue: 'q', lease: { owner, leaseMs: 60_000 } }
  const options = { expectedHead: 0, fencingToken: 0, run: { ...running, create } }
  await store.events.append('run-1', sampleEvents('run-1', 1), options)
  plans.length = 0

  await call(store)

  expect(plans.join('\n')).toMatch(index)
  const scans = plans.filter((step) =>
    /^SCAN (runs|lone_events|shared_events|posts|run_tags|snapshots|run_artifacts)\b/.test(step),
  )
  expect(scans.filter((step) => !/USING INDEX runs_(newest|leased_newest|parked|owing)/.test(step))).toEqual([])
})

test.for<[what: string, filter: RunFilter, steps: readonly string[]]>([
  ['a status', { statuses: ['completed'] }, ['SEARCH runs USING INDEX runs_by_status (status=?)']],
  [
    'a tag',
    { tags: ['t'] },
    ['SEARCH tag0 USING PRIMARY KEY (tag=?)', 'SEARCH runs USING INDEX sqlite_autoindex_runs_1 (run_id=?)'],
  ],
  [
    'two tags',
    { tags: ['t', 'u'] },
    [
      'SEARCH tag0 USING PRIMARY KEY (tag=?)',
      'SEARCH runs USING INDEX sqlite_autoindex_runs_1 (run_id=?)',
      'SEARCH tag1 USING COVERING INDEX run_tags_by_run (run_id=? AND tag=?)',
    ],
  ],
  [
    'an artifact',
    { artifact: contentId('a') },
    ['SEARCH reference USING PRIMARY KEY (artifact=?)', 'SEARCH runs USING INDEX sqlite_autoindex_runs_1 (run_id=?)'],
  ],
  [
    'a tag and an artifact',
    { tags: ['t'], artifact: contentId('a') },
    [
      'SEARCH reference USING PRIMARY KEY (artifact=?)',
      'SEARCH runs USING INDEX sqlite_autoindex_runs_1 (run_id=?)',
      'SEARCH tag0 USING COVERING INDEX run_tags_by_run (run_id=? AND tag=?)',
    ],
  ],
])('a list by %s is in the order of its index', async ([, filter, steps]) => {
  const plans: string[] = []
  const database = new SQLite(':memory:')
  const explained = observed(database, (sql, execute, values) => {
    if (!sql.startsWith('select')) return execute()
    const steps = database.prepare(`explain query plan ${sql}`).all(values) as { readonly detail: string }[]
    plans.push(...steps.map(({ detail }) => detail))
    return execute()
  })
  await using store = await sqliteStore({ database: explained })
  plans.length = 0

  await store.runs.list(filter, { limit: 10 })

  expect(plans).toEqual(steps.map((step) => expect.stringContaining(step) as string))
})
