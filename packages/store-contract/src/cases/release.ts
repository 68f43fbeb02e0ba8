import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { atOnce, everythingOf, rowOf } from '../expectations.ts'
import {
  acquire,
  blocked,
  claimDue,
  extend,
  LEASE_MS,
  parkedProblem,
  post,
  release,
  runIds,
  running,
  startRun,
} from '../test-run.ts'

export const releaseCases: readonly ContractCase[] = contractGroup('release', {
  'a release ends the lease and sets the row': async ({ store, clock }) => {
    const run = await startRun(store)
    const update = { ...blocked, wakeAt: clock.now() + 10, owes: [] }

    equal(await release(store, run, update), 'released')

    const row = await rowOf(store, 'run-1')
    deepEqual([row.status, row.blockedOn, row.wakeAt], ['blocked', blocked.blockedOn, clock.now() + 10])
    deepEqual([row.lease, row.token, row.head], [undefined, 1, 1])
  },

  'a release without an update leaves the row as the last append set it': async ({ store, clock }) => {
    const run = await startRun(store, { update: { ...blocked, wakeAt: clock.now() + 10 } })

    equal(await store.runs.release(run.claim, { expectedHead: 1 }), 'released')

    const row = await rowOf(store, 'run-1')
    deepEqual([row.status, row.blockedOn, row.wakeAt], ['blocked', blocked.blockedOn, clock.now() + 10])
  },

  'a run that goes on is due when it is released': async ({ store }) => {
    equal(await release(store, await startRun(store), running), 'due')
    equal(await store.runs.release((await startRun(store, { runId: 'run-2' })).claim, { expectedHead: 1 }), 'due')

    equal((await claimDue(store, 'b')).length, 2)
  },

  'a run whose time has come meanwhile is due': async ({ store, clock }) => {
    const run = await startRun(store)
    const wakeAt = clock.now() + 10
    clock.advance(20)

    equal(await release(store, run, { ...blocked, wakeAt }), 'due')

    equal((await rowOf(store, 'run-1')).wakeAt, wakeAt)
    deepEqual(runIds(await claimDue(store, 'b')), ['run-1'])
  },

  'a post between the last append and the release keeps the run due': async ({ store }) => {
    const run = await startRun(store)
    const after = await extend(store, run, { run: blocked })
    await post(store, 'run-1', 'p')

    equal(await release(store, after, { ...blocked, blockedOn: [] }), 'due')

    const row = await rowOf(store, 'run-1')
    deepEqual([row.blockedOn, row.lease], [blocked.blockedOn, undefined])
    deepEqual(runIds(await claimDue(store, 'b')), ['run-1'])
  },

  'an append that the caller has not folded keeps the run due': async ({ store }) => {
    const run = await startRun(store)
    await extend(store, run, { run: blocked })

    equal(await release(store, run, { ...running, wakeAt: null }), 'due')

    equal((await rowOf(store, 'run-1')).status, 'blocked')
    deepEqual(runIds(await claimDue(store, 'b')), ['run-1'])
  },

  'who lost the run to a successor changes nothing': async ({ store, clock }) => {
    const run = await startRun(store)
    clock.advance(LEASE_MS + 1)
    await extend(store, { ...run, claim: await acquire(store, 'run-1', 'b') })
    const before = await everythingOf(store, 'run-1')

    const problem = parkedProblem
    equal(await store.runs.release(run.claim, { expectedHead: 2, run: blocked, problem }), 'lost')

    deepEqual(await everythingOf(store, 'run-1'), before)
  },

  'a problem is set by one release and cleared by the next': async ({ store }) => {
    const run = await startRun(store)
    await store.runs.release(run.claim, { expectedHead: 1, problem: parkedProblem })
    deepEqual((await rowOf(store, 'run-1')).problem, parkedProblem)

    const claim = await acquire(store, 'run-1', 'a')
    await store.runs.release(claim, { expectedHead: 1 })

    equal((await rowOf(store, 'run-1')).problem, undefined)
    deepEqual(runIds(await claimDue(store, 'b')), ['run-1'])
  },

  'a problem parks the run even while posts wait': async ({ store, clock }) => {
    const run = await startRun(store)
    await post(store, 'run-1', 'p')
    const problem = { ...parkedProblem, retryAt: clock.now() + 10 }

    equal(await store.runs.release(run.claim, { expectedHead: 1, problem }), 'released')

    deepEqual(await claimDue(store, 'b'), [])
    clock.advance(10)
    deepEqual(runIds(await claimDue(store, 'b')), ['run-1'])
  },

  'progress and paid debts count in a release': async ({ store, clock }) => {
    const run = await startRun(store, { update: { owes: ['x'] } })
    clock.advance(LEASE_MS + 1)
    const claim = await acquire(store, 'run-1', 'b')
    equal(claim.recoveries, 1)

    await release(store, { ...run, claim }, { ...blocked, owes: [], progressed: true })

    const row = await rowOf(store, 'run-1')
    deepEqual([row.recoveries, row.owes, row.wakeAt], [0, [], null])
  },

  'of a post and a release at once neither is lost': async ({ store }) => {
    const rows = await atOnce(20, async (n) => {
      const runId = `run-${n}`
      const run = await startRun(store, { runId })
      await Promise.all([release(store, run, blocked), post(store, runId, 'p')])
      return rowOf(store, runId)
    })

    for (const row of rows) deepEqual([row.waiting, row.lease], [1, undefined])
    equal((await claimDue(store, 'b')).length, 20)
  },
})
