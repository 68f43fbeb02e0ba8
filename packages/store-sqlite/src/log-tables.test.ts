import { genesis, isStoreError, type Store, type StoredEvent } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import SQLite from 'better-sqlite3'
import { readFile, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { sqliteStore } from './sqlite-store.ts'
import { temporaryFolder } from './testing/sqlite-harness.ts'

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const running = { status: 'running', blockedOn: [], wakeAt: 0 } as const
const idle = { workflow: 'w', version: '1', tags: [], queue: 'q' }
const create = { ...idle, lease: { owner, leaseMs: 60_000 } }
const search = { queues: [{ name: 'q' }], workflows: [{ name: 'w', versions: ['1'] }], formats: [1] }
const names = ['a', 'b', 'c', 'd', 'e']

const first = async (store: Store, runId: string): Promise<unknown> =>
  store.events.append(runId, sampleEvents(runId, 1), { expectedHead: 0, fencingToken: 0, run: { ...running, create } })

const next = async (store: Store, runId: string, seq: number): Promise<unknown> =>
  store.events.append(runId, sampleEvents(runId, seq).slice(-1), {
    ...{ expectedHead: seq - 1, fencingToken: 1, run: running },
  })

async function read(store: Store, runId: string, range = {}): Promise<readonly StoredEvent[]> {
  return Array.fromAsync(store.events.read(runId, range))
}

/** How many events of each run lie where, as `[alone, shared]`. */
function places(database: SQLite.Database): unknown {
  const count = (table: string): string => `(select count(*) from ${table} where id >> 31 = runs.number)`
  const query = `select ${count('lone_events')}, ${count('shared_events')} from runs order by run_id`
  return database.prepare(query).raw().all()
}

/** Five runs that begin one by one, take one step at once, and one more one by one. */
async function grow(store: Store): Promise<void> {
  for (const name of names) await first(store, name)
  await Promise.all(names.map(async (name) => next(store, name, 2)))
  for (const name of names) await next(store, name, 3)
}

test('what a run appends alone lies apart from what many append at once, and each log is read whole and in order', async () => {
  const database = new SQLite(':memory:')
  await using store = await sqliteStore({ database })
  await grow(store)

  expect(places(database)).toEqual(names.map(() => [2, 1]))
  for (const name of names) {
    const log = sampleEvents(name, 3)
    expect(await read(store, name)).toEqual(log)
    expect(await read(store, name, { from: 2 })).toEqual(log.slice(1))
    expect(await read(store, name, { to: 2 })).toEqual(log.slice(0, 2))
    for (const seq of [1, 2, 3]) expect(await read(store, name, { from: seq, limit: 1 })).toEqual([log[seq - 1]])
  }
})

test.for([2 ** 22, 2 ** 31, 2 ** 32 - 10])(
  'the logs of runs behind run %d are read whole and in order',
  async (number) => {
    const database = new SQLite(':memory:')
    await using store = await sqliteStore({ database })
    await first(store, 'z')
    database.prepare("update runs set number = ? where run_id = 'z'").run(number)
    await grow(store)

    for (const name of names) {
      const log = sampleEvents(name, 3)
      expect(await read(store, name)).toEqual(log)
      for (const seq of [1, 2, 3]) expect(await read(store, name, { from: seq, limit: 1 })).toEqual([log[seq - 1]])
    }
  },
)

test('the query of the README reads a log by hand, through keys', async () => {
  const database = new SQLite(':memory:')
  await using store = await sqliteStore({ database })
  await grow(store)
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const query = /```sql\n([^`]*from events[^`]*)```/.exec(readme)?.[1]?.replaceAll("'...'", "'c'") ?? ''

  const log = sampleEvents('c', 3).map(({ seq, type, body }) => ({ seq, type, body }))
  expect(database.prepare(query).all()).toEqual(log)
  const plan = database.prepare(`explain query plan ${query}`).all() as readonly { readonly detail: string }[]
  expect(plan.map(({ detail }) => detail).filter((step) => step.startsWith('SCAN'))).toEqual([])
})

test('an append that is alone writes two pages: that of the run, and the last one of its log', async () => {
  const folder = await temporaryFolder()
  const file = path.join(folder, 'runs.sqlite')
  const store = await sqliteStore({ path: file })
  const [frame, header] = [4096 + 24, 32]
  const frames = async (): Promise<number> => ((await stat(`${file}-wal`)).size - header) / frame
  await first(store, 'a')
  const before = await frames()
  for (let seq = 2; seq <= 11; seq++) await next(store, 'a', seq)
  const after = await frames()
  await store[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })

  expect(after - before).toBe(20)
})

test('few runs that append at once lie in their own places', async () => {
  const database = new SQLite(':memory:')
  await using store = await sqliteStore({ database })

  await Promise.all(names.slice(0, 3).map(async (name) => first(store, name)))

  expect(places(database)).toEqual([
    [1, 0],
    [1, 0],
    [1, 0],
  ])
})

test('a claim tells each of the runs that began at once its own first event', async () => {
  await using store = await sqliteStore({ database: new SQLite(':memory:') })
  await Promise.all(
    names.map(async (name) =>
      store.events.append(name, sampleEvents(name, 1), {
        ...{ expectedHead: 0, fencingToken: 0, run: { ...running, create: idle } },
      }),
    ),
  )

  const claims = await store.runs.claim({ ...search, owner, leaseMs: 60_000, limit: 10 })

  expect(claims.map(({ first }) => first)).toEqual(claims.map(({ runId }) => sampleEvents(runId, 1)[0]))
})

test('a run that is removed leaves nothing in either place, and whoever gets its number has a log of its own', async () => {
  const database = new SQLite(':memory:')
  let now = 1_000_000
  await using store = await sqliteStore({ database }, { now: () => now })
  await grow(store)
  const { number } = database.prepare("select number from runs where run_id = 'e'").get() as { readonly number: number }
  now += 60_001

  await store.runs.remove('e', { ifTerminal: false })
  await first(store, 'f')

  expect(places(database)).toEqual([...names.slice(0, 4).map(() => [2, 1]), [1, 0]])
  expect(database.prepare("select number from runs where run_id = 'f'").pluck().get()).toBe(number)
  expect(await read(store, 'f')).toEqual(sampleEvents('f', 1))
  expect(await read(store, 'e')).toEqual([])
})

test('a log that is full takes no event, which would be in the log of the next run', async () => {
  const database = new SQLite(':memory:')
  await using store = await sqliteStore({ database })
  await first(store, 'a')
  await first(store, 'b')
  const last = 2 ** 31 - 1
  database.prepare("update runs set head = ? where run_id = 'a'").run(last)
  const beyond = sampleEvents('a', 1, { ...genesis('a'), seq: last })

  const refused = await store.events
    .append('a', beyond, { expectedHead: last, fencingToken: 1, run: running })
    .catch((error: unknown) => error)

  expect(isStoreError(refused, 'STORE_FAILED')).toBe(true)
  expect(await read(store, 'b')).toEqual(sampleEvents('b', 1))
  expect((await store.runs.find('a'))?.head).toBe(last)
})
