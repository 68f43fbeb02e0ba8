import type { Claim } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { everythingOf, readAll, rejectsWith, rowOf } from '../expectations.ts'
import { sampleEvents } from '../sample-events.ts'
import {
  acquire,
  blocked,
  completed,
  creating,
  creation,
  extend,
  LEASE_MS,
  owner,
  post,
  release,
  running,
  startRun,
  type TestRun,
} from '../test-run.ts'

export const fencingCases: readonly ContractCase[] = contractGroup('fencing', {
  'a creator that asks for a lease gets token 1': async ({ store, clock }) => {
    const { claim } = await startRun(store, { events: 2 })

    deepEqual(claim, {
      runId: 'run-1',
      workflow: 'sample',
      version: '1',
      queue: 'default',
      owner: owner('a'),
      token: 1,
      leaseUntil: clock.now() + LEASE_MS,
      head: 2,
      status: 'running',
      waiting: 0,
      recoveries: 0,
      owes: [],
    } satisfies Claim)
  },

  'a run created without a lease has no writer yet': async ({ store }) => {
    const create = creation()
    const result = await store.events.append('run-1', sampleEvents('run-1', 1), {
      ...creating(),
      run: { ...running, create },
    })

    equal(result.claim, undefined)
    const row = await rowOf(store, 'run-1')
    deepEqual([row.token, row.lease], [0, undefined])
    const claim = await acquire(store, 'run-1', 'a')
    ok(claim.token > 0)
    await release(store, { runId: 'run-1', end: { seq: 1, hash: '' }, claim, waiting: 0 })
    await rejectsWith('FENCED', async () =>
      extend(store, { runId: 'run-1', end: { seq: 1, hash: '' }, claim, waiting: 0 }),
    )
  },

  'token 0 writes nothing to a run that nobody has leased': async ({ store }) => {
    const run = { ...running, create: creation() }
    const events = sampleEvents('run-1', 2)
    await store.events.append('run-1', events.slice(0, 1), { ...creating(), run })

    await rejectsWith('FENCED', async () =>
      store.events.append('run-1', events.slice(1), { expectedHead: 1, fencingToken: 0, run: running }),
    )
    equal((await readAll(store, 'run-1')).length, 1)
  },

  'who lost the run to a successor appends, renews and releases nothing': async ({ store, clock }) => {
    const stale = await startRun(store)
    clock.advance(LEASE_MS + 1)
    const claim = await acquire(store, 'run-1', 'b')
    const before = await everythingOf(store, 'run-1')

    await rejectsWith('FENCED', async () => extend(store, stale))
    await rejectsWith('FENCED', async () => store.runs.renew(stale.claim, { leaseMs: LEASE_MS }))
    equal(await release(store, stale, blocked), 'lost')

    deepEqual(await everythingOf(store, 'run-1'), before)
    await extend(store, { ...stale, claim })
  },

  'a token that nobody was given yet is FENCED': async ({ store }) => {
    const run = await startRun(store)
    const future = { ...run, claim: { ...run.claim, token: 2 } }

    await rejectsWith('FENCED', async () => extend(store, future))
    await rejectsWith('FENCED', async () => store.runs.renew(future.claim, { leaseMs: LEASE_MS }))
    equal(await release(store, future), 'lost')
  },

  'a released token writes nothing': async ({ store }) => {
    const run = await startRun(store)
    await release(store, run)

    await rejectsWith('FENCED', async () => extend(store, run))
    await rejectsWith('FENCED', async () => store.runs.renew(run.claim, { leaseMs: LEASE_MS }))
    equal(await release(store, run), 'lost')
  },

  'a lease that ran out still counts until somebody else has taken the run': async ({ store, clock }) => {
    const run = await startRun(store)
    clock.advance(LEASE_MS * 10)

    const after = await extend(store, run)
    const renewed = await store.runs.renew(run.claim, { leaseMs: LEASE_MS })

    deepEqual([renewed.token, renewed.leaseUntil, renewed.head], [1, clock.now() + LEASE_MS, after.end.seq])
    await rejectsWith('RUN_BUSY', async () => acquire(store, 'run-1', 'b'))
    equal((await rowOf(store, 'run-1')).recoveries, 0)
    await release(store, after)
  },

  'tokens grow with every lease and nothing lowers them': async ({ store, clock }) => {
    let run: TestRun = await startRun(store)
    const tokens = [run.claim.token]
    const lease = async (by: string): Promise<void> => {
      run = { ...run, claim: await acquire(store, 'run-1', by) }
      tokens.push(run.claim.token)
    }

    await lease('a')
    await release(store, run)
    await lease('b')
    clock.advance(LEASE_MS + 1)
    await post(store, 'run-1', 'p')
    await lease('c')
    run = await extend(store, run, { take: ['p'], run: { ...completed, owes: ['child'] } })
    await release(store, run, { ...completed, owes: ['child'] })
    await lease('a')

    ok(tokens.every((token, i) => i === 0 || token > (tokens[i - 1] ?? 0)))
    equal((await rowOf(store, 'run-1')).token, tokens.at(-1))
  },

  'the owner of the living lease gets it anew with a higher token': async ({ store, clock }) => {
    const first = await startRun(store)
    clock.advance(1000)

    const claim = await acquire(store, 'run-1', 'a')

    ok(claim.token > first.claim.token)
    deepEqual([claim.leaseUntil, claim.recoveries], [clock.now() + LEASE_MS, 0])
    await rejectsWith('FENCED', async () => extend(store, first))
    await extend(store, { ...first, claim })
  },

  'renew extends the lease and tells how the run stands': async ({ store, clock }) => {
    const run = await startRun(store, { update: { owes: ['x'] } })
    await post(store, 'run-1', 'p')
    clock.advance(1000)

    const renewed = await store.runs.renew(run.claim, { leaseMs: 5000 })

    deepEqual(renewed, { ...run.claim, leaseUntil: clock.now() + 5000, waiting: 1, owes: ['x'] })
    deepEqual((await rowOf(store, 'run-1')).lease, { owner: owner('a'), until: clock.now() + 5000 })
  },

  'renew and release of an unknown run are RUN_NOT_FOUND': async ({ store }) => {
    const run = await startRun(store)
    const claim = { ...run.claim, runId: 'run-2' }

    await rejectsWith('RUN_NOT_FOUND', async () => store.runs.renew(claim, { leaseMs: LEASE_MS }))
    await rejectsWith('RUN_NOT_FOUND', async () => store.runs.release(claim, { expectedHead: 1 }))
  },

  'a terminal append ends the lease': async ({ store }) => {
    const run = await startRun(store)
    const after = await extend(store, run, { run: completed })

    const row = await rowOf(store, 'run-1')
    deepEqual([row.status, row.lease, row.token], ['completed', undefined, 1])
    await rejectsWith('FENCED', async () => extend(store, after))
    await rejectsWith('FENCED', async () => store.runs.renew(run.claim, { leaseMs: LEASE_MS }))
  },

  'a terminal append that owes keeps the lease until the debt is paid': async ({ store }) => {
    const run = await startRun(store)
    const after = await extend(store, run, { run: { ...completed, owes: [{ to: 'parent' }] } })

    const row = await rowOf(store, 'run-1')
    deepEqual([row.lease?.owner.id, row.owes], ['a', [{ to: 'parent' }]])
    equal((await store.runs.renew(after.claim, { leaseMs: LEASE_MS })).status, 'completed')
    equal(await release(store, after, { ...completed, owes: [] }), 'released')
    await rejectsWith('RUN_TERMINAL', async () => acquire(store, 'run-1', 'a'))
  },
})
