import type { StoredEvent } from '@varve/store'
import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { readAll, rejectsWith, rowOf } from '../expectations.ts'
import { sampleEvents } from '../sample-events.ts'
import { acquire, claimDue, extend, post, release, running, startIdleRun, startRun } from '../test-run.ts'
import { wrong } from './ids.ts'

export const argumentCases: readonly ContractCase[] = contractGroup('arguments', {
  'a run is not created under an id that no store accepts': async ({ store }) => {
    for (const runId of wrong) await rejectsWith('INVALID_ARGUMENT', async () => startRun(store, { runId }))

    equal((await store.runs.list({}, { limit: 10 })).items.length, 0)
  },

  'what names things in a row is checked like an id': async ({ store }) => {
    for (const id of wrong) {
      const creations = [{ workflow: id }, { version: id }, { tags: ['a', id] }, { queue: id }, { parent: id }]
      for (const creation of [...creations, { concurrencyKey: id }]) {
        await rejectsWith('INVALID_ARGUMENT', async () => startRun(store, { creation }))
      }
      await rejectsWith('INVALID_ARGUMENT', async () => startRun(store, { owner: id }))
    }
    equal(await store.runs.find('run-1'), undefined)
  },

  'a priority is a whole number from -100 to 100': async ({ store }) => {
    for (const priority of [-101, 101, 0.5, NaN, Infinity]) {
      await rejectsWith('INVALID_ARGUMENT', async () => startRun(store, { creation: { priority } }))
    }

    equal(await store.runs.find('run-1'), undefined)
  },

  'a run is not moved to a version that no store accepts': async ({ store }) => {
    const run = await startRun(store)

    for (const version of wrong) {
      await rejectsWith('INVALID_ARGUMENT', async () => extend(store, run, { run: { version } }))
      await rejectsWith('INVALID_ARGUMENT', async () => release(store, run, { ...running, version }))
    }

    const row = await rowOf(store, 'run-1')
    deepEqual([row.head, row.version, row.lease?.owner.id], [1, '1', 'a'])
  },

  'a post and an owner with an id that no store accepts change nothing': async ({ store }) => {
    await startIdleRun(store)

    for (const id of wrong) {
      await rejectsWith('INVALID_ARGUMENT', async () => post(store, 'run-1', id))
      await rejectsWith('INVALID_ARGUMENT', async () => acquire(store, 'run-1', id))
      await rejectsWith('INVALID_ARGUMENT', async () => claimDue(store, id))
      await rejectsWith('INVALID_ARGUMENT', async () => claimDue(store, 'b', { queues: [{ name: id }] }))
    }

    const row = await rowOf(store, 'run-1')
    equal(row.waiting, 0)
    equal(row.token, 1)
  },

  'an instant at which a run moves is a whole number of milliseconds, or null': async ({ store }) => {
    const run = await startRun(store)

    for (const wakeAt of [NaN, Infinity, 1.5, -1, undefined, '1'] as unknown as (number | null)[]) {
      await rejectsWith('INVALID_ARGUMENT', async () => startRun(store, { runId: 'run-2', update: { wakeAt } }))
      await rejectsWith('INVALID_ARGUMENT', async () => extend(store, run, { run: { wakeAt } }))
      await rejectsWith('INVALID_ARGUMENT', async () => release(store, run, { ...running, wakeAt }))
    }

    deepEqual([(await rowOf(store, 'run-1')).head, await store.runs.find('run-2')], [1, undefined])
  },

  'what is no sealed event is not appended': async ({ store }) => {
    const { claim, end } = await startRun(store)
    const [event] = sampleEvents('run-1', 1, end)

    for (const part of [{ body: null }, { body: {} }, { hash: undefined }, { at: 0.5 }, { at: NaN }, { v: '1' }]) {
      const broken = { ...event, ...part } as StoredEvent
      const options = { expectedHead: 1, fencingToken: claim.token, run: running }
      await rejectsWith('INVALID_ARGUMENT', async () => store.events.append('run-1', [broken], options))
    }

    equal((await readAll(store, 'run-1')).length, 1)
  },

  'what bounds a read, an inbox and the snapshots is a whole number, at least 0': async ({ store }) => {
    await startRun(store)
    const { snapshots, inbox } = store
    const snapshot = { runId: 'run-1', hash: 'h', format: 1, workflowVersion: '1', build: 'b', body: '{}' }

    for (const bound of [-1, 0.5, NaN, Infinity, '1', null] as unknown as number[]) {
      for (const name of ['from', 'to', 'limit']) {
        await rejectsWith('INVALID_ARGUMENT', async () => readAll(store, 'run-1', { [name]: bound }))
      }
      const draft = { id: 'p', type: 'Resumed', body: '{}' }
      await rejectsWith('INVALID_ARGUMENT', async () => inbox.post('run-1', draft, { maxWaiting: bound }))
      await rejectsWith('INVALID_ARGUMENT', async () => inbox.list('run-1', { limit: bound }))
      await rejectsWith('INVALID_ARGUMENT', async () => inbox.rejected('run-1', { limit: bound }))
      await rejectsWith('INVALID_ARGUMENT', async () => snapshots.save({ ...snapshot, seq: bound }))
      await rejectsWith('INVALID_ARGUMENT', async () => snapshots.latest('run-1', { atOrBefore: bound }))
      await rejectsWith('INVALID_ARGUMENT', async () => snapshots.prune('run-1', { keep: bound }))
    }

    deepEqual((await inbox.list('run-1', { limit: 1 })).items, [])
    equal(await snapshots.latest('run-1'), undefined)
  },

  'a lease lasts a whole number of milliseconds, at least 1': async ({ store }) => {
    await startIdleRun(store, { runId: 'run-2' })
    const { claim } = await startRun(store)

    for (const leaseMs of [0, -1, 1.5, NaN, Infinity]) {
      await rejectsWith('INVALID_ARGUMENT', async () => acquire(store, 'run-2', 'b', { leaseMs }))
      await rejectsWith('INVALID_ARGUMENT', async () => claimDue(store, 'b', { leaseMs }))
      await rejectsWith('INVALID_ARGUMENT', async () => store.runs.renew(claim, { leaseMs }))
    }

    equal((await rowOf(store, 'run-2')).token, 1)
    equal((await store.runs.renew(claim, { leaseMs: 1 })).leaseUntil, claim.leaseUntil - 59_999)
  },
})
