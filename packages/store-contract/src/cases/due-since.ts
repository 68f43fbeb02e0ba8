import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { rowOf } from '../expectations.ts'
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
  startRun,
} from '../test-run.ts'

/** What a run keeps until it moves: the time since when it has been due, and its problem. */
export const dueSinceCases: readonly ContractCase[] = contractGroup('claims', {
  'a run in debt keeps the time since when it has been due': async ({ store, clock }) => {
    const run = await startRun(store, { update: { owes: ['x', 'y'] } })
    const since = clock.now()
    clock.advance(10)

    const after = await extend(store, run, { run: { ...blocked, owes: ['y'] } })
    equal((await rowOf(store, 'run-1')).wakeAt, since)
    equal(await release(store, after, { ...blocked, owes: ['y'] }), 'due')

    equal((await rowOf(store, 'run-1')).wakeAt, since)
  },

  'a run to which something came before its release keeps the time since when it has been due': async ({
    store,
    clock,
  }) => {
    const stale = await startRun(store)
    const posted = await startRun(store, { runId: 'run-2' })
    const since = clock.now()
    await extend(store, stale)
    await post(store, 'run-2', 'p')
    clock.advance(10)

    equal(await release(store, stale), 'due')
    equal(await release(store, posted), 'due')

    deepEqual([(await rowOf(store, 'run-1')).wakeAt, (await rowOf(store, 'run-2')).wakeAt], [since, since])
  },

  'a run that was to sleep and goes on is due since then': async ({ store, clock }) => {
    const run = await startRun(store, { update: { ...blocked, wakeAt: clock.now() + 5000 } })
    clock.advance(10)

    await extend(store, run)

    equal((await rowOf(store, 'run-1')).wakeAt, clock.now())
  },

  'a run that is backed off for less time than it sleeps for sleeps on': async ({ store, clock }) => {
    const run = await startRun(store, { update: { ...blocked, wakeAt: clock.now() + 5000 } })
    const problem = { ...parkedProblem, retryAt: clock.now() + 1000 }

    equal(await store.runs.release(run.claim, { expectedHead: 1, problem }), 'released')

    clock.advance(4999)
    deepEqual(await claimDue(store, 'b'), [])
    clock.advance(1)
    deepEqual(runIds(await claimDue(store, 'b')), ['run-1'])
  },

  'a lease leaves the problem to an append, a post or a release': async ({ store, clock }) => {
    const run = await startRun(store)
    await store.runs.release(run.claim, { expectedHead: 1, problem: parkedProblem })

    const claim = await acquire(store, 'run-1', 'b')
    deepEqual((await rowOf(store, 'run-1')).problem, parkedProblem)
    deepEqual((await store.runs.renew(claim, { leaseMs: LEASE_MS })).problem, parkedProblem)
    deepEqual((await rowOf(store, 'run-1')).problem, parkedProblem)

    clock.advance(LEASE_MS + 1)
    deepEqual(await claimDue(store, 'c'), [])
  },

  'an append that only takes posts clears the problem, too': async ({ store }) => {
    const run = await startRun(store)
    await post(store, 'run-1', 'p')
    await store.runs.release(run.claim, { expectedHead: 1, problem: parkedProblem })
    const claim = await acquire(store, 'run-1', 'b')

    await extend(store, { ...run, claim }, { events: 0, take: ['p'] })

    equal((await rowOf(store, 'run-1')).problem, undefined)
  },
})
