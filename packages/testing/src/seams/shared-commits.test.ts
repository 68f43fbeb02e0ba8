import type {} from '../../../../test/postgres/global-setup.ts'
import { sealEvent, type RunUpdate, type Store } from '@varve/store'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import fc from 'fast-check'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { answerOf } from './store-commands.ts'

const NOW = 1_700_000_000_000
const RUNS = 6

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const create = { workflow: 'w', version: '1', queue: 'q' }

/** A write to one of a few runs, as a writer would make it who may be behind. */
type Write =
  | { readonly kind: 'create'; readonly run: number; readonly tags: readonly string[]; readonly leased: boolean }
  | {
      readonly kind: 'append'
      readonly run: number
      readonly events: number
      readonly lag: number
      readonly token: number
      readonly update: RunUpdate
    }
  | { readonly kind: 'snapshot'; readonly run: number; readonly seq: number }

const run = fc.nat({ max: RUNS - 1 })
const update = fc.record(
  {
    status: fc.constantFrom<RunUpdate['status']>('running', 'running', 'running', 'blocked', 'completed'),
    blockedOn: fc.constantFrom([], [{ kind: 'interrupt' as const, key: 'k\u007f"\\' }]),
    wakeAt: fc.constantFrom(null, 0, NOW + 5),
    owes: fc.constantFrom([], [{ to: 'parent' }]),
    progressed: fc.boolean(),
    version: fc.constantFrom('1', '2'),
  },
  { requiredKeys: ['status', 'blockedOn', 'wakeAt'] },
)
const write: fc.Arbitrary<Write> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('create' as const),
      run,
      tags: fc.constantFrom([], ['t', 'u'], ['t', 't']),
      leased: fc.constantFrom(true, true, true, false),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      run,
      events: fc.nat({ max: 3 }),
      lag: fc.constantFrom(0, 0, 0, 0, 1),
      token: fc.constantFrom(1, 1, 1, 1, 2),
      update,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('snapshot' as const), run, seq: fc.nat({ max: 4 }) }) },
)

/** Writes that are all in flight at once, and a post before them. */
const rounds = fc.array(
  fc.record({ posted: fc.option(run), writes: fc.array(write, { minLength: 1, maxLength: 12 }) }),
  { minLength: 1, maxLength: 5 },
)

function eventsFrom(runId: string, head: number, count: number) {
  return Array.from({ length: count }, (_, n) => {
    const end = { seq: head + n, hash: 'h'.repeat(64) }
    return sealEvent(runId, end, { type: 'Sampled', data: { n: head + n, text: 'ü€𝒳"\\' } }, NOW).stored
  })
}

/** The writes as calls. Who writes takes for granted that what was asked for before has landed. */
function callsOf(writes: readonly Write[], heads: Map<string, number>, prefix: string) {
  return writes.map((given): ((store: Store) => Promise<unknown>) => {
    const runId = `${prefix}${given.run}`
    const head = heads.get(runId) ?? 0
    switch (given.kind) {
      case 'create': {
        if (head === 0) heads.set(runId, 2)
        const lease = given.leased && { lease: { owner, leaseMs: 1000 } }
        const row = {
          status: 'running',
          blockedOn: [],
          wakeAt: 0,
          create: { ...create, tags: given.tags, ...lease },
        } as const
        return async ({ events }) =>
          events.append(runId, eventsFrom(runId, 0, 2), { expectedHead: 0, fencingToken: 0, run: row })
      }
      case 'append': {
        const expectedHead = Math.max(1, head - given.lag)
        if (given.lag === 0 && given.token === 1 && head > 0) heads.set(runId, head + given.events)
        const options = { expectedHead, fencingToken: given.token, run: given.update }
        return async ({ events }) => events.append(runId, eventsFrom(runId, expectedHead, given.events), options)
      }
      case 'snapshot': {
        const { seq } = given
        const texts = { hash: 'h'.repeat(64), workflowVersion: '1', build: 'b', body: `{"seq":${seq}}` }
        return async ({ snapshots }) => snapshots.save({ runId, seq, format: 2, ...texts })
      }
    }
  })
}

/** The answers; why a write was refused is looked for after the fact, so only of the last write of a run it is certain. */
function tell(writes: readonly Write[], answers: readonly unknown[]): readonly unknown[] {
  return answers.map((answer, i) => {
    const isLast = !writes.some(({ run }, later) => later > i && run === writes[i]?.run)
    return isLast || !JSON.stringify(answer ?? null).startsWith('{"refused"') ? answer : 'refused'
  })
}

/** All that the stores tell of the runs. */
async function viewOf(store: Store, prefix: string): Promise<unknown> {
  return Promise.all(
    Array.from({ length: RUNS }, async (_, n) => {
      const runId = `${prefix}${n}`
      const log: unknown[] = []
      for await (const event of store.events.read(runId)) log.push(event)
      return [await store.runs.find(runId), log, await store.snapshots.latest(runId)]
    }),
  )
}

let worlds = 0
const pool = new pg.Pool({ connectionString: inject('pgUrl'), max: 6 })
const schemas = [0, 1].map(() => `test_${randomUUID().replaceAll('-', '')}`)
const opened: Store[] = []

/** Two empty databases of a kind, of which only the first lets writes share a commit. */
const pairs: Readonly<Record<string, () => Promise<readonly Store[]>>> = {
  SQLite: async () =>
    Promise.all(
      [true, false].map(async (groupCommit) => sqliteStore({ path: ':memory:' }, { now: () => NOW, groupCommit })),
    ),
  Postgres: async () =>
    Promise.all(
      [true, false].map(async (groupCommit, n) =>
        postgresStore({ pool }, { schema: schemas[n] ?? '', now: () => NOW, groupCommit, notifications: false }),
      ),
    ),
}

afterAll(async () => {
  for (const schema of schemas) await pool.query(`drop schema if exists ${schema} cascade`)
  await pool.end()
})

describe.for(Object.entries(pairs))('on %s', ([, openPair]) => {
  beforeAll(async () => {
    opened.splice(0, opened.length, ...(await openPair()))
  })
  afterAll(async () => {
    for (const store of opened) await store[Symbol.asyncDispose]()
  })

  test('writes in flight together are answered as the same writes one after the other, each with a commit', async () => {
    const [sharing, alone] = opened as [Store, Store]
    await fc.assert(
      fc.asyncProperty(rounds, async (given) => {
        const prefix = `world ${worlds++} run `
        const heads = new Map<string, number>()
        for (const [n, { posted, writes: asked }] of given.entries()) {
          // A snapshot does not wait for the create of its run that is under way.
          const writes = asked.filter(({ kind, run }) => kind !== 'snapshot' || heads.has(`${prefix}${run}`))
          const draft = { id: `p${n}`, type: 'T', body: '{}' }
          for (const store of posted === null ? [] : opened) {
            await answerOf(async () => store.inbox.post(`${prefix}${posted}`, draft, { maxWaiting: 9 }))
          }
          const calls = callsOf(writes, heads, prefix)

          const together = await Promise.all(calls.map(async (call) => answerOf(async () => call(sharing))))
          const inTurn: unknown[] = []
          for (const call of calls) inTurn.push(await answerOf(async () => call(alone)))

          expect(tell(writes, together)).toEqual(tell(writes, inTurn))
        }
        expect(await viewOf(sharing, prefix)).toEqual(await viewOf(alone, prefix))
      }),
      { numRuns: 40, interruptAfterTimeLimit: 60_000 },
    )
  }, 90_000)
})
