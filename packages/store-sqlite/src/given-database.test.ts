import { sampleEvents } from '@varve/store-contract'
import SQLite from 'better-sqlite3'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { sqliteStore } from './sqlite-store.ts'
import { observed } from './testing/observed-database.ts'
import { temporaryFolder } from './testing/sqlite-harness.ts'

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

test('a commit of one store waits for the disk, whatever another one on the same database has set', async () => {
  const folder = await temporaryFolder()
  const real = new SQLite(path.join(folder, 'runs.sqlite'))
  const levels: unknown[] = []
  const database = observed(real, (sql, execute) => {
    if (sql === 'commit') levels.push(real.pragma('synchronous', { simple: true }))
    return execute()
  })
  const [flushed, lax] = [await sqliteStore({ database }), await sqliteStore({ database }, { synchronous: 'NORMAL' })]
  const [full, normal] = [2, 1]
  const id = await flushed.artifacts.put(Uint8Array.of(1))
  levels.length = 0

  for (const store of [flushed, lax, flushed]) await store.artifacts.touch([id])

  expect(levels).toEqual([full, normal, full])
  real.close()
  await rm(folder, { recursive: true })
})
