import type { PageRequest, RunFilter, RunRow, Store } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { allPages, rejectsWith, rowOf } from '../expectations.ts'
import type { TestClock } from '../harness.ts'
import {
  blocked,
  completed,
  extend,
  LEASE_MS,
  owner,
  parkedProblem,
  post,
  release,
  runIds,
  startRun,
} from '../test-run.ts'

/** All pages of a list. */
async function walk(store: Store, filter: RunFilter, limit: number): Promise<RunRow[][]> {
  return allPages(async (request) => store.runs.list(filter, { ...request, limit }))
}

/** Five runs that differ in everything a filter can ask for, a second apart. */
async function fiveRuns(store: Store, clock: TestClock): Promise<void> {
  const tags = ['eu', 'night']
  await startRun(store, { runId: 'r1', creation: { tags } })
  clock.advance(1000)
  await release(store, await startRun(store, { runId: 'r2', creation: { tags: ['eu'] } }), blocked)
  clock.advance(1000)
  const third = await startRun(store, { runId: 'r3', creation: { workflow: 'other', tags } })
  await extend(store, third, { run: { ...completed, version: '2' } })
  clock.advance(1000)
  const { claim } = await startRun(store, { runId: 'r4', creation: { parent: 'r1' } })
  await store.runs.release(claim, { expectedHead: 1, problem: parkedProblem })
  clock.advance(1000)
  const failing = await startRun(store, { runId: 'r5', creation: { workflow: 'other', parent: 'r1' } })
  await extend(store, failing, { run: { ...completed, status: 'failed', owes: ['x'] } })
}

/** What each condition of a filter cannot be. */
const wrongConditions: Readonly<Record<keyof RunFilter, readonly unknown[]>> = {
  workflow: [null, '', 7],
  version: [null, '', 7],
  parent: [null, '', 7],
  artifact: [null, '', 'sha256:1'],
  statuses: [null, '', 'blocked', ['gone'], [null], { 0: 'blocked' }],
  tags: [null, '', 'eu', [''], [null], { 0: 'eu' }],
  ...{ parked: [null, 'true', 1], owing: [null, 'true', 0], leased: [null, '', 1] },
  createdFrom: [null, '1', 0.5, NaN, Infinity],
  createdBefore: [null, '1', 0.5, NaN, Infinity],
  endedBefore: [null, '1', 0.5, NaN, Infinity],
}

