import { contentId, type ReadRange, type RunUpdate, type Store } from '@varve/store'
import { expect, test } from 'vitest'
import type { SqlDialect } from './dialect.ts'
import type { SqlExecutor, Step } from './executor.ts'
import { postgresDialect } from './postgres/postgres-dialect.ts'
import type { Query } from './query.ts'
import { sqliteDialect } from './sqlite/sqlite-dialect.ts'
import { sqlStore } from './sql-store.ts'

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const running = { status: 'running', blockedOn: [], wakeAt: 0 } as const
const id = contentId('an artifact')
const create = { workflow: 'w', version: '1', tags: ['t'], queue: 'q' }

/** Executes nothing and notes every query; every answer is empty. */
function recorder(): { readonly executor: SqlExecutor; readonly queries: Query<never, unknown>[] } {
  const queries: Query<never, unknown>[] = []
  const answer = ({ answer, query }: Step): unknown => {
    queries.push(query)
    return answer === 'all' ? [] : answer === 'run' ? 0 : undefined
  }
  return {
    queries,
    executor: {
      get: async (query) => answer({ answer: 'get', query, args: {} }) as undefined,
      all: async (query) => answer({ answer: 'all', query, args: {} }) as [],
      run: async (query) => answer({ answer: 'run', query, args: {} }) as number,
      transaction: async (_mode, steps) => {
        const work = steps()
        let next = work.next()
        while (next.done !== true) next = work.next(answer(next.value))
        return next.value
      },
    },
  }
}

/** Every query that the methods of a store ask for. */
async function queriesOf(dialect: SqlDialect): Promise<readonly Query<never, unknown>[]> {
  const { executor, queries } = recorder()
  const capabilities = { durable: true, shared: true }
  const store = sqlStore({ executor, dialect, capabilities, now: () => 1, close: async () => undefined })
  await Promise.allSettled(callsOf(store).map(async (call) => call()))
  return queries
}

function callsOf({
  events,
  runs,
  inbox,
  snapshots,
  artifacts,
  cache,
  secrets,
}: Store): readonly (() => Promise<unknown>)[] {
  const claim = {
    runId: 'r',
    workflow: 'w',
    version: '1',
    queue: 'q',
    owner,
    token: 1,
    leaseUntil: 1,
    head: 1,
    status: 'running',
    waiting: 0,
    recoveries: 0,
  } as const
  const lease = { owner, leaseMs: 1 }
  const snapshot = { runId: 'r', seq: 1, hash: '', format: 1, workflowVersion: '1', build: '1', body: '' }
  return [
    async () => events.append('r', [], { expectedHead: 0, fencingToken: 0, run: { ...running, create } }),
    async () => events.append('r', [], { expectedHead: 1, fencingToken: 1, run: running }),
    async () => events.append('r', [], { expectedHead: 1, fencingToken: 1, run: running, take: ['p'] }),
    async () =>
      events.append('r', [], { expectedHead: 0, fencingToken: 0, run: { ...running, create, artifacts: [id] } }),
    async () => events.append('r', [], { expectedHead: 1, fencingToken: 1, run: { ...running, artifacts: [id] } }),
    async () => events.read('r')[Symbol.asyncIterator]().next(),
    async () => runs.find('r'),
    async () =>
      runs.list(
        { workflow: 'w', statuses: ['running'], tags: ['t'], parent: 'r', artifact: id, parked: true },
        { limit: 1 },
      ),
    async () => runs.claim({ ...lease, workflows: [], queues: [], formats: [1], limit: 1 }),
    async () => runs.dueIn({ workflows: [], queues: [], formats: [1] }),
    async () => runs.acquire('r', lease),
    async () => runs.renew({ ...claim, owes: [] }, lease),
    async () => runs.release({ ...claim, owes: [] }, { expectedHead: 1 }),
    async () => runs.release({ ...claim, owes: [] }, { expectedHead: 1, run: running }),
    async () => runs.referred([id]),
    async () => runs.remove('r', { ifTerminal: true }),
    async () => inbox.post('r', { id: 'p', type: 'T', body: '' }, { maxWaiting: 1 }),
    async () => inbox.list('r', { limit: 1 }),
    async () => inbox.rejected('r', { limit: 1 }),
    async () => snapshots.save(snapshot),
    async () => snapshots.latest('r'),
    async () => snapshots.prune('r', { keep: 1 }),
    async () => artifacts.put(Uint8Array.of(1)),
    async () => artifacts.put(new Uint8Array(2 * 1024 * 1024)),
    async () => artifacts.get(id),
    async () => artifacts.touch([id]),
    async () => artifacts.list({}, { limit: 1 }),
    async () => artifacts.delete(id, { ifUnusedSince: 0 }),
    async () => cache.find('k'),
    async () => cache.putIfAbsent({ key: 'k', group: 'g', artifacts: [id], body: null }),
    async () => cache.delete('k'),
    async () => cache.list({ group: 'g' }, { limit: 1 }),
    async () => cache.referred([id]),
    async () => secrets.put('s', Uint8Array.of(1)),
    async () => secrets.get('s'),
    async () => secrets.erase('s'),
  ]
}

