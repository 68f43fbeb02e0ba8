import type {} from '../../../../test/postgres/global-setup.ts'
import {
  createKernel,
  defineWorkflow,
  secret,
  secretKeys,
  secretSchema,
  verifyEvidence,
  type ActionContext,
  type PruneReport,
} from '@varve/kernel'
import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { afterAll, describe, expect, inject, test } from 'vitest'
import { z } from 'zod'
import { simulatedProcess, type SimulatedProcess } from '../simulated-process.ts'
import { virtualClock } from '../virtual-clock.ts'
import { PATIENCE_MS } from './depth.ts'
import { openPostgres, openSqlite, type OpenStore } from './stores.ts'

const MONTH_MS = 30 * 24 * 60 * 60 * 1000
const keys = secretKeys({ current: 'k', keys: { k: new Uint8Array(32).fill(7) } })

/** Puts a text of its own and one that all runs share. */
const writing = defineWorkflow(
  {
    ...{ name: 'writing', version: '1', input: z.object({ text: z.string(), token: secretSchema(z.string()) }) },
    actions: {
      put: {
        run: async (input: { text: string; token: string }, { artifacts }: ActionContext) => [
          await artifacts.put(input.text),
          await artifacts.put('shared'),
        ],
      },
    },
  },
  { step: ({ input, results }, next) => (results['put'] ? next.complete(results['put']) : next.run('put', input)) },
)

type Living = Pick<SimulatedProcess, 'store' | 'clock' | 'owner'>

const kernelOf = ({ store, clock, owner }: Living) =>
  createKernel({ store, clock, owner, workflows: [writing], secrets: { keys } })

/** Three runs that ended long ago, and one that has just ended. */
async function begun(open: OpenStore) {
  const clock = virtualClock()
  const store = await open({ now: clock.now })
  const { store: own, owner } = simulatedProcess(store, clock)
  const kernel = kernelOf({ store: own, clock, owner })
  const start = async (runId: string) =>
    kernel.start(writing, { text: `text of ${runId}`, token: secret(`token of ${runId}`) }, { runId })
  for (const runId of ['a', 'b', 'c']) await start(runId)
  clock.advance(MONTH_MS + 1)
  await start('young')
  return { clock, store, kernel }
}

async function prune(living: Living, evidence = new Map<string, readonly string[]>()): Promise<PruneReport> {
  return kernelOf(living).prune({
    ...{ olderThanMs: MONTH_MS, secrets: 'erase' },
    before: async ({ runId }, lines) => {
      evidence.set(runId, await Array.fromAsync(lines()))
    },
  })
}

async function left(store: Store) {
  const runs = (await store.runs.list({}, { limit: 100 })).items.map(({ runId }) => runId)
  const artifacts = (await store.artifacts.list({}, { limit: 100 })).items.map(({ size }) => size)
  return { runs, artifacts: artifacts.toSorted((a, b) => a - b) }
}

const WHAT_STAYS = { runs: ['young'], artifacts: ['shared'.length, 'text of young'.length] }

const inMemory: OpenStore = (options) => Promise.resolve(memoryStore(options))
const postgres = openPostgres(inject('pgUrl'))
afterAll(() => postgres[Symbol.asyncDispose]())

/** Prunes in a process that may die, then in one that does not. */
async function pruneTwice(open: OpenStore, crashAt: number) {
  const { clock, store } = await begun(open)
  const evidence = new Map<string, readonly string[]>()
  const dying = simulatedProcess(store, clock, { crashAt })
  const end = await dying.finish(prune(dying, evidence))
  const second = simulatedProcess(store, clock)
  await second.finish(prune(second, evidence))
  const stays = await left(store)
  await store[Symbol.asyncDispose]()
  return { crashed: end === 'crashed', stays, evidence, at: dying.boundaries().at(-1) }
}

describe.for<[name: string, open: OpenStore]>([
  ['in memory', inMemory],
  ['on SQLite', openSqlite],
  ['on Postgres', postgres],
])('old runs %s', ([, open]) => {
  test('go with what only they refer to, and their evidence verifies without them', async () => {
    const { clock, store } = await begun(open)
    const evidence = new Map<string, readonly string[]>()
    const living = simulatedProcess(store, clock)

    const report = await living.finish(prune(living, evidence))

    expect(report).toMatchObject({ keptCount: 0, more: false, secretsErased: 3, artifacts: { removed: 3, bytes: 27 } })
    expect(await left(store)).toEqual(WHAT_STAYS)
    for (const runId of ['a', 'b', 'c']) {
      expect(await verifyEvidence(evidence.get(runId) ?? [])).toMatchObject({ ok: true, runId })
    }
    await store[Symbol.asyncDispose]()
  })

  test('are gone after the next prune wherever a process died in one', { timeout: PATIENCE_MS }, async () => {
    const deaths = new Set<string>()
    for (let crashAt = 1; ; crashAt++) {
      const { crashed, stays, evidence, at = '' } = await pruneTwice(open, crashAt)

      expect(stays, at).toEqual(WHAT_STAYS)
      expect([...evidence.keys()].toSorted(), at).toEqual(['a', 'b', 'c'])
      if (!crashed) break
      deaths.add(at)
    }

    expect([...deaths]).toEqual(
      expect.arrayContaining(['erase:1:after', 'remove:3:after', 'artifacts.delete:2:before']),
    )
    expect(deaths.size).toBe(18)
  })

  test('are removed once between several processes that prune at once', async () => {
    const { clock, store } = await begun(open)
    const processes = [1, 2, 3].map(() => simulatedProcess(store, clock))

    const reports = await Promise.all(processes.map((each) => each.finish(prune(each))))

    const ended = reports.flatMap((report) => (report === 'crashed' ? [] : [report]))
    expect(ended.flatMap(({ removed }) => removed).toSorted()).toEqual(['a', 'b', 'c'])
    expect(ended.reduce((sum, { artifacts }) => sum + artifacts.removed, 0)).toBe(3)
    expect(await left(store)).toEqual(WHAT_STAYS)
    await store[Symbol.asyncDispose]()
  })

  test('leave what a fork refers to, and the fork goes on', async () => {
    const { clock, store, kernel } = await begun(open)
    await kernel.fork('a', { at: 3, as: 'fork' })
    const living = simulatedProcess(store, clock)

    await living.finish(prune(living))

    expect((await left(store)).runs.toSorted()).toEqual(['fork', 'young'])
    expect((await left(store)).artifacts).toEqual(
      [...WHAT_STAYS.artifacts, 'text of a'.length].toSorted((a, b) => a - b),
    )
    expect(await kernel.verify('fork')).toMatchObject({ ok: true })
    await store[Symbol.asyncDispose]()
  })
})
