import type { Claim, QueueClaim, Store } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { rejectsWith } from '../expectations.ts'
import {
  acquire,
  blocked,
  claimDue,
  completed,
  createRun,
  extend,
  LEASE_MS,
  parkedProblem,
  release,
  runIds,
  running,
  startIdleRun,
  startRun,
} from '../test-run.ts'

/** Releases a run that was claimed, by default as one that only a post can move. */
async function block(store: Store, claim: Claim | undefined, run = blocked): Promise<void> {
  ok(claim !== undefined, 'nothing was claimed')
  await store.runs.release(claim, { expectedHead: 1, run })
}

export const turnCases: readonly ContractCase[] = contractGroup('queues', {
  'queues take turns, in the order in which they are named': async ({ store }) => {
    for (const runId of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) {
      await startIdleRun(store, { runId, creation: { queue: runId.slice(0, 1) } })
    }

    const queues = [{ name: 'b' }, { name: 'nothing' }, { name: 'c' }, { name: 'a' }]
    deepEqual(runIds(await claimDue(store, 'w', { queues, limit: 4 })), ['b1', 'c1', 'a1', 'c2'])
    deepEqual(runIds(await claimDue(store, 'w', { queues, limit: 4 })), ['a2', 'a3'])
  },

  'a queue with many due runs starves no other': async ({ store, clock }) => {
    for (let n = 0; n < 150; n++) await createRun(store, `large-${n}`, { queue: 'large', priority: 100 })
    clock.advance(1000)
    for (let n = 0; n < 3; n++) await createRun(store, `small-${n}`, { queue: 'small', priority: -100 })

    const claims = await claimDue(store, 'w', { queues: [{ name: 'large' }, { name: 'small' }], limit: 6 })

    deepEqual(
      claims.map(({ queue }) => queue),
      ['large', 'small', 'large', 'small', 'large', 'small'],
    )
  },

  'of more queues than runs are asked for, the first that have any get a run each': async ({ store }) => {
    const names = Array.from({ length: 12 }, (_, n) => `queue ${n}`)
    for (const queue of names.filter((_, n) => n % 2 === 0))
      for (const n of [1, 2]) await createRun(store, `${queue} ${n}`, { queue })
    await acquire(store, 'queue 4 1', 'z')

    for (const [i, limit] of [undefined, { concurrency: 1 }].entries()) {
      const queues = names.map((name) => ({ name, ...limit }))
      const claims = await claimDue(store, `worker ${i}`, { queues, limit: 3 })

      const expected = [
        ['queue 0 1', 'queue 2 1', 'queue 4 2'],
        ['queue 6 1', 'queue 8 1', 'queue 10 1'],
      ]
      deepEqual(runIds(claims), expected[i])
    }
  },

  'of one queue the highest priority comes first, then what has been due longest, then by id': async (context) => {
    const { store, clock } = context
    const priorities = { 'z-top': 100, 'y-old': undefined, 'x-low': -100, 'w-high': 7 }
    for (const [runId, priority] of Object.entries(priorities)) {
      await createRun(store, runId, priority === undefined ? {} : { priority })
      clock.advance(1)
    }
    for (const runId of ['c', 'a', 'b']) await createRun(store, runId, { priority: 0 })
    const expected = ['z-top', 'w-high', 'y-old', 'a', 'b', 'c', 'x-low']

    for (const [i, runId] of expected.slice(0, 3).entries()) {
      deepEqual(runIds(await claimDue(store, `worker ${i}`, { limit: 1 })), [runId])
    }
    deepEqual(runIds(await claimDue(store, 'w')), expected.slice(3))
  },

  'how long a run has been due counts from the last of the times that it waited for': async ({ store, clock }) => {
    const parked = await startRun(store, { runId: 'a' })
    const retryAt = clock.now() + 1000
    await store.runs.release(parked.claim, { expectedHead: 1, problem: { ...parkedProblem, retryAt } })
    clock.advance(500)
    await startIdleRun(store, { runId: 'b' })
    clock.advance(500)

    deepEqual(runIds(await claimDue(store, 'w')), ['b', 'a'])
  },

  'queues are named once and are at most 1000, and limits are whole numbers of at least 1': async ({ store }) => {
    await startIdleRun(store)
    const many = Array.from({ length: 1000 }, (_, n) => ({ name: `queue ${n}` }))
    const wrong: readonly (readonly QueueClaim[])[] = [
      [{ name: 'default' }, { name: 'other' }, { name: 'default' }],
      [...many, { name: 'default' }],
      ...[0, -1, 1.5, NaN, Infinity].flatMap((limit) => [
        [{ name: 'default', concurrency: limit }],
        [{ name: 'default', concurrencyPerKey: limit }],
        [{ name: 'default', rate: { limit, periodMs: 1000 } }],
        [{ name: 'default', rate: { limit: 1, periodMs: limit } }],
      ]),
    ]

    for (const queues of wrong) {
      await rejectsWith('INVALID_ARGUMENT', async () => claimDue(store, 'w', { queues }))
      await rejectsWith('INVALID_ARGUMENT', async () => store.runs.dueIn({ workflows: [], queues, formats: [1] }))
    }
    const queues = [...many.slice(1), { name: 'default' }]
    deepEqual(runIds(await claimDue(store, 'w', { queues })), ['run-1'])
  },
})

