import { genesis, type DueRequest, type Store } from '@varve/store'
import { equal } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { rejectsWith } from '../expectations.ts'
import { eventOf } from '../sample-events.ts'
import {
  blocked,
  claimDue,
  completed,
  extend,
  LEASE_MS,
  parkedProblem,
  release,
  running,
  startRun,
  type StartOptions,
} from '../test-run.ts'

const request: DueRequest = {
  workflows: [{ name: 'sample', versions: ['1'] }],
  queues: [{ name: 'default' }],
  formats: [1],
}

async function dueIn(store: Store, changes: Partial<DueRequest> = {}): Promise<number | null> {
  return store.runs.dueIn({ ...request, ...changes })
}

/** A run that becomes due at that time. */
async function startSleeping(store: Store, wakeAt: number, options: StartOptions = {}): Promise<void> {
  await release(store, await startRun(store, options), { ...blocked, wakeAt })
}

export const dueInCases: readonly ContractCase[] = contractGroup('next due', {
  'the next due run is told to the millisecond, by the clock of the store': async ({ store, clock }) => {
    equal(await dueIn(store), null)
    await startSleeping(store, clock.now() + 5000, { runId: 'late', creation: { priority: 9 } })
    await startSleeping(store, clock.now() + 1000, { runId: 'soon' })

    equal(await dueIn(store), 1000)
    clock.advance(999)
    equal(await dueIn(store), 1)
    clock.advance(1)
    equal(await dueIn(store), 4000)
    clock.advance(4000)
    equal(await dueIn(store), null)
    equal((await claimDue(store, 'w')).length, 2)
  },

  'a run that is due already says nothing of the next': async ({ store, clock }) => {
    await release(store, await startRun(store, { runId: 'due' }), running)
    equal(await dueIn(store), null)

    await startSleeping(store, clock.now() + 70)

    equal(await dueIn(store), 70)
  },

  'a leased run is due when its lease ends, or later': async ({ store, clock }) => {
    const { claim } = await startRun(store)
    equal(await dueIn(store), LEASE_MS)
    clock.advance(1000)
    equal(await dueIn(store), LEASE_MS - 1000)

    await store.runs.renew(claim, { leaseMs: 2 * LEASE_MS })
    equal(await dueIn(store), 2 * LEASE_MS)
    clock.advance(2 * LEASE_MS)
    equal(await dueIn(store), null)

    await startRun(store, { runId: 'run-2', update: { ...blocked, wakeAt: clock.now() + LEASE_MS + 7 } })
    equal(await dueIn(store), LEASE_MS + 7)
  },

  'a parked run is due at its retryAt, or never': async ({ store, clock }) => {
    const run = await startRun(store)
    await store.runs.release(run.claim, { expectedHead: 1, problem: parkedProblem })
    equal(await dueIn(store), null)

    const again = await startRun(store, { runId: 'run-2' })
    const problem = { ...parkedProblem, retryAt: clock.now() + 300 }
    await store.runs.release(again.claim, { expectedHead: 1, problem })

    equal(await dueIn(store), 300)
  },

  'a run that only a post can move, and one that is over, are never due': async ({ store }) => {
    await release(store, await startRun(store), blocked)
    await extend(store, await startRun(store, { runId: 'run-2' }), { run: completed })
    equal(await dueIn(store), null)

    await extend(store, await startRun(store, { runId: 'run-3' }), { run: { ...completed, owes: ['x'] } })

    equal(await dueIn(store), LEASE_MS)
  },

  'only runs that the claimer can drive are told': async ({ store, clock }) => {
    const runs: readonly StartOptions[] = [
      { runId: 'other workflow', creation: { workflow: 'other' } },
      { runId: 'other version', creation: { version: '2' } },
      { runId: 'other queue', creation: { queue: 'slow' } },
      { runId: 'new', events: [eventOf('new', genesis('new'), { v: 2 })] },
    ]
    for (const [i, run] of runs.entries()) await startSleeping(store, clock.now() + 100 * (i + 1), run)

    equal(await dueIn(store), null)
    equal(await dueIn(store, { workflows: [] }), null)
    equal(await dueIn(store, { queues: [] }), null)
    equal(await dueIn(store, { workflows: [{ name: 'other', versions: ['1'] }] }), 100)
    equal(await dueIn(store, { workflows: [{ name: 'sample', versions: ['1', '2'] }] }), 200)
    equal(await dueIn(store, { workflows: ['none', 'other'].map((name) => ({ name, versions: ['3', '1'] })) }), 100)
    // A name goes with its own versions and with no others.
    const crossed = [
      { name: 'other', versions: ['2'] },
      { name: 'none', versions: ['1'] },
    ]
    equal(await dueIn(store, { workflows: crossed }), null)
    equal(await dueIn(store, { queues: [{ name: 'default' }, { name: 'slow' }] }), 300)
    equal(await dueIn(store, { formats: [1, 2] }), 400)
  },

  'limits are no reason to wait longer': async ({ store, clock }) => {
    await startRun(store, { runId: 'leased' })
    await startSleeping(store, clock.now() + 50)

    equal(await dueIn(store, { queues: [{ name: 'default', concurrency: 1 }] }), 50)
  },

  'a store tells the time that it compares with': async ({ store, clock }) => {
    equal(await store.now(), clock.now())
    clock.advance(1234)
    equal(await store.now(), clock.now())

    await store[Symbol.asyncDispose]()

    await rejectsWith('STORE_CLOSED', async () => store.now())
  },
})
