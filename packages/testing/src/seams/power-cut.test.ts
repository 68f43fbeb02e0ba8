import { sqliteStore, type SqliteDatabase } from '@varve/store-sqlite'
import SQLite from 'better-sqlite3'
import { cpSync, mkdirSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cutNow, logsOf, newOrdersLog, outlive, placeOrders, type Cut, type OrdersLog } from './orders.ts'

const ORDERS = 10
/** By then every lease has run out. */
const LATER_MS = 3_600_000

/** A copy of the database, taken right after a commit of which nobody was told yet. */
interface Copy {
  readonly folder: string
  /** Expects what was acknowledged before another transaction began: it was in this one, or before it. */
  readonly cut: Cut
}

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'varve-power-cut-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('a power cut between any commit and its acknowledgement takes nothing back that was acknowledged', async () => {
  const { log, copies } = await placeAndCopy()

  let ahead = 0
  for (const { folder: left, cut } of copies) {
    const outlived = await outliveIn(left, log, cut)
    expect(outlived.faults, left).toEqual([])
    ahead += outlived.ahead
  }

  expect(copies.length).toBeGreaterThan(9)
  // Several runs of one commit were further than anybody knew.
  expect(ahead).toBeGreaterThan(20)
})

test('a power cut in the midst of a commit takes all of its batch back, and nothing before it', async () => {
  const { log, copies } = await placeAndCopy()

  let count = 0
  for (const [place, { folder: left, cut }] of copies.entries()) {
    const before = copies[place - 1]
    if (before === undefined || place % 2 === 0) continue
    const [from, to] = [walOf(before.folder), walOf(left)].map((file) => statSync(file).size) as [number, number]
    // After a checkpoint the file is written from its beginning.
    if (to <= from) continue
    const places = [from + 1, Math.floor((from + to) / 2), to - 1]
    const torn = copyOf(left)
    truncateSync(walOf(torn), places[place % places.length])
    count++

    expect(await headsIn(copyOf(torn)), left).toEqual(await headsIn(copyOf(before.folder)))
    const { faults } = await outliveIn(torn, log, { ...cut, expected: before.cut.expected })
    expect(faults, left).toEqual([])
  }

  expect(count).toBeGreaterThan(3)
})

test('a process that is killed before, within or at the end of a shared commit leaves none of it', async () => {
  const places = ['before its begin', 'between two members', 'before its commit'] as const
  const met: string[] = []
  let begun: Copy | undefined
  let runs = new Set<unknown>()
  const killed: { readonly begun: Copy; readonly dead: Copy }[] = []
  const log = await placeWatched((now, sql, values, copy) => {
    if (now !== 'before') return
    if (sql === 'begin immediate') {
      begun = copy()
      runs = new Set()
    }
    if (/^insert into "(lone|shared)_events"/.test(sql)) runs.add(values[0])
    const place = places[met.length % places.length]
    const isThere =
      (place === 'before its begin' && sql === 'begin immediate') ||
      (place === 'between two members' && runs.size === 2) ||
      (place === 'before its commit' && runs.size > 2 && sql === 'commit')
    if (!isThere || begun === undefined || killed.at(-1)?.begun === begun) return
    met.push(place)
    killed.push({ begun, dead: copy() })
  })

  for (const [n, { begun: before, dead }] of killed.entries()) {
    expect(await headsIn(copyOf(dead.folder)), met[n]).toEqual(await headsIn(copyOf(before.folder)))
    expect((await outliveIn(dead.folder, log, dead.cut)).faults, met[n]).toEqual([])
  }

  expect(new Set(met)).toEqual(new Set(places))
})

/** Places orders on a file that is copied after each commit. */
async function placeAndCopy(): Promise<{ readonly log: OrdersLog; readonly copies: readonly Copy[] }> {
  const copies: Copy[] = []
  const expectNow = (log: OrdersLog): void => {
    const last = copies.at(-1)
    if (last !== undefined) last.cut.expected = cutNow(log).acknowledged
  }
  const log = await placeWatched((now, sql, _, copy, done) => {
    if (now === 'after' && sql === 'begin immediate') expectNow(done)
    if (now === 'after' && sql === 'commit') copies.push(copy())
  })
  expectNow(log)
  return { log, copies }
}

/** Sees each statement of a load, its values, and what was acknowledged by then; may copy the files. */
type Watch = (
  now: 'before' | 'after',
  sql: string,
  values: readonly unknown[],
  copy: () => Copy,
  log: OrdersLog,
) => void

/** Places orders on a file, watched by `watch`. */
async function placeWatched(watch: Watch): Promise<OrdersLog> {
  const source = path.join(folder, 'source')
  mkdirSync(source)
  const log = newOrdersLog()
  const database = new SQLite(path.join(source, 'orders.db'), { timeout: 0 })
  let copied = 0
  let isOpen = false
  const copy = (): Copy => {
    const to = path.join(folder, `copy-${copied++}`)
    cpSync(source, to, { recursive: true })
    return { folder: to, cut: cutNow(log) }
  }
  const store = await sqliteStore({
    database: watched(database, (now, sql, values) => {
      if (isOpen) watch(now, sql, values, copy, log)
    }),
  })
  isOpen = true
  await placeOrders(store, log, ORDERS)
  await store[Symbol.asyncDispose]()
  database.close()
  return log
}

/** Tells of each statement before it is executed, and when it was and nobody has heard of it yet. */
function watched(
  database: SQLite.Database,
  tell: (now: 'before' | 'after', sql: string, values: readonly unknown[]) => void,
): SqliteDatabase {
  const telling = <T>(sql: string, values: readonly unknown[], execute: () => T): T => {
    tell('before', sql, values)
    const answer = execute()
    tell('after', sql, values)
    return answer
  }
  return {
    memory: database.memory,
    get inTransaction() {
      return database.inTransaction
    },
    close: () => database.close(),
    prepare: (sql) => {
      const statement = database.prepare(sql)
      return {
        run: (values) => telling(sql, values, () => statement.run(values)),
        get: (values) => telling(sql, values, () => statement.get(values)),
        all: (values) => telling(sql, values, () => statement.all(values)),
      }
    },
  }
}

/** What the next machine makes of the files, once every lease has run out. */
async function outliveIn(left: string, log: OrdersLog, cut: Cut): ReturnType<typeof outlive> {
  await using store = await openLater(left)
  return await outlive(store, log, cut)
}

async function headsIn(left: string): Promise<readonly string[]> {
  await using store = await openLater(left)
  return [...(await logsOf(store))].map(([runId, { head }]) => `${runId} at ${head}`).sort()
}

async function openLater(left: string): ReturnType<typeof sqliteStore> {
  const options = { migrate: false, now: () => Date.now() + LATER_MS, synchronous: 'NORMAL' } as const
  return sqliteStore({ path: path.join(left, 'orders.db') }, options)
}

function copyOf(left: string): string {
  const copy = mkdtempSync(path.join(folder, 'again-'))
  cpSync(left, copy, { recursive: true })
  return copy
}

function walOf(left: string): string {
  return path.join(left, 'orders.db-wal')
}
