import type {} from '../../../../test/postgres/global-setup.ts'
import { createKernel, type LogEvent } from '@varve/kernel'
import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { describe, expect, inject, test } from 'vitest'
import { virtualClock } from '../virtual-clock.ts'
import { keepSecrets, SECRETS, type Kept } from './secret-scenario.ts'

const plain = Object.values(SECRETS)

/** How each secret could be spelled in bytes. */
const spellings = plain.flatMap((text) => {
  const bytes = Buffer.from(text)
  return [
    bytes,
    Buffer.from(text, 'utf16le'),
    Buffer.from(bytes.toString('base64')),
    Buffer.from(bytes.toString('hex')),
  ]
})

function secretsIn(bytes: Uint8Array): string[] {
  const found = Buffer.from(bytes)
  return spellings.filter((spelling) => found.includes(spelling)).map(String)
}

/** Everything that a store tells of its runs, and the sealed values that they refer to. */
async function toldBy(store: Store): Promise<{ readonly texts: string; readonly sealed: readonly Uint8Array[] }> {
  const parts: unknown[] = []
  const { items } = await store.runs.list({}, { limit: 100 })
  for (const row of items) {
    const events: unknown[] = []
    for await (const event of store.events.read(row.runId)) events.push(event)
    const { items: posts } = await store.inbox.list(row.runId, { limit: 100 })
    const rejected = await store.inbox.rejected(row.runId, { limit: 100 })
    parts.push({ row, events, posts, rejected, snapshot: await store.snapshots.latest(row.runId) })
  }
  const texts = JSON.stringify(parts)
  const ids = new Set([...texts.matchAll(/\$secret\\*":\\*"([0-9a-f]+)/g)].map(([, id]) => id ?? ''))
  const sealed = await Promise.all([...ids].map(async (id) => (await store.secrets.get(id)) ?? new Uint8Array()))
  return { texts, sealed }
}

/** The scenario came to its end, every handler got what it had to get, and nothing got out. */
async function expectKept(store: Store, { outcome, given, warnings }: Kept, label: string): Promise<void> {
  expect(outcome, label).toMatchObject({ status: 'completed' })
  const { started, signaled, answered, returned, ofChild, settled, configured } = SECRETS
  const all = [
    started,
    { session: returned },
    { traded: ofChild },
    { token: signaled },
    { token: answered },
    { receipt: settled },
  ]
  for (const needed of [{ key: configured }, { started }, { card: started }, { all }]) {
    expect(given, label).toContainEqual(needed)
  }
  const { texts, sealed } = await toldBy(store)
  expect(secretsIn(Buffer.from(texts)), label).toEqual([])
  expect(sealed.length, label).toBeGreaterThanOrEqual(6)
  for (const bytes of sealed) {
    expect(bytes.length, label).toBeGreaterThan(60)
    expect(secretsIn(bytes), label).toEqual([])
  }
  expect(secretsIn(Buffer.from(warnings.join('\n'))), label).toEqual([])
}

/** A fresh store, and how to leave nothing of it behind. */
type Place = (now: () => number) => Promise<{ readonly store: Store; readonly leave: () => Promise<void> }>

const inMemory: Place = async (now) => {
  const store = memoryStore({ now })
  return Promise.resolve({ store, leave: async () => store[Symbol.asyncDispose]() })
}

const onSqlite: Place = async (now) => {
  const store = await sqliteStore({ path: ':memory:' }, { now })
  return { store, leave: async () => store[Symbol.asyncDispose]() }
}

const onPostgres: Place = async (now) => {
  const schema = `secrets_${crypto.randomUUID().replaceAll('-', '')}`
  const pool = new pg.Pool({ connectionString: inject('pgUrl'), max: 4 })
  const store = await postgresStore({ pool }, { now, schema })
  const leave = async (): Promise<void> => {
    await pool.query(`drop schema "${schema}" cascade`)
    await pool.end()
  }
  return { store, leave }
}

async function playOn(place: Place, crashesAt: readonly number[], label: string): Promise<Kept> {
  const clock = virtualClock()
  const { store, leave } = await place(clock.now)
  try {
    const kept = await keepSecrets(store, clock, crashesAt)
    await expectKept(store, kept, label)
    return kept
  } finally {
    await leave()
  }
}

const places: readonly (readonly [string, Place, number])[] = [
  ['in memory', inMemory, 1],
  ['on SQLite', onSqlite, 9],
  ['on Postgres', onPostgres, 29],
]

describe.for(places)('secrets %s', ([, place, every]) => {
  test('reach the handlers that they are for, and nobody else', { timeout: 60_000 }, async () => {
    await playOn(place, [], 'undisturbed')
  })

  test('do so, too, wherever the process dies, also between keeping and recording', { timeout: 180_000 }, async () => {
    let deaths = 0
    for (let at = 1; ; at += every) {
      const { crashes } = await playOn(place, [at, 1 + (at % 7)], `dies at ${at}`)
      if (crashes === 0) break
      deaths += crashes
    }

    expect(deaths).toBeGreaterThan(100 / every)
  })
})

describe('a file', () => {
  test('holds no secret in any byte, neither the database nor its write-ahead log, after a run that used them everywhere', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'varve-secrets-'))
    const clock = virtualClock()
    const store = await sqliteStore({ path: path.join(folder, 'runs.db') }, { now: clock.now })
    const kept = await keepSecrets(store, clock)
    const filesOf = async (): Promise<[string, Buffer][]> =>
      Promise.all(
        (await readdir(folder)).map(async (name): Promise<[string, Buffer]> => [
          name,
          await readFile(path.join(folder, name)),
        ]),
      )

    const open = await filesOf()
    await expectKept(store, kept, 'on file')
    await store[Symbol.asyncDispose]()
    const closed = await filesOf()
    await rm(folder, { recursive: true })

    expect(open.map(([name]) => name)).toContain('runs.db-wal')
    for (const [name, bytes] of [...open, ...closed]) expect([name, secretsIn(bytes)]).toEqual([name, []])
    // The scan can find something: what is no secret is there.
    const [, wal] = open.find(([name]) => name === 'runs.db-wal') ?? ['', Buffer.alloc(0)]
    expect(wal.includes('the line broke while [secret] was sent')).toBe(true)
  })
})

describe('whatever listens to commits', () => {
  test('hears of no secret either', async () => {
    const clock = virtualClock()
    const store = memoryStore({ now: clock.now })
    const heard: LogEvent[] = []
    await keepSecrets(store, clock)
    const kernel = createKernel({ store, workflows: [] })
    for await (const event of kernel.watch('r')) heard.push(event)
    const timeline = await kernel.timeline('r')

    expect(heard.length).toBeGreaterThan(10)
    expect(secretsIn(Buffer.from(JSON.stringify([heard, timeline])))).toEqual([])
  })
})
