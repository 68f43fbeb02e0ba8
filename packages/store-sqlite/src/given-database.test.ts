import { sampleEvents } from '@varve/store-contract'
import SQLite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { sqliteStore } from './sqlite-store.ts'

const create = { workflow: 'w', version: '1', tags: [], queue: 'q' }
const run = { status: 'running', blockedOn: [], wakeAt: 0, create } as const

test('a database that answers BigInts by default is no different', async () => {
  const database = new SQLite(':memory:').defaultSafeIntegers(true)
  await using store = await sqliteStore({ database })

  const made = await store.events.append('r', sampleEvents('r', 1), { expectedHead: 0, fencingToken: 0, run })

  expect(made).toEqual({ waiting: 0 })
  expect((await store.runs.find('r'))?.head).toBe(1)
  expect(database.prepare('select count(*) from runs').pluck().get()).toBe(1n)
})