const two: QueueClaim = { name: 'default', concurrency: 2 }
const onePerKey: QueueClaim = { name: 'default', concurrencyPerKey: 1 }

export const concurrencyCases: readonly ContractCase[] = contractGroup('queues', {
  'so many runs of a queue are under a lease at once, whoever has it': async ({ store }) => {
    const driven = await startRun(store, { runId: 'driven' })
    for (const runId of ['a', 'b', 'c']) await startIdleRun(store, { runId })
    await startIdleRun(store, { runId: 'other', creation: { queue: 'other' } })
    await acquire(store, 'other', 'z')

    deepEqual(runIds(await claimDue(store, 'w', { queues: [two] })), ['a'])
    deepEqual(await claimDue(store, 'x', { queues: [two] }), [])
    await release(store, driven, blocked)
    deepEqual(runIds(await claimDue(store, 'x', { queues: [two] })), ['b'])
    await acquire(store, 'driven', 'z')
    deepEqual(await claimDue(store, 'w', { queues: [two] }), [])
    deepEqual(runIds(await claimDue(store, 'w')), ['c'])
  },

  'a run that is blocked, parked or over counts no more': async ({ store }) => {
    const runs = await Promise.all(['a', 'b', 'c'].map(async (runId) => startRun(store, { runId })))
    await startIdleRun(store, { runId: 'due-1' })
    await startIdleRun(store, { runId: 'due-2' })
    deepEqual(await claimDue(store, 'w', { queues: [two] }), [])

    const [a, b, c] = runs as [(typeof runs)[0], (typeof runs)[0], (typeof runs)[0]]
    await release(store, a, blocked)
    deepEqual(await claimDue(store, 'w', { queues: [two] }), [])
    await store.runs.release(b.claim, { expectedHead: 1, problem: parkedProblem })
    deepEqual(runIds(await claimDue(store, 'w', { queues: [two] })), ['due-1'])
    await extend(store, c, { run: completed })
    deepEqual(runIds(await claimDue(store, 'w', { queues: [two] })), ['due-2'])
  },

  'whatever is under a lease counts, however it stands and whoever can drive it': async ({ store }) => {
    const [a, b] = [await startRun(store, { runId: 'a' }), await startRun(store, { runId: 'b' })]
    await startRun(store, { runId: 'old', creation: { version: '0' } })
    await startRun(store, { runId: 'another', creation: { workflow: 'another' } })
    await extend(store, a, { run: blocked })
    await extend(store, b, { run: { ...completed, owes: ['x'] } })
    await createRun(store, 'due')

    deepEqual(await claimDue(store, 'w', { queues: [{ name: 'default', concurrency: 4 }] }), [])
    deepEqual(runIds(await claimDue(store, 'w', { queues: [{ name: 'default', concurrency: 5 }] })), ['due'])
  },

  'a lease that ran out counts no more, one that was renewed does': async ({ store, clock }) => {
    await startRun(store, { runId: 'a' })
    const renewed = await startRun(store, { runId: 'b' })
    clock.advance(LEASE_MS - 1)
    await store.runs.renew(renewed.claim, { leaseMs: LEASE_MS })
    await startIdleRun(store, { runId: 'c', creation: { priority: 1 } })
    deepEqual(await claimDue(store, 'w', { queues: [two] }), [])

    clock.advance(1)

    deepEqual(runIds(await claimDue(store, 'w', { queues: [two] })), ['c'])
    deepEqual(await claimDue(store, 'w', { queues: [two] }), [])
  },

  'runs with the same key count together, those without one do not count': async ({ store }) => {
    const keys = { a1: 'a', a2: 'a', b1: 'b', n1: undefined, n2: undefined }
    for (const [runId, key] of Object.entries(keys)) {
      await startIdleRun(store, { runId, creation: key === undefined ? {} : { concurrencyKey: key } })
    }
    await startRun(store, { runId: 'elsewhere', creation: { queue: 'other', concurrencyKey: 'b' } })

    const claims = await claimDue(store, 'w', { queues: [onePerKey] })

    deepEqual(runIds(claims), ['a1', 'b1', 'n1', 'n2'])
    deepEqual(await claimDue(store, 'w', { queues: [onePerKey] }), [])
    await block(store, claims[0])
    deepEqual(runIds(await claimDue(store, 'w', { queues: [onePerKey] })), ['a2'])
  },

  'a key that is full hides no run behind its own': async ({ store, clock }) => {
    for (let n = 0; n < 150; n++) await createRun(store, `a-${n}`, { concurrencyKey: 'a', priority: n % 3 })
    clock.advance(1)
    for (let n = 0; n < 120; n++) await createRun(store, `b-${n}`, { concurrencyKey: 'b' })
    clock.advance(1)
    await createRun(store, 'last', { concurrencyKey: 'c' })

    const claims = await claimDue(store, 'w', { queues: [onePerKey], limit: 3 })

    deepEqual(
      runIds(claims).map((runId) => runId.slice(0, 2)),
      ['a-', 'b-', 'la'],
    )
    await createRun(store, 'more', { concurrencyKey: 'd' })
    deepEqual(runIds(await claimDue(store, 'w', { queues: [onePerKey], limit: 1 })), ['more'])
  },

  'what one queue holds back leaves its turns to the others': async ({ store }) => {
    for (const name of ['p', 'default'])
      for (let n = 0; n < 4; n++) await startIdleRun(store, { runId: `${name}-${n}`, creation: { queue: name } })

    const claims = await claimDue(store, 'w', { queues: [two, { name: 'p' }], limit: 5 })

    deepEqual(runIds(claims), ['default-0', 'p-0', 'default-1', 'p-1', 'p-2'])
  },
})

