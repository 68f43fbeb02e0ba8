import type {} from '../../../../test/postgres/global-setup.ts'
import type { Claim, DueRequest, Store } from '@varve/store'
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

/** A store, and which tokens it has given: tokens grow, by how much is its own matter, so they are told by their order. */
interface Player {
  readonly store: Store
  /** Of each run, as it was created last. */
  readonly tokens: Map<string, number[]>
}

async function play(players: readonly Player[], prefix: string, command: StoreCommand): Promise<readonly unknown[]> {
  if (command.op === 'advance') {
    now += command.ms
    return []
  }
  const answers: unknown[] = []
  if (command.op === 'claim') {
    for (const player of players) {
      answers.push(inOrder(player, await answerOf(async () => claimOn(player.store, prefix, command.claim))))
    }
    return answers
  }
  const runId = nameOf(prefix, command.run)
  for (const player of players) {
    const { store, tokens } = player
    const row = await store.runs.find(runId)
    if (row === undefined) tokens.delete(runId)
    const act = command.act({ prefix, runId, now, row })
    answers.push(inOrder(player, await answerOf(async () => act(store))))
  }
  return answers
}

/** The same with the place of each token among those that were given before it. */
function inOrder(player: Player, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((part) => inOrder(player, part))
  const entries = Object.entries(value).map(([name, part]) => [name, inOrder(player, part)])
  const same = Object.fromEntries(entries) as Partial<Claim>
  if (same.runId === undefined || same.token === undefined) return same
  return { ...same, token: placeOf(player, same.runId, same.token) }
}

function placeOf({ tokens }: Player, runId: string, token: number): number {
  const given = tokens.get(runId) ?? [0]
  tokens.set(runId, given)
  if (token > (given.at(-1) ?? 0)) given.push(token)
  return given.indexOf(token)
}

/** The rows of these runs, and when the next of them becomes due for claimers of all and of some. */
async function viewOf(player: Player, prefix: string, runIds: readonly string[]): Promise<unknown> {
  const { store } = player
  const dueIn = async (versions: readonly string[], queues: readonly string[]): Promise<number | null> => {
    const named = queues.map((name) => ({ name: `${prefix}${name}` }))
    const request: DueRequest = { workflows: [{ name: 'w', versions }], formats: [1], queues: named }
    return store.runs.dueIn(request)
  }
  return {
    rows: inOrder(player, await Promise.all(runIds.map(async (runId) => store.runs.find(runId)))),
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
      const players = [memory, sqlite, postgres].map((store): Player => ({ store, tokens: new Map() }))

      for (const [step, command] of commands.entries()) {
        const where = `step ${step}: ${fc.stringify(command)}`
        const [expected, ...answers] = await play(players, prefix, command)
        for (const answer of answers) expect(answer, where).toEqual(expected)
        const runIds = (await memory.runs.list({}, { limit: 100 })).items.map(({ runId }) => runId)
        const [view, ...others] = await Promise.all(players.map(async (player) => viewOf(player, prefix, runIds)))
        for (const other of others) expect(other, where).toEqual(view)
      }
    }),
    // A counterexample is made smaller for so long.
    { numRuns: RUNS, interruptAfterTimeLimit: 1000 * RUNS },
  )
})