export const listingCases: readonly ContractCase[] = contractGroup('listing', {
  'a list by many tags has the runs that have all of them': async ({ store }) => {
    const tags = Array.from({ length: 100 }, (_, n) => `tag ${n}`)
    await startRun(store, { runId: 'all', creation: { tags } })
    await startRun(store, { runId: 'most', creation: { tags: tags.slice(1) } })
    await startRun(store, { runId: 'few', creation: { tags: tags.slice(0, 3) } })
    const idsOf = async (...asked: string[]) => runIds((await store.runs.list({ tags: asked }, { limit: 10 })).items)

    deepEqual(await idsOf(...tags), ['all'])
    deepEqual(await idsOf(...tags.slice(1).toReversed()), ['most', 'all'])
    deepEqual(await idsOf(...tags.slice(0, 3)), ['few', 'all'])
    deepEqual(await idsOf(...tags, 'another'), [])
  },

  'find answers the whole row, and undefined for an unknown run': async ({ store, clock }) => {
    const creation = {
      ...{ workflow: 'sample', version: '7', tags: ['b', 'a'], parent: 'run-0' },
      ...{ queue: 'slow', priority: -5, concurrencyKey: 'tenant-1' },
    }
    const lease = { owner: owner('a'), leaseMs: LEASE_MS }
    await startRun(store, { events: 3, creation: { ...creation, lease }, update: { owes: ['x'] } })
    await post(store, 'run-1', 'p')

    deepEqual(await store.runs.find('run-1'), {
      runId: 'run-1',
      ...creation,
      status: 'running',
      blockedOn: [],
      wakeAt: clock.now(),
      head: 3,
      format: 1,
      waiting: 1,
      owes: ['x'],
      recoveries: 0,
      token: 1,
      lease: { owner: owner('a'), until: clock.now() + LEASE_MS },
      createdAt: clock.now(),
    } satisfies RunRow)
    equal(await store.runs.find('run-2'), undefined)
  },

  'a run tells when it ended, once it has, and keeps it': async ({ store, clock }) => {
    const run = await startRun(store)
    clock.advance(1000)
    const endedAt = clock.now()
    equal('endedAt' in (await rowOf(store, 'run-1')), false)

    const ended = await extend(store, run, { run: { ...completed, owes: ['x'] } })
    clock.advance(1000)
    await extend(store, ended, { run: { ...completed, owes: [] } })

    equal((await rowOf(store, 'run-1')).endedAt, endedAt)
  },

  'runs are listed newest first, each as find answers it': async ({ store, clock }) => {
    await fiveRuns(store, clock)

    const { items, next } = await store.runs.list({}, { limit: 100 })

    deepEqual(runIds(items), ['r5', 'r4', 'r3', 'r2', 'r1'])
    equal(next, undefined)
    for (const item of items) deepEqual(item, await rowOf(store, item.runId))
  },

  'a filter keeps the runs that meet all its conditions': async ({ store, clock }) => {
    const start = clock.now()
    await fiveRuns(store, clock)
    const expected: readonly (readonly [filter: RunFilter, runs: readonly string[]])[] = [
      [{ workflow: 'other' }, ['r5', 'r3']],
      [{ workflow: 'nothing' }, []],
      [{ version: '2' }, ['r3']],
      [{ workflow: 'other', version: '1' }, ['r5']],
      [{ version: '3' }, []],
      [{ statuses: ['blocked', 'failed'] }, ['r5', 'r2']],
      [{ statuses: [] }, []],
      [{ tags: ['eu'] }, ['r3', 'r2', 'r1']],
      [{ tags: ['night', 'eu'] }, ['r3', 'r1']],
      [{ tags: ['eu', 'night'] }, ['r3', 'r1']],
      [{ tags: [] }, ['r5', 'r4', 'r3', 'r2', 'r1']],
      [{ tags: ['e'] }, []],
      [{ parent: 'r1' }, ['r5', 'r4']],
      [{ parked: true }, ['r4']],
      [{ parked: false }, ['r5', 'r3', 'r2', 'r1']],
      [{ owing: true }, ['r5']],
      [{ owing: false, statuses: ['completed', 'failed'] }, ['r3']],
      [{ leased: true }, ['r5', 'r1']],
      [{ leased: false }, ['r4', 'r3', 'r2']],
      [{ createdFrom: start + 2000 }, ['r5', 'r4', 'r3']],
      [{ createdBefore: start + 2000 }, ['r2', 'r1']],
      [{ createdFrom: start + 1000, createdBefore: start + 3000 }, ['r3', 'r2']],
      [{ endedBefore: start + 2000 }, []],
      [{ endedBefore: start + 2001 }, ['r3']],
      [{ endedBefore: start + 100_000 }, ['r5', 'r3']],
      [{ endedBefore: start + 100_000, owing: false }, ['r3']],
      [{ workflow: 'other', tags: ['eu'], statuses: ['completed'], parked: false }, ['r3']],
      [{ workflow: 'other', parent: 'r1', tags: ['eu'] }, []],
    ]

    for (const [filter, runs] of expected) {
      deepEqual(runIds((await store.runs.list(filter, { limit: 100 })).items), runs, JSON.stringify(filter))
      deepEqual(runIds((await walk(store, filter, 1)).flat()), runs, `${JSON.stringify(filter)} one by one`)
    }
  },

  'a lease that ran out, and a problem whose time has come, are told until they end': async ({ store, clock }) => {
    const leased = await startRun(store, { runId: 'leased' })
    const { claim } = await startRun(store, { runId: 'parked' })
    const lease = { owner: leased.claim.owner, until: leased.claim.leaseUntil }
    const problem = { ...parkedProblem, retryAt: clock.now() + 1000 }
    await store.runs.release(claim, { expectedHead: 1, problem })

    clock.advance(LEASE_MS + 1)

    deepEqual((await rowOf(store, 'leased')).lease, lease)
    deepEqual((await rowOf(store, 'parked')).problem, problem)
    deepEqual(runIds((await store.runs.list({ leased: true }, { limit: 10 })).items), ['leased'])
    deepEqual(runIds((await store.runs.list({ leased: false }, { limit: 10 })).items), ['parked'])
    deepEqual(runIds((await store.runs.list({ parked: true }, { limit: 10 })).items), ['parked'])
    deepEqual(runIds((await store.runs.list({ parked: false }, { limit: 10 })).items), ['leased'])
  },

  'runs that are created meanwhile shift no later page': async ({ store, clock }) => {
    for (let i = 0; i < 20; i++) {
      await startRun(store, { runId: `run-${i}` })
      if (i % 3 === 0) clock.advance(1)
    }
    let created = 0

    const pages = await allPages(async (request) => {
      clock.advance(1)
      if (request.cursor !== undefined) await startRun(store, { runId: `new-${created++}` })
      return store.runs.list({}, { ...request, limit: 6 })
    })

    const listed = runIds(pages.flat())
    deepEqual(listed.toSorted(), Array.from({ length: 20 }, (_, i) => `run-${i}`).toSorted())
    ok(pages.flat().every(({ createdAt }, i, rows) => i === 0 || createdAt <= (rows[i - 1]?.createdAt ?? 0)))
  },

  'runs that are removed meanwhile, with them the last of a page, shift no later page': async ({ store, clock }) => {
    for (let i = 0; i < 9; i++) {
      await release(store, await startRun(store, { runId: `run-${i}` }), blocked)
      if (i % 2 === 0) clock.advance(1)
    }

    const pages = await allPages(async (request) => {
      const page = await store.runs.list({}, { ...request, limit: 2 })
      for (const { runId } of page.items) await store.runs.remove(runId, { ifTerminal: false })
      return page
    })

    deepEqual(
      runIds(pages.flat()),
      Array.from({ length: 9 }, (_, i) => `run-${8 - i}`),
    )
  },

  'runs of one instant are each listed once, in one order': async ({ store }) => {
    for (let i = 0; i < 12; i++) await startRun(store, { runId: `run-${i}` })

    const whole = runIds((await store.runs.list({}, { limit: 100 })).items)

    equal(new Set(whole).size, 12)
    for (const limit of [1, 5, 11]) deepEqual(runIds((await walk(store, {}, limit)).flat()), whole)
  },

  'only the last page has no next': async ({ store, clock }) => {
    for (let i = 0; i < 6; i++) {
      await startRun(store, { runId: `run-${i}` })
      clock.advance(1)
    }

    deepEqual(
      (await walk(store, {}, 3)).map(({ length }) => length),
      [3, 3],
    )
    equal('next' in (await store.runs.list({}, { limit: 6 })), false)
    deepEqual(await store.runs.list({ workflow: 'nothing' }, { limit: 6 }), { items: [] })
  },

  'a condition that means nothing is INVALID_ARGUMENT, and finds no runs': async ({ store }) => {
    await startRun(store)

    for (const [name, values] of Object.entries(wrongConditions)) {
      for (const value of values) {
        await rejectsWith('INVALID_ARGUMENT', async () => store.runs.list({ [name]: value }, { limit: 10 }))
      }
    }
  },

  'a filter and a page are objects': async ({ store }) => {
    for (const wrong of [null, undefined, '', 'eu', 7, []] as unknown as Record<string, never>[]) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.runs.list(wrong, { limit: 10 }))
      await rejectsWith('INVALID_ARGUMENT', async () => store.runs.list({}, wrong as unknown as PageRequest))
    }
  },

  'a limit outside 1-1000 and a cursor of no page are INVALID_ARGUMENT': async ({ store }) => {
    await startRun(store)

    for (const limit of [0, -1, 1.5, 1001]) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.runs.list({}, { limit }))
    }
    for (const cursor of ['no cursor', '', null, 7, []] as unknown as string[]) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.runs.list({}, { limit: 10, cursor }))
    }
    equal((await store.runs.list({}, { limit: 1000 })).items.length, 1)
  },
})
