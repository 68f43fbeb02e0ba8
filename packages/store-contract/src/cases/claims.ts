import { genesis, type Claim } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { atMost, atOnce, readAll, refusalOf, rejectsWith, rowOf } from '../expectations.ts'
import { eventOf } from '../sample-events.ts'
import {
  acquire,
  blocked,
  claimDue,
  completed,
  extend,
  LEASE_MS,
  owner,
  parkedProblem,
  post,
  release,
  runIds,
  running,
  startIdleRun,
  startRun,
  type StartOptions,
} from '../test-run.ts'

export const claimCases: readonly ContractCase[] = contractGroup('claims', {
  'a due run is leased to the claimer': async ({ store, clock }) => {
    await startIdleRun(store, { events: 2, update: { owes: ['x'] } })
    await post(store, 'run-1', 'p')
    const before = await rowOf(store, 'run-1')

    const claims = await claimDue(store, 'b')

    const leaseUntil = clock.now() + LEASE_MS
    const { token } = await rowOf(store, 'run-1')
    ok(token > before.token)
    deepEqual(claims, [
      {
        runId: 'run-1',
        workflow: 'sample',
        version: '1',
        queue: 'default',
        owner: owner('b'),
        token,
        leaseUntil,
        head: 2,
        status: 'running',
        waiting: 1,
        recoveries: 0,
        owes: ['x'],
      } satisfies Claim,
    ])
    deepEqual((await rowOf(store, 'run-1')).lease, { owner: owner('b'), until: leaseUntil })
  },

  'a run whose time has not come is left alone until it has': async ({ store, clock }) => {
    const run = await startRun(store)
    await release(store, run, { ...blocked, wakeAt: clock.now() + 1000 })

    deepEqual(await claimDue(store, 'b'), [])
    clock.advance(999)
    deepEqual(await claimDue(store, 'b'), [])
    clock.advance(1)
    deepEqual(runIds(await claimDue(store, 'b')), ['run-1'])
  },

  'a run that only a post can move is never claimed': async ({ store, clock }) => {
    await release(store, await startRun(store), blocked)
    await extend(store, await startRun(store, { runId: 'run-2' }), { run: completed })
    clock.advance(1_000_000_000)

    deepEqual(await claimDue(store, 'b'), [])
  },

  'a run that has ended and owes nothing is never due, whatever its wakeAt says': async ({ store, clock }) => {
    await extend(store, await startRun(store), { run: { ...completed, wakeAt: 0 } })
    await extend(store, await startRun(store, { runId: 'run-2' }), { run: { ...completed, wakeAt: clock.now() } })

    deepEqual(await claimDue(store, 'b'), [])
    equal((await rowOf(store, 'run-1')).wakeAt, null)
  },

  'a leased run is claimed when the lease has run out, not before': async ({ store, clock }) => {
    await startRun(store)

    clock.advance(LEASE_MS - 1)
    deepEqual(await claimDue(store, 'a'), [])
    deepEqual(await claimDue(store, 'b'), [])
    clock.advance(2)
    deepEqual(runIds(await claimDue(store, 'b')), ['run-1'])
    deepEqual(await claimDue(store, 'b'), [])
  },

  'only runs that the claimer can drive are claimed': async ({ store }) => {
    const runs: readonly StartOptions[] = [
      { runId: 'a1', creation: { workflow: 'a' } },
      { runId: 'a2', creation: { workflow: 'a', version: '2' } },
      { runId: 'b1', creation: { workflow: 'b' } },
      { runId: 'b2', creation: { workflow: 'b', version: '2' } },
      { runId: 'slow', creation: { workflow: 'a', queue: 'slow' } },
      { runId: 'new', creation: { workflow: 'a' }, events: [eventOf('new', genesis('new'), { v: 2 })] },
    ]
    for (const run of runs) await startIdleRun(store, run)
    const a1 = [{ name: 'a', versions: ['1'] }]

    deepEqual(await claimDue(store, 'w', { workflows: [] }), [])
    deepEqual(await claimDue(store, 'w', { workflows: [{ name: 'a', versions: [] }] }), [])
    deepEqual(await claimDue(store, 'w', { workflows: a1, queues: [] }), [])
    deepEqual(await claimDue(store, 'w', { workflows: a1, formats: [] }), [])
    deepEqual(await claimDue(store, 'w', { workflows: [{ name: 'A', versions: ['1'] }] }), [])
    deepEqual(runIds(await claimDue(store, 'w', { workflows: a1 })), ['a1'])
    const crossed = [...a1, { name: 'b', versions: ['2', '3'] }]
    deepEqual(runIds(await claimDue(store, 'w', { workflows: crossed })), ['b2'])
    deepEqual(runIds(await claimDue(store, 'w', { workflows: a1, queues: [{ name: 'slow' }] })), ['slow'])
    deepEqual(runIds(await claimDue(store, 'w', { workflows: a1, formats: [1, 2] })), ['new'])
  },

  'the runs that have been due longest come first, up to the limit': async ({ store, clock }) => {
    const due = [300, 100, 500, 200, 400]
    for (const ms of due) {
      const run = await startRun(store, { runId: `run-${ms}` })
      await release(store, run, { ...blocked, wakeAt: clock.now() + ms })
    }
    clock.advance(1000)

    deepEqual(runIds(await claimDue(store, 'b', { limit: 2 })), ['run-100', 'run-200'])
    deepEqual(runIds(await claimDue(store, 'b', { limit: 2 })), ['run-300', 'run-400'])
    deepEqual(runIds(await claimDue(store, 'b', { limit: 2 })), ['run-500'])
  },

  'a running run keeps the time since when it has been due': async ({ store, clock }) => {
    const first = await startRun(store, { runId: 'first' })
    const since = clock.now()
    clock.advance(10)
    await startIdleRun(store, { runId: 'second' })
    clock.advance(10)

    const after = await extend(store, first)
    equal((await rowOf(store, 'first')).wakeAt, since)
    await release(store, after, running)

    deepEqual(runIds(await claimDue(store, 'b')), ['first', 'second'])
  },

  'a run that was blocked is due since it runs again': async ({ store, clock }) => {
    const run = await startRun(store, { update: blocked })
    equal((await rowOf(store, 'run-1')).wakeAt, null)
    clock.advance(10)

    await extend(store, run)

    equal((await rowOf(store, 'run-1')).wakeAt, clock.now())
  },

  'a problem backs the run off until retryAt': async ({ store, clock }) => {
    const run = await startRun(store)
    const problem = { ...parkedProblem, retryAt: clock.now() + 1000 }
    equal(await store.runs.release(run.claim, { expectedHead: 1, problem }), 'released')

    clock.advance(999)
    deepEqual(await claimDue(store, 'b'), [])
    clock.advance(1)
    deepEqual(
      (await claimDue(store, 'b')).map((claim) => claim.problem),
      [problem],
    )
  },

  'a problem without retryAt keeps the run parked until it is acquired and moves': async ({ store, clock }) => {
    const run = await startRun(store)
    await store.runs.release(run.claim, { expectedHead: 1, problem: parkedProblem })
    clock.advance(1_000_000_000)
    deepEqual(await claimDue(store, 'b'), [])

    const claim = await acquire(store, 'run-1', 'c')
    deepEqual(claim.problem, parkedProblem)
    await extend(store, { ...run, claim })

    equal((await rowOf(store, 'run-1')).problem, undefined)
    clock.advance(LEASE_MS + 1)
    deepEqual(runIds(await claimDue(store, 'b')), ['run-1'])
  },

  'a run in debt is due whatever its wakeAt says, terminal or not': async ({ store, clock }) => {
    for (const update of [blocked, completed]) {
      const run = await startRun(store, { runId: update.status })
      await extend(store, run, { run: { ...update, owes: [{ child: 'c' }] } })
    }
    clock.advance(LEASE_MS + 1)

    const claims = await claimDue(store, 'b')

    deepEqual(new Set(runIds(claims)), new Set(['blocked', 'completed']))
    deepEqual(
      claims.map(({ owes }) => owes),
      [[{ child: 'c' }], [{ child: 'c' }]],
    )
  },

  'debts stay until an update names others': async ({ store }) => {
    const run = await startRun(store, { update: { owes: ['x', 'y'] } })
    const after = await extend(store, run)
    deepEqual((await rowOf(store, 'run-1')).owes, ['x', 'y'])

    equal(await release(store, await extend(store, after, { run: { owes: ['y'] } }), blocked), 'due')
    deepEqual(
      (await claimDue(store, 'b')).map(({ owes }) => owes),
      [['y']],
    )
    const claim = await acquire(store, 'run-1', 'b')
    equal(
      await release(store, { ...after, end: { ...after.end, seq: 3 }, claim }, { ...blocked, owes: [] }),
      'released',
    )
    deepEqual(await claimDue(store, 'b'), [])
  },

  'a limit outside 1-1000 is INVALID_ARGUMENT': async ({ store }) => {
    await startIdleRun(store)

    for (const limit of [0, -1, 1.5, 1001])
      await rejectsWith('INVALID_ARGUMENT', async () => claimDue(store, 'b', { limit }))
    equal((await claimDue(store, 'b', { limit: 1000 })).length, 1)
  },

  'concurrent claimers share out the due runs and get none twice': async ({ store, open }) => {
    const handles = store.capabilities.shared ? [store, await open()] : [store]
    await atOnce(100, async (n) => startIdleRun(store, { runId: `run-${n}` }))

    const claimed = await atOnce(20, async (n) => {
      const handle = handles[n % handles.length] ?? store
      const mine: string[] = []
      let idle = 0
      for (const _ of atMost(200)) {
        const claims = await claimDue(handle, `worker ${n}`, { limit: 3 })
        mine.push(...runIds(claims))
        idle = claims.length === 0 ? idle + 1 : 0
        if (idle === 2) break
      }
      return mine
    })

    const all = [...claimed.flat(), ...runIds(await claimDue(store, 'last'))]
    equal(all.length, 100)
    equal(new Set(all).size, 100)
  },
})

