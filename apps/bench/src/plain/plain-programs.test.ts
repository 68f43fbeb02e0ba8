import type {} from '../../../../test/postgres/global-setup.ts'
import { createKernel } from '@varve/kernel'
import type { StoredEvent } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { sequenceOf } from '../work/sequence.ts'
import { longLog, waiting, writeLog, writePlainLog } from '../work/long-run.ts'
import { fanning } from '../workloads/fan-out.ts'
import { driveFanOut } from './fan-out.ts'
import { groupCommit } from './group-commit.ts'
import { memoryDatabase } from './memory-database.ts'
import type { PlainDatabase } from './plain-database.ts'
import { addRequest, addStart, PlainRun } from './plain-run.ts'
import { postgresDatabase } from './postgres-database.ts'
import { goOn, openRun } from './resume.ts'
import { driveSequence } from './sequence.ts'
import { sqliteDatabase } from './sqlite-database.ts'

const schema = 'bench_plain_programs'
const databases = ['memory', 'sqlite', 'postgres'] as const
const opened = new Map<(typeof databases)[number], PlainDatabase>()

beforeAll(async () => {
  opened.set('memory', memoryDatabase())
  opened.set('sqlite', sqliteDatabase(':memory:', 'FULL'))
  opened.set('postgres', await postgresDatabase(inject('pgUrl'), schema))
})
afterAll(async () => {
  for (const database of opened.values()) await database.close()
  const client = new pg.Client({ connectionString: inject('pgUrl') })
  await client.connect()
  await client.query(`drop schema ${schema} cascade`)
  await client.end()
})

function databaseOf(name: (typeof databases)[number]): PlainDatabase {
  const database = opened.get(name)
  if (database === undefined) throw new Error(`${name} is not open`)
  return database
}

/** What a log says, without what is different in every run. */
function saidBy(log: readonly StoredEvent[]): readonly (readonly [type: string, data: unknown])[] {
  return log.map(({ type, body }) => {
    const { seed: _, signalId: __, ...data } = JSON.parse(body) as Record<string, unknown>
    return [type, data]
  })
}

describe.each(databases)('a plain program on %s writes what the kernel writes', (name) => {
  test('for steps in sequence', async () => {
    await using store = memoryStore()
    const sequence = sequenceOf()
    await using kernel = createKernel({ store, workflows: [sequence] })
    const runId = randomUUID()
    await kernel.start(sequence, { steps: 3 }, { runId })

    const database = databaseOf(name)
    await driveSequence((append) => database.commit([append]), 3, { runId, sealed: true })

    const log = await database.read(runId, 1, 100)
    expect(saidBy(log)).toEqual(saidBy(await Array.fromAsync(store.events.read(runId))))
  })

  test('for actions at once', async () => {
    await using store = memoryStore()
    await using kernel = createKernel({ store, workflows: [fanning] })
    const runId = randomUUID()
    await kernel.start(fanning, { fan: 20 }, { runId })

    const database = databaseOf(name)
    await driveFanOut(database, 20, { runId, sealed: true })

    const log = await database.read(runId, 1, 100)
    expect(saidBy(log)).toEqual(saidBy(await Array.fromAsync(store.events.read(runId))))
  })

  test('for a long run that goes on', async () => {
    await using store = memoryStore()
    await using kernel = createKernel({ store, workflows: [waiting] })
    const runId = randomUUID()
    const log = await longLog(runId, 600)
    await writeLog(store, log)
    await kernel.signal(runId, { name: 'go', value: null })

    const database = databaseOf(name)
    await writePlainLog(database, log)
    await goOn(database, await openRun(database, runId, { sealed: true }))

    const written = await database.read(runId, log.length + 1, 100)
    expect(written).toHaveLength(5)
    expect(saidBy(written)).toEqual(saidBy(await Array.fromAsync(store.events.read(runId, { from: log.length + 1 }))))
  })
})

describe.each(databases)('a commit on %s', (name) => {
  const started = (runId: string): PlainRun => {
    const run = new PlainRun(runId, { sealed: true })
    addStart(run, 'sequence', { steps: 5 })
    addRequest(run, 1)
    return run
  }

  test.for([
    ['head', 'alone', { expectedHead: 3 }],
    ['token', 'alone', { token: 7 }],
    ['head', 'together with another run', { expectedHead: 3 }],
    ['token', 'together with another run', { token: 7 }],
  ] as const)('with another %s is refused, %s, and nothing is written', async ([, company, change]) => {
    const database = databaseOf(name)
    const run = started(randomUUID())
    await database.commit([run.take()])
    addRequest(run, 2)
    addRequest(run, 3)
    const append = run.take()

    const others = company === 'alone' ? [] : [started(randomUUID()).take()]

    await expect(database.commit([{ ...append, ...change }, ...others])).rejects.toThrow('not at the expected head')

    expect(await database.read(run.runId, 1, 10)).toHaveLength(2)
  })

  test('makes a run once', async () => {
    const database = databaseOf(name)
    const append = started(randomUUID()).take()
    await database.commit([append])

    await expect(database.commit([append])).rejects.toThrow('not at the expected head')
  })

  test('is shared by all that is ready', async () => {
    const database = databaseOf(name)
    let commits = 0
    const counted = {
      ...database,
      commit: async (appends: Parameters<PlainDatabase['commit']>[0]) => {
        commits++
        await database.commit(appends)
      },
    }
    const commit = groupCommit(counted)
    const ids = Array.from({ length: 20 }, () => randomUUID())

    await Promise.all(ids.map((runId) => driveSequence(commit, 5, { runId, sealed: true })))

    expect(commits).toBe(6)
    for (const runId of ids) expect(await database.read(runId, 1, 100)).toHaveLength(12)
  })

  test('announces a run to who listens', async () => {
    const database = databaseOf(name)
    const heard = Promise.withResolvers<string>()
    const leave = await database.listen(heard.resolve)
    const run = started(randomUUID())

    await database.announce(run.take())

    expect(await heard.promise).toBe(run.runId)
    await leave()
  })
})
