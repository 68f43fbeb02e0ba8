import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { atOnce, refusalOf, rejectsWith, rowOf } from '../expectations.ts'
import { acquire, extend, LEASE_MS, release, startRun } from '../test-run.ts'

export const takeoverCases: readonly ContractCase[] = contractGroup('takeover', {
  'a living lease is broken by its token, and that counts as a recovery': async ({ store, clock }) => {
    const run = await startRun(store)

    const claim = await acquire(store, 'run-1', 'b', { takeover: 1 })

    ok(claim.token > run.claim.token)
    deepEqual([claim.recoveries, claim.leaseUntil], [1, clock.now() + LEASE_MS])
    await rejectsWith('FENCED', async () => extend(store, run))
    equal(await release(store, run), 'lost')
    await extend(store, { ...run, claim })
  },

  'without takeover a living lease holds': async ({ store, clock }) => {
    await startRun(store)
    clock.advance(LEASE_MS - 1)

    await rejectsWith('RUN_BUSY', async () => acquire(store, 'run-1', 'b'))

    const row = await rowOf(store, 'run-1')
    deepEqual([row.token, row.lease?.owner.id, row.recoveries], [1, 'a', 0])
  },

  'a takeover that names an older lease is RUN_BUSY': async ({ store }) => {
    await startRun(store)
    const { token } = await acquire(store, 'run-1', 'a')

    await rejectsWith('RUN_BUSY', async () => acquire(store, 'run-1', 'b', { takeover: 1 }))

    equal((await rowOf(store, 'run-1')).lease?.owner.id, 'a')
    ok((await acquire(store, 'run-1', 'b', { takeover: token })).token > token)
  },

  'a takeover that names an older lease gets a run that nobody is at work on': async ({ store, clock }) => {
    const run = await startRun(store)
    const second = await acquire(store, 'run-1', 'a')
    clock.advance(LEASE_MS + 1)

    const third = await acquire(store, 'run-1', 'b', { takeover: 1 })
    ok(third.token > second.token)
    await release(store, { ...run, claim: third })

    ok((await acquire(store, 'run-1', 'c', { takeover: 1 })).token > third.token)
  },

  'of 2 x 20 owners that break one lease one gets the run': async ({ store, open }) => {
    const other = store.capabilities.shared ? await open() : store
    await startRun(store)

    const tokens: number[] = []
    const refusals = await atOnce(40, async (n) =>
      refusalOf(async () =>
        tokens.push((await acquire(n % 2 === 0 ? store : other, 'run-1', `owner ${n}`, { takeover: 1 })).token),
      ),
    )

    equal(refusals.filter((refusal) => refusal === undefined).length, 1)
    equal(refusals.filter((refusal) => refusal === 'RUN_BUSY').length, 39)
    const row = await rowOf(store, 'run-1')
    deepEqual(tokens, [row.token])
    equal(row.recoveries, 1)
  },
})