/** As a store tells it or leaves it out: with a lease that comes from a claim with limits, too. */
export const firstEventCases: readonly ContractCase[] = contractGroup('claims', {
  'a claim tells of each run the event of one that has one alone, or leaves it out': async ({ store }) => {
    for (const queue of ['free', 'limited']) {
      const creation = { queue }
      const long = JSON.stringify({ input: 'x'.repeat(100_000) })
      const bodies = { brief: '{"input":"\u{1f9ca} \\u0000"}', other: '{"input":2}', long }
      for (const [name, body] of Object.entries(bodies)) {
        const runId = `${queue} ${name}`
        await startIdleRun(store, { runId, creation, events: [eventOf(runId, genesis(runId), { body })] })
      }
      await startIdleRun(store, { runId: `${queue} longer`, creation, events: 2 })
    }

    const claims = await claimDue(store, 'b', { queues: [{ name: 'free' }] })
    const limited = await claimDue(store, 'b', { queues: [{ name: 'limited', concurrency: 10 }] })

    equal(claims.length + limited.length, 8)
    for (const { runId, head, first } of [...claims, ...limited]) {
      const log = await readAll(store, runId)
      equal(log.length, head)
      if (first !== undefined) deepEqual([first], log)
    }
  },

  'a claim tells of a run that was appended to since it was begun what it has now': async ({ store, clock }) => {
    const run = await startRun(store)
    await extend(store, run)
    clock.advance(LEASE_MS + 1)

    const [claim] = await claimDue(store, 'b')

    deepEqual([claim?.head, claim?.first], [2, undefined])
  },
})

