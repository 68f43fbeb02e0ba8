import { contentId, type ContentId, type Snapshot } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type CaseBody, type CaseContext, type ContractCase } from '../contract-case.ts'
import { everythingOf, readAll, rejectsWith, rowOf } from '../expectations.ts'
import { isWhole, MIB, sampleBytes } from '../sample-bytes.ts'
import { endOf, sampleEvents } from '../sample-events.ts'
import { sampleIds } from '../sample-ids.ts'
import {
  acquire,
  blocked,
  claimDue,
  completed,
  createRun,
  extend,
  LEASE_MS,
  owner,
  post,
  release,
  startIdleRun,
  startRun,
} from '../test-run.ts'

/** Makes the call while its answer gets lost. */
type Losing = (call: () => Promise<unknown>) => Promise<void>

/** A case that needs answers to get lost; a store that is not durable has no connection that could lose them. */
function losing(body: (context: CaseContext, lose: Losing) => Promise<void>): CaseBody {
  return async (context) => {
    const { harness } = context
    if (harness.loseNextAnswer === undefined) return
    await body(context, async (call) => {
      harness.loseNextAnswer?.()
      await rejectsWith('UNKNOWN_OUTCOME', call)
    })
  }
}

function snapshot(seq: number): Snapshot {
  return { runId: 'run-1', seq, hash: 'h', format: 1, workflowVersion: '1', build: 'b', body: `{"seq":${seq}}` }
}

