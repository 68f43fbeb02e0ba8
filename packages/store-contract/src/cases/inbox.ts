import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { allPages, atMost, atOnce, everythingOf, refusalOf, rejectsWith, rowOf } from '../expectations.ts'
import {
  acquire,
  blocked,
  claimDue,
  completed,
  extend,
  LEASE_MS,
  parkedProblem,
  post,
  release,
  runIds,
  startRun,
} from '../test-run.ts'

export const postingCases: readonly ContractCase[] = contractGroup('inbox', {
  'a post is kept byte for byte, with the instant of keeping': async ({ store, clock }) => {
    await startRun(store)
    clock.advance(5)
    const draft = { id: 'p', type: 'Resumed', body: '{"key":"approve","value":{"note":"\\u0000 ✓ 𝒳"}}' }

    equal(await store.inbox.post('run-1', draft, { maxWaiting: 10 }), 'kept')

    deepEqual((await store.inbox.list('run-1', { limit: 10 })).items, [{ ...draft, postedAt: clock.now() }])
    equal((await rowOf(store, 'run-1')).waiting, 1)
  },

  'posts wait in the order in which they were kept': async ({ store }) => {
    await startRun(store)
    await startRun(store, { runId: 'run-2' })
    const ids = ['z', 'a', '10', '9', 'Z', 'b']
    for (const id of ids) {
      await post(store, 'run-1', id)
      await post(store, 'run-2', `other ${id}`)
    }

    const listed = async (limit: number): Promise<readonly string[]> =>
      (await store.inbox.list('run-1', { limit })).items.map(({ id }) => id)

    deepEqual(await listed(100), ids)
    deepEqual(await listed(2), ids.slice(0, 2))
  },

  'a second post of a waiting id is a duplicate and changes nothing': async ({ store, clock }) => {
    const run = await startRun(store)
    await post(store, 'run-1', 'p')
    await store.runs.release(run.claim, { expectedHead: 1, problem: parkedProblem })
    const before = await everythingOf(store, 'run-1')
    clock.advance(1000)

    const again = { id: 'p', type: 'Other', body: '"other"' }
    equal(await store.inbox.post('run-1', again, { maxWaiting: 10 }), 'duplicate')

    deepEqual(await everythingOf(store, 'run-1'), before)
  },

  'a post of an id that is in the log is a duplicate and wakes nobody': async ({ store }) => {
    const run = await startRun(store)
    await post(store, 'run-1', 'p')
    const after = await extend(store, run, { take: ['p'], run: blocked })
    await release(store, after)

    equal(await post(store, 'run-1', 'p'), 'duplicate')

    const row = await rowOf(store, 'run-1')
    deepEqual([row.waiting, row.wakeAt], [0, null])
  },

  'a duplicate is told before the end of the run and before a full inbox': async ({ store }) => {
    const run = await startRun(store)
    await post(store, 'run-1', 'p')
    equal(await post(store, 'run-1', 'p', 1), 'duplicate')

    await extend(store, run, { take: ['p'], run: completed })

    equal(await post(store, 'run-1', 'p'), 'duplicate')
    await rejectsWith('RUN_TERMINAL', async () => post(store, 'run-1', 'q'))
    await rejectsWith('RUN_TERMINAL', async () => post(store, 'run-1', 'q', 0))
  },

  'a post to an unknown run is RUN_NOT_FOUND': async ({ store }) => {
    await startRun(store)

    await rejectsWith('RUN_NOT_FOUND', async () => post(store, 'run-2', 'p'))
  },

  'a post to a run that has ended is RUN_TERMINAL, whatever it owes': async ({ store }) => {
    for (const status of ['completed', 'failed', 'canceled', 'continued'] as const) {
      for (const owes of [[], ['x']]) {
        const runId = `${status} ${owes.length}`
        const run = await startRun(store, { runId })
        await extend(store, run, { run: { ...completed, status, owes } })

        await rejectsWith('RUN_TERMINAL', async () => post(store, runId, 'p'))

        equal((await rowOf(store, runId)).waiting, 0)
      }
    }
  },

  'a post beyond the limit is INBOX_FULL until some were taken': async ({ store }) => {
    const run = await startRun(store)
    for (const id of ['p', 'q']) equal(await post(store, 'run-1', id, 2), 'kept')

    await rejectsWith('INBOX_FULL', async () => post(store, 'run-1', 'r', 2))

    equal((await rowOf(store, 'run-1')).waiting, 2)
    await extend(store, run, { take: ['p'] })
    equal(await post(store, 'run-1', 'r', 2), 'kept')
  },

  'of concurrent posts of one id one is kept': async ({ store }) => {
    await startRun(store)

    const answers = await atOnce(20, async () => post(store, 'run-1', 'p'))

    equal(answers.filter((answer) => answer === 'kept').length, 1)
    equal((await store.inbox.list('run-1', { limit: 100 })).items.length, 1)
  },

  'concurrent posts keep to the limit and leave an exact count': async ({ store }) => {
    await startRun(store)

    const refusals = await atOnce(40, async (n) => refusalOf(async () => post(store, 'run-1', `p${n}`, 10)))

    equal(refusals.filter((refusal) => refusal === undefined).length, 10)
    equal(refusals.filter((refusal) => refusal === 'INBOX_FULL').length, 30)
    equal((await rowOf(store, 'run-1')).waiting, 10)
    equal((await store.inbox.list('run-1', { limit: 100 })).items.length, 10)
  },

  'a post makes a blocked run due and notes since when': async ({ store, clock }) => {
    const run = await startRun(store)
    await release(store, run, blocked)
    deepEqual(await claimDue(store, 'b'), [])
    clock.advance(1000)

    await post(store, 'run-1', 'p')

    equal((await rowOf(store, 'run-1')).wakeAt, clock.now())
    clock.advance(1000)
    await post(store, 'run-1', 'q')
    equal((await rowOf(store, 'run-1')).wakeAt, clock.now() - 1000)
    deepEqual(runIds(await claimDue(store, 'b')), ['run-1'])
  },

  'a post brings a timer of the run forward, and the run stays due until it is taken': async ({ store, clock }) => {
    const run = await startRun(store)
    await extend(store, run, { run: { ...blocked, wakeAt: clock.now() + 5000 } })
    await post(store, 'run-1', 'p')
    const since = clock.now()
    equal((await rowOf(store, 'run-1')).wakeAt, since)

    clock.advance(10)
    const next = { ...run, end: { ...run.end, seq: 2 } }
    const untaken = await extend(store, next, { run: { ...blocked, wakeAt: clock.now() + 5000 } })
    equal((await rowOf(store, 'run-1')).wakeAt, since)

    await extend(store, untaken, { take: ['p'], run: { ...blocked, wakeAt: clock.now() + 5000 } })
    equal((await rowOf(store, 'run-1')).wakeAt, clock.now() + 5000)
  },

  'a post clears the problem of a parked run, also one that comes again by itself': async ({ store, clock }) => {
    for (const [runId, retryAt] of Object.entries({ 'run-1': null, 'run-2': clock.now() + 5000 })) {
      const run = await startRun(store, { runId })
      await store.runs.release(run.claim, { expectedHead: 1, problem: { ...parkedProblem, retryAt } })
      deepEqual(await claimDue(store, 'b'), [])

      await post(store, runId, 'p')

      equal((await rowOf(store, runId)).problem, undefined)
      deepEqual(runIds(await claimDue(store, 'b')), [runId])
    }
  },

  'a post leaves the lease and the head of a driven run alone': async ({ store }) => {
    const run = await startRun(store)
    const { lease, token } = await rowOf(store, 'run-1')

    await post(store, 'run-1', 'p')

    const row = await rowOf(store, 'run-1')
    deepEqual([row.lease, row.token, row.head], [lease, token, 1])
    deepEqual(await claimDue(store, 'b'), [])
    equal((await extend(store, run)).waiting, 1)
  },
})

