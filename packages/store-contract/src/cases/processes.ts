import { contentId, type Store } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type CaseContext, type ContractCase } from '../contract-case.ts'
import { readAll, rowOf } from '../expectations.ts'
import { racedRuns, sharedContent, type Race, type RaceResult } from '../race.ts'
import { raceInProcesses } from '../race-processes.ts'
import { isWhole } from '../sample-bytes.ts'
import { startIdleRun, startRun } from '../test-run.ts'

const PROCESSES = 4
const EVENTS = 40
const POSTS = 60

/** The race, where other processes can open the store. */
async function race(
  { harness }: CaseContext,
  how: Pick<Race, 'token' | 'posts'> = {},
): Promise<readonly RaceResult[] | undefined> {
  const { child } = harness
  if (child === undefined) return undefined
  const common = { store: child, runId: 'run-1', events: EVENTS, ...how }
  return raceInProcesses(Array.from({ length: PROCESSES }, (_, i) => ({ ...common, writer: `process ${i}` })))
}

/** One winner per head, and no refusal but those. */
async function checkRace(store: Store, results: readonly RaceResult[], expected: readonly string[]): Promise<void> {
  for (const { failure } of results) equal(failure, undefined)
  const refusals = new Set(results.flatMap((result) => Object.keys(result.refusals)))
  deepEqual(
    [...refusals].filter((code) => !expected.includes(code)),
    [],
  )
  const won = results.flatMap((result) => result.won).sort((a, b) => a.seq - b.seq)
  const log = await readAll(store, 'run-1', { from: 2 })
  deepEqual(
    won,
    log.map(({ seq, hash }) => ({ seq, hash })),
  )
  ok(log.length >= EVENTS - 1)
}

export const processCases: readonly ContractCase[] = contractGroup('processes', {
  'a durable and shared store can be opened by other processes': async ({ store, harness }) => {
    const { durable, shared } = store.capabilities
    ok(!(durable && shared) || harness.child !== undefined, 'the harness lacks child')
  },

  'of several processes at one head exactly one wins': async (context) => {
    const run = await startRun(context.store)

    const results = await race(context, { token: run.claim.token })

    if (results !== undefined) await checkRace(context.store, results, ['HEAD_CONFLICT'])
  },

  'what several processes put at once is kept once, and all are told who won the cache': async (context) => {
    const { store } = context
    const run = await startRun(store)

    const results = await race(context, { token: run.claim.token })

    if (results === undefined) return
    const entry = await store.cache.find('run-1')
    deepEqual(new Set(results.map(({ cached }) => cached)), new Set([entry?.group]))
    deepEqual(entry?.artifacts, [contentId(sharedContent)])
    await isWhole(store.artifacts, contentId(sharedContent), sharedContent)
    equal((await store.artifacts.list({}, { limit: 10 })).items.length, 1)
  },

  'several processes that take turns by lease never write over one another': async (context) => {
    await startIdleRun(context.store)

    const results = await race(context)

    if (results !== undefined) await checkRace(context.store, results, ['HEAD_CONFLICT', 'RUN_BUSY'])
  },

  'of posts that several processes keep and take at once each is taken once, by one lease at a time': async (
    context,
  ) => {
    const { store } = context
    for (const runId of racedRuns) await startIdleRun(store, { runId })

    const results = await race(context, { posts: POSTS })

    if (results === undefined) return
    for (const { failure, refusals } of results) {
      equal(failure, undefined)
      deepEqual(
        Object.keys(refusals).filter((code) => code !== 'RUN_BUSY'),
        [],
      )
    }
    const leases = results.flatMap((result) => result.leases ?? [])
    equal(new Set(leases).size, leases.length)
    const seen = results.flatMap((result) => result.taken ?? [])
    for (const runId of racedRuns) {
      const { items } = await store.inbox.list(runId, { limit: 1000 })
      seen.push(...items.map(({ id }) => id))
      const { head, waiting, lease, recoveries } = await rowOf(store, runId)
      deepEqual([head, waiting, lease, recoveries], [1, items.length, undefined, 0])
    }
    equal(seen.length, PROCESSES * POSTS)
    equal(new Set(seen).size, seen.length)
  },
})