export const lostAnswerCases: readonly ContractCase[] = contractGroup('lost answers', {
  'the harness of a durable store can lose an answer': async ({ store, harness }) => {
    ok(!store.capabilities.durable || harness.loseNextAnswer !== undefined, 'the harness lacks loseNextAnswer')
  },

  'only the next answer is lost': losing(async ({ store }, lose) => {
    const run = await startRun(store)

    await lose(async () => post(store, 'run-1', 'p'))

    equal(await post(store, 'run-1', 'q'), 'kept')
    await extend(store, run)
  }),

  'append: it landed once, and a repeat is HEAD_CONFLICT': losing(async ({ store }, lose) => {
    const run = await startRun(store)
    await post(store, 'run-1', 'p')
    const events = sampleEvents('run-1', 3, run.end)
    const append = async (): Promise<unknown> => extend(store, run, { events, take: ['p'], run: { wakeAt: 7 } })

    await lose(append)

    deepEqual(await readAll(store, 'run-1', { from: 2 }), events)
    const row = await rowOf(store, 'run-1')
    deepEqual([row.head, row.waiting, row.wakeAt], [4, 0, 7])
    await rejectsWith('HEAD_CONFLICT', append)
    await extend(store, { ...run, end: endOf(events, run.end) })
  }),

  'terminal append: the run has ended, and a repeat is FENCED': losing(async ({ store }, lose) => {
    const run = await startRun(store)
    const end = async (): Promise<unknown> => extend(store, run, { run: completed })

    await lose(end)

    const row = await rowOf(store, 'run-1')
    deepEqual([row.status, row.head, row.lease], ['completed', 2, undefined])
    await rejectsWith('FENCED', end)
  }),

  'create: the run is there, a repeat is HEAD_CONFLICT, and its starter acquires it': losing(
    async ({ store }, lose) => {
      await lose(async () => startRun(store, { events: 2 }))

      deepEqual(await readAll(store, 'run-1'), sampleEvents('run-1', 2))
      await rejectsWith('HEAD_CONFLICT', async () => startRun(store, { events: 2 }))
      await rejectsWith('RUN_BUSY', async () => acquire(store, 'run-1', 'b'))
      const claim = await acquire(store, 'run-1', 'a')
      ok(claim.token > 1)
      deepEqual([claim.head, claim.recoveries], [2, 0])
    },
  ),

  'post: it is kept once, and a repeat is a duplicate': losing(async ({ store }, lose) => {
    await startRun(store)

    await lose(async () => post(store, 'run-1', 'p'))

    equal(await post(store, 'run-1', 'p'), 'duplicate')
    equal((await store.inbox.list('run-1', { limit: 10 })).items.length, 1)
  }),

  'acquire: the lease is given, and a repeat by its owner gives it anew': losing(async ({ store }, lose) => {
    await startIdleRun(store)

    await lose(async () => acquire(store, 'run-1', 'b'))

    const { lease, token } = await rowOf(store, 'run-1')
    equal(lease?.owner.id, 'b')
    await rejectsWith('RUN_BUSY', async () => acquire(store, 'run-1', 'c'))
    const claim = await acquire(store, 'run-1', 'b')
    ok(claim.token > token)
    equal(claim.recoveries, 0)
  }),

  'claim: the runs are leased, nobody else gets them, and acquire gives them anew': losing(async ({ store }, lose) => {
    await startIdleRun(store)

    await lose(async () => claimDue(store, 'b'))

    const { lease, token } = await rowOf(store, 'run-1')
    deepEqual(lease?.owner, owner('b'))
    deepEqual(await claimDue(store, 'b'), [])
    deepEqual(await claimDue(store, 'c'), [])
    ok((await acquire(store, 'run-1', 'b')).token > token)
  }),

  'claim within limits: the leases count, and acquire gives them anew': losing(async ({ store }, lose) => {
    for (const runId of ['run-1', 'run-2']) await createRun(store, runId)
    const queues = [{ name: 'default', concurrency: 1, rate: { limit: 1, periodMs: LEASE_MS } }]

    await lose(async () => claimDue(store, 'b', { queues }))

    const { lease, token } = await rowOf(store, 'run-1')
    deepEqual(lease?.owner, owner('b'))
    deepEqual(await claimDue(store, 'c', { queues }), [])
    const claim = await acquire(store, 'run-1', 'b')
    ok(claim.token > token)
    await store.runs.release(claim, { expectedHead: 1, run: blocked })
    deepEqual(await claimDue(store, 'c', { queues }), [])
  }),

  'renew: the lease is longer, and a repeat is fine': losing(async ({ store, clock }, lose) => {
    const { claim } = await startRun(store)

    await lose(async () => store.runs.renew(claim, { leaseMs: 2 * LEASE_MS }))

    equal((await rowOf(store, 'run-1')).lease?.until, clock.now() + 2 * LEASE_MS)
    equal((await store.runs.renew(claim, { leaseMs: LEASE_MS })).token, claim.token)
  }),

  'release: the lease has ended, and a repeat is lost and changes nothing': losing(async ({ store }, lose) => {
    const run = await startRun(store)

    await lose(async () => release(store, run, blocked))

    const before = await everythingOf(store, 'run-1')
    const row = await rowOf(store, 'run-1')
    deepEqual([row.status, row.wakeAt, row.lease], ['blocked', null, undefined])
    equal(await release(store, run, { ...blocked, wakeAt: 1 }), 'lost')
    deepEqual(await everythingOf(store, 'run-1'), before)
  }),

  'snapshots: what was saved is there, what was pruned is gone, and a repeat is fine': losing(
    async ({ store }, lose) => {
      await startRun(store, { events: 5 })

      for (const seq of [3, 5]) await lose(async () => store.snapshots.save(snapshot(seq)))
      deepEqual(await store.snapshots.latest('run-1'), snapshot(5))
      await lose(async () => store.snapshots.prune('run-1', { keep: 1 }))

      equal(await store.snapshots.latest('run-1', { atOrBefore: 4 }), undefined)
      await store.snapshots.save(snapshot(5))
      await store.snapshots.prune('run-1', { keep: 1 })
      deepEqual(await store.snapshots.latest('run-1'), snapshot(5))
    },
  ),

  'secrets: what was put is there, what was erased is gone, and a repeat is fine': losing(async ({ store }, lose) => {
    const sealed = Uint8Array.of(1, 2, 3)

    await lose(async () => store.secrets.put('s-1', sealed))
    deepEqual([...((await store.secrets.get('s-1')) ?? [])], [1, 2, 3])
    await store.secrets.put('s-1', sealed)
    await lose(async () => store.secrets.erase('s-1'))

    equal(await store.secrets.get('s-1'), undefined)
    await store.secrets.erase('s-1')
    await rejectsWith('SECRET_ERASED', async () => store.secrets.put('s-1', sealed))
  }),

  'artifacts: what was put is there, what was deleted is gone, and a repeat is fine': losing(
    async ({ store, clock }, lose) => {
      for (const bytes of [sampleBytes(1000), sampleBytes(2 * MIB)]) {
        const id = contentId(bytes)
        // Of a stream the first of several answers is lost: nothing may be there yet.
        await lose(async () => store.artifacts.put(bytes))
        equal(await store.artifacts.put(bytes), id)
        await isWhole(store.artifacts, id, bytes)
        clock.advance(1000)
        await lose(async () => store.artifacts.touch([id]))
        equal(await store.artifacts.delete(id, { ifUnusedSince: clock.now() }), false)
        await lose(async () => store.artifacts.delete(id, { ifUnusedSince: clock.now() + 1 }))

        equal(await store.artifacts.has(id), false)
        equal(await store.artifacts.delete(id, { ifUnusedSince: clock.now() + 1 }), false)
      }
    },
  ),

  'a small artifact whose answer was lost is there': losing(async ({ store }, lose) => {
    const bytes = sampleBytes(1000)

    await lose(async () => store.artifacts.put(bytes))

    await isWhole(store.artifacts, contentId(bytes), bytes)
  }),

  'cache: what was put is there, what was deleted is gone, and a repeat is told': losing(async ({ store }, lose) => {
    const [artifact] = sampleIds(1) as [ContentId]
    const draft = { key: 'k', group: 'g', artifacts: [artifact], body: 1 }

    await lose(async () => store.cache.putIfAbsent(draft))
    equal((await store.cache.find('k'))?.body, 1)
    equal((await store.cache.putIfAbsent({ ...draft, body: 2 })).body, 1)
    deepEqual(await store.cache.referred([artifact]), [artifact])
    await lose(async () => store.cache.delete('k'))

    equal(await store.cache.find('k'), undefined)
    equal(await store.cache.delete('k'), false)
    deepEqual(await store.cache.referred([artifact]), [])
  }),

  'an append that refers: it landed with what it refers to': losing(async ({ store }, lose) => {
    const [artifact] = sampleIds(1) as [ContentId]
    const run = await startRun(store)

    await lose(async () => extend(store, run, { run: { artifacts: [artifact] } }))

    equal((await rowOf(store, 'run-1')).head, 2)
    deepEqual(await store.runs.referred([artifact]), [artifact])
  }),

  'remove: the run is gone, and a repeat finds none': losing(async ({ store }, lose) => {
    await startIdleRun(store)

    await lose(async () => store.runs.remove('run-1', { ifTerminal: false }))

    equal(await store.runs.find('run-1'), undefined)
    equal(await store.runs.remove('run-1', { ifTerminal: false }), false)
  }),
})