export const recoveryCases: readonly ContractCase[] = contractGroup('claims', {
  'every lease that ran out counts as a recovery, until an item is closed': async ({ store, clock }) => {
    let run = await startRun(store)
    for (const recoveries of [1, 2]) {
      clock.advance(LEASE_MS + 1)
      const [claim] = await claimDue(store, `worker ${recoveries}`)
      equal(claim?.recoveries, recoveries)
      run = await extend(store, { ...run, claim })
    }
    clock.advance(LEASE_MS + 1)
    const claim = await acquire(store, 'run-1', 'c')
    equal(claim.recoveries, 3)

    await extend(store, { ...run, claim }, { run: { progressed: true } })

    equal((await rowOf(store, 'run-1')).recoveries, 0)
  },

  'its own lease that ran out counts too': async ({ store, clock }) => {
    await startRun(store)
    clock.advance(LEASE_MS + 1)

    equal((await acquire(store, 'run-1', 'a')).recoveries, 1)
  },

  'at the very instant of its end a lease is over for everybody': async ({ store, clock }) => {
    for (const runId of ['own', 'free', 'gone']) await startRun(store, { runId })

    clock.advance(LEASE_MS)

    equal((await acquire(store, 'own', 'a')).recoveries, 1)
    equal((await acquire(store, 'free', 'b')).recoveries, 1)
    equal(await store.runs.remove('gone', { ifTerminal: false }), true)
  },

  'a released lease is no recovery, and no release forgets those before it': async ({ store, clock }) => {
    const run = await startRun(store)
    clock.advance(LEASE_MS + 1)
    const claim = await acquire(store, 'run-1', 'b')

    await release(store, { ...run, claim }, running)

    equal((await claimDue(store, 'c'))[0]?.recoveries, 1)
  },
})

export const acquireCases: readonly ContractCase[] = contractGroup('claims', {
  'acquire leases a run that is not due': async ({ store }) => {
    const run = await startRun(store)
    await release(store, run, blocked)

    const claim = await acquire(store, 'run-1', 'b')

    ok(claim.token > run.claim.token)
    deepEqual([claim.status, claim.head, claim.recoveries], ['blocked', 1, 0])
  },

  'acquire of an unknown run is RUN_NOT_FOUND': async ({ store }) => {
    await rejectsWith('RUN_NOT_FOUND', async () => acquire(store, 'run-1', 'a'))
  },

  'acquire of a run that has ended is RUN_TERMINAL, unless it owes': async ({ store }) => {
    for (const status of ['completed', 'failed', 'canceled', 'continued'] as const) {
      const run = await startRun(store, { runId: status })
      await extend(store, run, { run: { ...completed, status } })
      await rejectsWith('RUN_TERMINAL', async () => acquire(store, status, 'a'))
    }
    const run = await startRun(store, { runId: 'in debt' })
    await extend(store, run, { run: { ...completed, owes: ['x'] } })
    deepEqual((await acquire(store, 'in debt', 'a')).owes, ['x'])
  },

  'of 2 x 20 owners that acquire a free run one gets it': async ({ store, open }) => {
    const other = store.capabilities.shared ? await open() : store
    await startIdleRun(store)

    const tokens: number[] = []
    const refusals = await atOnce(40, async (n) =>
      refusalOf(async () => tokens.push((await acquire(n % 2 === 0 ? store : other, 'run-1', `owner ${n}`)).token)),
    )

    equal(refusals.filter((refusal) => refusal === undefined).length, 1)
    equal(refusals.filter((refusal) => refusal === 'RUN_BUSY').length, 39)
    deepEqual(tokens, [(await rowOf(store, 'run-1')).token])
  },
})