export const takingCases: readonly ContractCase[] = contractGroup('inbox', {
  'an append takes the named posts and tells how many wait': async ({ store }) => {
    const run = await startRun(store)
    for (const id of ['p', 'q', 'r']) await post(store, 'run-1', id)

    const after = await extend(store, run, { take: ['q'] })

    equal(after.waiting, 2)
    deepEqual(
      (await store.inbox.list('run-1', { limit: 10 })).items.map(({ id }) => id),
      ['p', 'r'],
    )
  },

  'posts that no longer wait are passed over': async ({ store }) => {
    const run = await startRun(store)
    for (const id of ['p', 'q', 'r']) await post(store, 'run-1', id)
    const first = await extend(store, run, { take: ['p'], reject: [{ id: 'q', error: '{}' }] })

    const reject = ['p', 'q', 'never posted'].map((id) => ({ id, error: '"late"' }))
    const second = await extend(store, first, { take: ['p', 'q', 'never posted either'], reject })

    equal(second.waiting, 1)
    deepEqual(
      (await store.inbox.rejected('run-1', { limit: 10 })).items.map(({ error }) => error),
      ['{}'],
    )
    equal(await post(store, 'run-1', 'p'), 'duplicate')
    equal(await post(store, 'run-1', 'q'), 'kept')
    equal(await post(store, 'run-1', 'never posted'), 'kept')
    equal(await post(store, 'run-1', 'never posted either'), 'kept')
  },

  'as many posts as are named are taken and rejected, behind others that do not wait': async ({ store }) => {
    const run = await startRun(store)
    const ids = Array.from({ length: 240 }, (_, i) => `p${i}`)
    for (const id of ids) await post(store, 'run-1', id)
    const [taken, rejected] = [ids.slice(0, 120), ids.slice(120)]
    const reject = ['never posted', ...rejected].map((id) => ({ id, error: 'null' }))

    const after = await extend(store, run, { take: ['never posted either', ...taken], reject })

    equal(after.waiting, 0)
    deepEqual((await store.inbox.list('run-1', { limit: 1000 })).items, [])
    const pages = await allPages(async (request) => store.inbox.rejected('run-1', { ...request, limit: 1000 }))
    deepEqual(
      pages.flat().map(({ id }) => id),
      rejected,
    )
    for (const id of taken) equal(await post(store, 'run-1', id), 'duplicate')
  },

  'a taken post stays out of another run': async ({ store }) => {
    const run = await startRun(store)
    await startRun(store, { runId: 'run-2' })
    for (const runId of ['run-1', 'run-2']) await post(store, runId, 'p')

    await extend(store, run, { take: ['p'] })

    equal((await rowOf(store, 'run-2')).waiting, 1)
    equal((await store.inbox.list('run-2', { limit: 10 })).items.length, 1)
  },

  'a rejected post is listed with its error, and its id is free again': async ({ store, clock }) => {
    let run = await startRun(store)
    for (const [i, error] of ['{"code":"A"}', '{"code":"B \\u0000"}'].entries()) {
      clock.advance(10)
      equal(await post(store, 'run-1', 'p'), 'kept')
      run = await extend(store, run, { events: i, reject: [{ id: 'p', error }] })
      equal(run.waiting, 0)
    }

    const kept = { id: 'p', type: 'Resumed', body: '{"id":"p"}' }
    deepEqual((await store.inbox.rejected('run-1', { limit: 10 })).items, [
      { ...kept, postedAt: clock.now() - 10, error: '{"code":"A"}' },
      { ...kept, postedAt: clock.now(), error: '{"code":"B \\u0000"}' },
    ])
    deepEqual((await store.inbox.list('run-1', { limit: 10 })).items, [])
  },

  'rejected posts fill no inbox': async ({ store }) => {
    const run = await startRun(store)
    await post(store, 'run-1', 'p', 1)
    await extend(store, run, { reject: [{ id: 'p', error: '"no"' }] })

    equal(await post(store, 'run-1', 'q', 1), 'kept')
    await rejectsWith('INBOX_FULL', async () => post(store, 'run-1', 'r', 1))
  },

  'every answer about a run tells how many posts wait': async ({ store, clock }) => {
    const run = await startRun(store)
    for (const id of ['p', 'q']) await post(store, 'run-1', id)

    equal((await extend(store, run)).waiting, 2)
    equal((await store.runs.renew(run.claim, { leaseMs: LEASE_MS })).waiting, 2)
    clock.advance(LEASE_MS + 1)
    equal((await claimDue(store, 'b'))[0]?.waiting, 2)
    equal((await acquire(store, 'run-1', 'b')).waiting, 2)
    equal((await rowOf(store, 'run-1')).waiting, 2)
  },

  'an end that would leave posts behind is INBOX_PENDING': async ({ store }) => {
    const run = await startRun(store)
    for (const id of ['p', 'q']) await post(store, 'run-1', id)
    const reject = [{ id: 'q', error: '{}' }]

    for (const owes of [[], ['x']]) {
      await rejectsWith('INBOX_PENDING', async () => extend(store, run, { run: { ...completed, owes } }))
    }
    await rejectsWith('INBOX_PENDING', async () => extend(store, run, { take: ['p'], run: completed }))

    equal((await extend(store, run, { take: ['p'], reject, run: completed })).waiting, 0)
  },

  'of a post and an end at once one is refused': async ({ store }) => {
    const outcomes = await atOnce(20, async (n) => {
      const runId = `run-${n}`
      const run = await startRun(store, { runId })
      const [ofPost, ofEnd] = await Promise.all([
        refusalOf(async () => post(store, runId, 'p')),
        refusalOf(async () => extend(store, run, { run: completed })),
      ])
      const { status, waiting } = await rowOf(store, runId)
      return { ofPost, ofEnd, status, waiting }
    })

    for (const { ofPost, ofEnd, status, waiting } of outcomes) {
      ok(
        (ofPost === undefined && ofEnd === 'INBOX_PENDING' && status === 'running' && waiting === 1) ||
          (ofPost === 'RUN_TERMINAL' && ofEnd === undefined && status === 'completed' && waiting === 0),
      )
    }
  },

  'a post that comes while an append runs is taken later and lost never': async ({ store }) => {
    let run = await startRun(store)
    const takeAll = async (): Promise<void> => {
      const taken = new Set<string>()
      for (const _ of atMost(5000)) {
        const take = (await store.inbox.list('run-1', { limit: 7 })).items.map(({ id }) => id)
        run = await extend(store, run, { take })
        for (const id of take) taken.add(id)
        if (taken.size === 50) break
      }
    }

    await Promise.all([atOnce(50, async (n) => post(store, 'run-1', `p${n}`)), takeAll()])

    const row = await rowOf(store, 'run-1')
    deepEqual([row.waiting, row.head], [0, run.end.seq])
  },
})
