import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { migrateSqlite, sqliteStore, type SqliteStoreOptions } from './sqlite-store.ts'
import type { SqliteLocation } from './database.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'varve-given-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as unknown

describe('what is no location opens nothing:', () => {
  test.for<[what: string, location: (file: string) => unknown]>([
    ['a path with NUL', (file) => ({ path: `${file}\0.db` })],
    ['no path', () => ({})],
    ['an empty path', () => ({ path: '' })],
    ['a path of blanks', () => ({ path: ' \n' })],
    ['a URI', (file) => ({ path: `file:${file}` })],
    ['the URI of a database in memory', () => ({ path: 'file::memory:' })],
    ['a path that is no text', (file) => ({ path: new URL(`file://${file}`) })],
    ['the path itself', (file) => file],
    ['nothing', () => undefined],
    ['null', () => null],
    ['a database that is none', () => ({ database: {} })],
    ['no database', () => ({ database: undefined })],
    ['a path with what no location has', (file) => ({ path: file, migrate: false })],
  ])('%s', async ([, locationOf]) => {
    const location = locationOf(path.join(folder, 'x')) as SqliteLocation

    await expect(sqliteStore(location)).rejects.toEqual(refused)
    await expect(migrateSqlite(location)).rejects.toEqual(refused)

    expect(readdirSync(folder)).toEqual([])
  })
})

describe('what is no option opens nothing:', () => {
  test.for([
    ...[null, 'FULL', 7, []],
    ...[{ synchronous: 'OFF' }, { synchronous: 'full' }, { synchronous: null }],
    ...[{ busyTimeoutMs: '3000' }, { busyTimeoutMs: null }, { busyTimeoutMs: -1 }, { busyTimeoutMs: Symbol('1') }],
    ...[{ now: 7 }, { now: null }, { now: '2020' }],
    ...[{ syncronous: 'FULL' }, { busyTimeout: 3000 }],
    ...[{ migrate: 'false' }, { migrate: null }, { groupCommit: 0 }],
  ])('%o', async (options) => {
    const file = path.join(folder, 'x')

    await expect(sqliteStore({ path: file }, options as unknown as SqliteStoreOptions)).rejects.toEqual(refused)

    expect(existsSync(file)).toBe(false)
  })
})

test.for(['5', true, null, undefined, Number.NaN, 0.5, Infinity])(
  'a clock that tells %s stops what needs the time',
  async (time) => {
    await using store = await sqliteStore({ path: ':memory:' }, { now: () => time as number })

    await expect(store.now()).rejects.toEqual(refused)
    await expect(store.artifacts.put(Uint8Array.of(1))).rejects.toEqual(refused)

    expect((await store.artifacts.list({}, { limit: 1 })).items).toEqual([])
  },
)