test('every table of PostgreSQL is named with its schema, so no search path is needed', async () => {
  const queries = await queriesOf(postgresDialect('my_runs'))

  const named = ['artifacts', 'artifact_chunks', 'uploads', 'run_artifacts', 'cache_entries', 'cache_artifacts']
  const tables = `(?:varve_schema|runs|run_tags|events|posts|snapshots|secrets|${named.join('|')})`
  const bare = new RegExp(`(?:from|into|update|join) "?${tables}\\b`)
  expect(queries.length).toBeGreaterThan(15)
  expect(queries.map((query) => query.sql).filter((sql) => bare.test(sql))).toEqual([])
})

test('a query is compiled once: the same call asks for the same text', async () => {
  const { executor, queries } = recorder()
  const capabilities = { durable: true, shared: true }
  const dialect = sqliteDialect()
  const store = sqlStore({ executor, dialect, capabilities, now: () => 1, close: async () => undefined })

  for (let i = 0; i < 2; i++) await store.runs.list({ workflow: 'w' }, { limit: 1 })
  for (let i = 0; i < 2; i++) await store.runs.find('r')

  expect(queries[0]).toBe(queries[1])
  expect(queries[2]).toBe(queries[3])
})

test('stores in the same place share what is compiled, and those of two schemas name each its own', async () => {
  for (const dialectOf of [sqliteDialect, () => postgresDialect('shared')]) {
    const [first, second] = [await queriesOf(dialectOf()), await queriesOf(dialectOf())]

    expect(first.length).toBeGreaterThan(15)
    expect(second.map((query, i) => query === first[i])).toEqual(first.map(() => true))
  }
  const texts = (await queriesOf(postgresDialect('other'))).map(({ sql }) => sql)

  expect(texts.filter((sql) => sql.includes('"other".'))).toHaveLength(texts.length)
})

test('one event is read without asking how many of them make a page', async () => {
  for (const dialect of [sqliteDialect(), postgresDialect('varve')]) {
    const { executor, queries } = recorder()
    const capabilities = { durable: true, shared: true }
    const store = sqlStore({ executor, dialect, capabilities, now: () => 1, close: async () => undefined })
    const read = async (range: ReadRange): Promise<readonly string[]> => {
      queries.length = 0
      for await (const event of store.events.read('r', range)) expect(event).toBeUndefined()
      return queries.map(({ sql }) => sql)
    }

    const [page] = await read({ from: 2 })
    const [one] = await read({ from: 2, to: 2 })

    expect(page).toContain('octet_length')
    expect(one).not.toContain('octet_length')
    expect(await read({ from: 2, limit: 1 })).toEqual([one])
  }
})

test('an append without artifacts says nothing of them', async () => {
  for (const dialect of [sqliteDialect(), postgresDialect('varve')]) {
    const { executor, queries } = recorder()
    const capabilities = { durable: true, shared: true }
    const store = sqlStore({ executor, dialect, capabilities, now: () => 1, close: async () => undefined })
    const texts = async (run: RunUpdate, head: number): Promise<readonly string[]> => {
      queries.length = 0
      await store.events.append('r', [], { expectedHead: head, fencingToken: head, run }).catch(() => undefined)
      return queries.map(({ sql }) => sql)
    }

    for (const [run, head] of [
      [{ ...running, create }, 0],
      [running, 1],
    ] as const) {
      const without = await texts(run, head)
      expect(without.filter((sql) => sql.includes('artifacts'))).toEqual([])
      expect(await texts({ ...run, artifacts: [] }, head)).toEqual(without)
    }
  }
})

test('what may not be repeated is marked as a write, and nothing else', async () => {
  for (const dialect of [sqliteDialect(), postgresDialect('varve')]) {
    const queries = await queriesOf(dialect)

    for (const { sql, writes } of queries)
      expect([sql, /\b(insert|update|delete) /.test(sql.replace('for update', ''))]).toEqual([sql, writes])
  }
})
