import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { atOnce, everythingOf, readAll, refusalOf, rowOf } from '../expectations.ts'
import { sampleEvents } from '../sample-events.ts'
import {
  acquire,
  blocked,
  claimDue,
  completed,
  createRun,
  creating,
  creation,
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

  'a release that says that the run has ended says when, unless the append that ended it has': async ({
    store,
    clock,
  }) => {
    const run = await startRun(store)
    clock.advance(10)
    const endedAt = clock.now()

    equal(await release(store, run, completed), 'released')

    deepEqual([(await rowOf(store, 'run-1')).status, (await rowOf(store, 'run-1')).endedAt], ['completed', endedAt])
    deepEqual((await store.runs.list({ endedBefore: endedAt + 1 }, { limit: 10 })).items.length, 1)
  },

  'an append that releases ends the lease and sets the row': async ({ store, clock }) => {
    const run = await startRun(store)
    const update = { ...blocked, wakeAt: clock.now() + 10 }

    equal((await extend(store, run, { run: update, events: 2, release: true })).waiting, 0)

    const row = await rowOf(store, 'run-1')
    deepEqual([row.status, row.blockedOn, row.wakeAt], ['blocked', blocked.blockedOn, clock.now() + 10])
    deepEqual([row.lease, row.token, row.head], [undefined, 1, 3])
    equal((await readAll(store, 'run-1')).length, 3)
    deepEqual(await claimDue(store, 'b'), [])
    clock.advance(10)
    const [claim] = await claimDue(store, 'b')
    ok(claim !== undefined && claim.token > 1)
    equal(claim.recoveries, 0)
  },

  'an append that does not release keeps the lease': async ({ store }) => {
    await extend(store, await startRun(store), { run: blocked, release: false })

    equal((await rowOf(store, 'run-1')).lease?.owner.id, 'a')
  },

  'an append that releases keeps the lease while posts wait': async ({ store }) => {
    const run = await startRun(store)
    await post(store, 'run-1', 'p')
    await post(store, 'run-1', 'q')

    const after = await extend(store, run, { run: blocked, take: ['p'], release: true })

    equal(after.waiting, 1)
    deepEqual((await rowOf(store, 'run-1')).lease, { owner: run.claim.owner, until: run.claim.leaseUntil })
    equal((await extend(store, after, { run: blocked, take: ['q'], release: true })).waiting, 0)
    equal((await rowOf(store, 'run-1')).lease, undefined)
  },

  'who has released by an append can neither append nor release again': async ({ store }) => {
    const run = await startRun(store)
    const after = await extend(store, run, { run: blocked, release: true })
    const before = await everythingOf(store, 'run-1')

    equal(await refusalOf(async () => extend(store, after)), 'FENCED')
    equal(await release(store, after), 'lost')

    deepEqual(await everythingOf(store, 'run-1'), before)
  },

  'an append that releases a run that goes on, or owes, leaves it due': async ({ store }) => {
    await extend(store, await startRun(store), { release: true })
    const owing = await startRun(store, { runId: 'run-2' })
    await extend(store, owing, { run: { ...completed, owes: ['x'] }, release: true })

    equal((await rowOf(store, 'run-2')).lease, undefined)
    deepEqual(runIds(await claimDue(store, 'b')).toSorted(), ['run-1', 'run-2'])
  },

  'a run that is released with its creation has begun, and is under no lease': async ({ store, clock }) => {
    const options = { ...creating({ update: { ...blocked, wakeAt: clock.now() + 10 } }), release: true }

    const appended = await store.events.append('run-1', sampleEvents('run-1', 2), options)

    deepEqual(appended, { waiting: 0 })
    const row = await rowOf(store, 'run-1')
    deepEqual([row.status, row.head, row.token, row.lease], ['blocked', 2, 1, undefined])
    clock.advance(10)
    // Who goes on has not begun for the first time, whatever the rate is.
    const queues = [{ name: 'default', rate: { limit: 1, periodMs: 1000 } }]
    await createRun(store, 'run-2')
    const claims = await claimDue(store, 'b', { queues })
    deepEqual(runIds(claims).toSorted(), ['run-1', 'run-2'])
    const again = claims.find(({ runId }) => runId === 'run-1')
    ok(again !== undefined && again.token > 1)
    equal(again.recoveries, 0)
  },

  'a run that ends with its creation has ended then, and is under no lease': async ({ store, clock }) => {
    for (const release of [false, true]) {
      const runId = `run-${release}`
      const options = creating({ update: completed })

      await store.events.append(runId, sampleEvents(runId, 1), { ...options, release })

      const { status, token, lease, endedAt } = await rowOf(store, runId)
      deepEqual([status, token, lease, endedAt], ['completed', 1, undefined, clock.now()])
      equal(await store.runs.remove(runId, { ifTerminal: true }), true)
    }
  },

  'an append that ends a run and releases it leaves no post behind, either': async ({ store }) => {
    const run = await startRun(store)
    await post(store, 'run-1', 'p')

    equal(await refusalOf(async () => extend(store, run, { run: completed, release: true })), 'INBOX_PENDING')

    await extend(store, run, { run: completed, take: ['p'], release: true })
  },

  'a run that is created without a lease cannot be released by that': async ({ store }) => {
    const { run, ...options } = creating()
    const append = async (): Promise<unknown> =>
      store.events.append('run-1', sampleEvents('run-1', 1), {
        ...options,
        run: { ...run, create: creation() },
        release: true,
      })

    equal(await refusalOf(append), 'INVALID_ARGUMENT')

    equal(await store.runs.find('run-1'), undefined)
  },

  'of a post and an append that releases at once neither is lost': async ({ store }) => {
    const ends = await atOnce(20, async (n) => {
      const runId = `run-${n}`
      const run = await startRun(store, { runId })
      const [told] = await Promise.all([extend(store, run, { run: blocked, release: true }), post(store, runId, 'p')])
      return { told: told.waiting, row: await rowOf(store, runId) }
    })

    // Who is told of a post keeps the lease to take it; a post that came behind makes the run due.
    for (const { told, row } of ends) deepEqual([row.head, row.waiting, row.lease === undefined], [2, 1, told === 0])
    equal((await claimDue(store, 'b')).length, ends.filter(({ told }) => told === 0).length)
  },

  'a lease that ran out is released as long as nobody else has taken the run': async ({ store, clock }) => {
    const run = await startRun(store)
    clock.advance(LEASE_MS * 10)

    equal(await release(store, run, blocked), 'released')

    const { status, lease, wakeAt } = await rowOf(store, 'run-1')
    deepEqual([status, lease, wakeAt], ['blocked', undefined, null])
    equal((await acquire(store, 'run-1', 'b')).recoveries, 0)
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