const paced = (limit: number, periodMs = 1000): QueueClaim => ({ name: 'default', rate: { limit, periodMs } })

export const rateCases: readonly ContractCase[] = contractGroup('queues', {
  'in no period, wherever it begins, do more runs begin than the rate says': async ({ store, clock }) => {
    for (let n = 0; n < 9; n++) await createRun(store, `run-${n}`)
    const begins: string[][] = []
    const queues = [paced(2)]

    for (const ms of [0, 400, 599, 1, 399, 1, 599, 1]) {
      clock.advance(ms)
      begins.push([...runIds(await claimDue(store, 'w', { queues, limit: begins.length === 0 ? 1 : 100 }))])
    }

    deepEqual(begins, [['run-0'], ['run-1'], [], ['run-2'], [], ['run-3'], [], ['run-4']])
  },

  'a run counts from when it began, whatever became of it': async ({ store, clock }) => {
    for (let n = 0; n < 5; n++) await createRun(store, `run-${n}`)
    const queues = [paced(2, LEASE_MS + 1000)]
    const [first] = await claimDue(store, 'w', { queues })

    await block(store, first)
    deepEqual(await claimDue(store, 'w', { queues }), [])
    clock.advance(LEASE_MS)
    deepEqual(runIds(await claimDue(store, 'w', { queues })), ['run-1'])
    clock.advance(999)
    deepEqual(await claimDue(store, 'w', { queues }), [])
    clock.advance(1)
    deepEqual(runIds(await claimDue(store, 'w', { queues })), ['run-2', 'run-3'])
  },

  'a run counts that was begun by somebody who drives another version': async ({ store }) => {
    for (const version of ['0', '1']) await createRun(store, `run-${version}`, { version })
    const workflows = [{ name: 'sample', versions: ['0'] }]

    deepEqual(runIds(await claimDue(store, 'w', { queues: [paced(1)], workflows })), ['run-0'])
    deepEqual(await claimDue(store, 'x', { queues: [paced(1)] }), [])
  },

  'runs that go on are neither counted nor held back': async ({ store, clock }) => {
    for (let n = 0; n < 3; n++) await startIdleRun(store, { runId: `going-${n}` })
    for (let n = 0; n < 3; n++) await createRun(store, `new-${n}`, { priority: 1 })

    const claims = await claimDue(store, 'w', { queues: [paced(1)] })

    deepEqual(runIds(claims), ['new-0', 'going-0', 'going-1', 'going-2'])
    await block(store, claims[1], running)
    clock.advance(500)
    await startIdleRun(store, { runId: 'later' })
    deepEqual(runIds(await claimDue(store, 'w', { queues: [paced(1)] })), ['going-0', 'later'])
    clock.advance(500)
    deepEqual(runIds(await claimDue(store, 'w', { queues: [paced(1)] })), ['new-1'])
  },

  'who begins a run without a rate uses nothing of it': async ({ store }) => {
    for (let n = 0; n < 4; n++) await createRun(store, `run-${n}`)
    await startRun(store, { runId: 'started' })
    await acquire(store, 'run-0', 'a')
    equal((await claimDue(store, 'w', { limit: 1 })).length, 1)

    deepEqual(runIds(await claimDue(store, 'w', { queues: [paced(1)] })), ['run-2'])
    deepEqual(await claimDue(store, 'w', { queues: [paced(1)] }), [])
  },

  'all limits of a queue hold together': async ({ store, clock }) => {
    const keys = ['a', 'a', 'b', 'c', 'd', 'e', 'f']
    for (const [n, concurrencyKey] of keys.entries()) await createRun(store, `run-${n}`, { concurrencyKey })
    const queues = [{ name: 'default', concurrency: 3, concurrencyPerKey: 1, rate: { limit: 2, periodMs: 1000 } }]

    deepEqual(runIds(await claimDue(store, 'w', { queues })), ['run-0', 'run-2'])
    clock.advance(1000)
    const claims = await claimDue(store, 'w', { queues })
    deepEqual(runIds(claims), ['run-3'])
    clock.advance(1000)
    deepEqual(await claimDue(store, 'w', { queues }), [])
    await block(store, claims[0])
    deepEqual(runIds(await claimDue(store, 'w', { queues })), ['run-4'])
  },

  'what began by a clock that was ahead holds nothing back once the clock is right again': async ({ store, clock }) => {
    const aheadMs = 86_400_000
    for (let n = 0; n < 4; n++) await createRun(store, `run-${n}`)
    clock.advance(aheadMs)
    deepEqual(runIds(await claimDue(store, 'w', { queues: [paced(1)] })), ['run-0'])
    clock.advance(-aheadMs)

    deepEqual(runIds(await claimDue(store, 'w', { queues: [paced(1)] })), ['run-1'])
    deepEqual(await claimDue(store, 'w', { queues: [paced(1)] }), [])
    clock.advance(1000)
    deepEqual(runIds(await claimDue(store, 'w', { queues: [paced(1)] })), ['run-2'])
  },

  'the rates of two queues are counted each for itself': async ({ store }) => {
    for (const queue of ['p', 'q']) for (let n = 0; n < 3; n++) await createRun(store, `${queue}-${n}`, { queue })
    const queues = [
      { name: 'p', rate: { limit: 1, periodMs: 1000 } },
      { name: 'q', rate: { limit: 2, periodMs: 500 } },
    ]

    deepEqual(runIds(await claimDue(store, 'w', { queues })), ['p-0', 'q-0', 'q-1'])
    deepEqual(await claimDue(store, 'w', { queues }), [])
  },
})
