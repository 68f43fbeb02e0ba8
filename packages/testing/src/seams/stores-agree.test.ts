import type {} from '../../../../test/postgres/global-setup.ts'
import type { DueRequest, Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import fc from 'fast-check'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { answerOf, claimOn, nameOf, QUEUES, storeCommands, VERSIONS, type StoreCommand } from './store-commands.ts'

/** For a longer search: `STORES_AGREE_RUNS=2000`. */
const RUNS = Number(process.env['STORES_AGREE_RUNS'] ?? 60)

const BEGIN = 1_700_000_000_000

let now = BEGIN
let worlds = 0
const schema = `test_${randomUUID().replaceAll('-', '')}`
const pool = new pg.Pool({ connectionString: inject('pgUrl'), max: 2 })
let postgres: Store

beforeAll(async () => {
  postgres = await postgresStore({ pool }, { schema, now: () => now, notifications: false })
})
afterAll(async () => {
  await postgres[Symbol.asyncDispose]()
  await pool.query(`drop schema ${schema} cascade`)
  await pool.end()
})

async function play(stores: readonly Store[], prefix: string, command: StoreCommand): Promise<readonly unknown[]> {
  if (command.op === 'advance') {
    now += command.ms
    return []
  }
  const answers: unknown[] = []
  if (command.op === 'claim') {
    for (const store of stores) answers.push(await answerOf(async () => claimOn(store, prefix, command.claim)))
    return answers
  }
  const runId = nameOf(prefix, command.run)
  const act = command.act({ prefix, runId, now, row: await stores[0]?.runs.find(runId) })
  for (const store of stores) answers.push(await answerOf(async () => act(store)))
  return answers
}

/** The rows of these runs, and when the next of them becomes due for claimers of all and of some. */
async function viewOf(store: Store, prefix: string, runIds: readonly string[]): Promise<unknown> {
  const dueIn = async (versions: readonly string[], queues: readonly string[]): Promise<number | null> => {
    const named = queues.map((name) => ({ name: `${prefix}${name}` }))
    const request: DueRequest = { workflows: [{ name: 'w', versions }], formats: [1], queues: named }
    return store.runs.dueIn(request)
  }
  return {
    rows: await Promise.all(runIds.map(async (runId) => store.runs.find(runId))),
    dueIn: [await dueIn(VERSIONS, QUEUES), await dueIn(['1'], ['q'])],
  }
}

test('whatever is asked of them in whatever order, all stores answer alike', { timeout: 590_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(storeCommands, async (commands) => {
      now = BEGIN
      const prefix = `world ${worlds++} `
      const memory = memoryStore({ now: () => now })
      await using sqlite = await sqliteStore({ path: ':memory:' }, { now: () => now })
      const stores = [memory, sqlite, postgres]

      for (const [step, command] of commands.entries()) {
        const where = `step ${step}: ${fc.stringify(command)}`
        const [expected, ...answers] = await play(stores, prefix, command)
        for (const answer of answers) expect(answer, where).toEqual(expected)
        const runIds = (await memory.runs.list({}, { limit: 100 })).items.map(({ runId }) => runId)
        const view = await viewOf(memory, prefix, runIds)
        for (const store of [sqlite, postgres]) expect(await viewOf(store, prefix, runIds), where).toEqual(view)
      }
    }),
    // A counterexample is made smaller for so long.
    { numRuns: RUNS, interruptAfterTimeLimit: 1000 * RUNS },
  )
})
