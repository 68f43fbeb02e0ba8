import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { everythingOf, readAll, rejectsWith, rowOf } from '../expectations.ts'
import { claimDue, completed, extend, LEASE_MS, post, release, running, startIdleRun, startRun } from '../test-run.ts'

export const removalCases: readonly ContractCase[] = contractGroup('removal', {
  'a removed run leaves nothing, and its id may be used again': async ({ store }) => {
    let run = await startRun(store, { events: 3 })
    for (const id of ['p', 'q', 'r']) await post(store, 'run-1', id)
    run = await extend(store, run, { take: ['p'], reject: [{ id: 'q', error: '{}' }] })
    const snapshot = { runId: 'run-1', seq: 3, hash: 'h', format: 1, workflowVersion: '1', build: 'b', body: '{}' }
    await store.snapshots.save(snapshot)
    await release(store, run, running)

    equal(await store.runs.remove('run-1', { ifTerminal: false }), true)

    equal(await store.runs.find('run-1'), undefined)
    deepEqual((await store.runs.list({}, { limit: 10 })).items, [])
    deepEqual(await claimDue(store, 'b'), [])
    await startRun(store)
    equal((await readAll(store, 'run-1')).length, 1)
    equal(await store.snapshots.latest('run-1'), undefined)
    deepEqual((await store.inbox.list('run-1', { limit: 10 })).items, [])
    deepEqual((await store.inbox.rejected('run-1', { limit: 10 })).items, [])
    equal((await rowOf(store, 'run-1')).waiting, 0)
    for (const id of ['p', 'q', 'r']) equal(await post(store, 'run-1', id), 'kept')
  },

  'the removal of a run takes nothing along that others have': async ({ store }) => {
    const artifact = await store.artifacts.put(Buffer.from('shared'))
    const others = { 'run-10': {}, child: { parent: 'run-1' }, successor: { parent: 'run-1', queue: 'slow' } }
    await startIdleRun(store, { update: { artifacts: [artifact] } })
    for (const [runId, creation] of Object.entries(others)) {
      await startIdleRun(store, { runId, creation, update: { artifacts: [artifact] } })
      await post(store, runId, 'p')
      const snapshot = { runId, seq: 1, hash: 'h', format: 1, workflowVersion: '1', build: 'b', body: '{}' }
      await store.snapshots.save(snapshot)
    }
    await store.cache.putIfAbsent({ key: 'run-1', group: 'run-1', artifacts: [artifact], body: null })
    const everything = async (): Promise<unknown> =>
      Promise.all([...Object.keys(others).map(async (runId) => everythingOf(store, runId)), store.cache.find('run-1')])
    const before = await everything()

    equal(await store.runs.remove('run-1', { ifTerminal: false }), true)

    deepEqual(await everything(), before)
    deepEqual(await store.runs.referred([artifact]), [artifact])
    deepEqual(Buffer.from(await (await store.artifacts.get(artifact)).bytes()).toString(), 'shared')
  },

  'there is nothing to remove of an unknown run': async ({ store }) => {
    await startIdleRun(store)

    for (const ifTerminal of [true, false]) equal(await store.runs.remove('run-2', { ifTerminal }), false)
    equal((await rowOf(store, 'run-1')).head, 1)
  },

  'a run under a living lease is RUN_BUSY': async ({ store, clock }) => {
    await startRun(store)

    await rejectsWith('RUN_BUSY', async () => store.runs.remove('run-1', { ifTerminal: false }))

    equal((await readAll(store, 'run-1')).length, 1)
    clock.advance(LEASE_MS + 1)
    equal(await store.runs.remove('run-1', { ifTerminal: false }), true)
  },

  'with ifTerminal a run that goes on or owes is RUN_NOT_TERMINAL': async ({ store, clock }) => {
    await startIdleRun(store)
    const run = await startRun(store, { runId: 'run-2' })
    await extend(store, run, { run: { ...completed, owes: ['x'] } })
    clock.advance(LEASE_MS + 1)

    for (const runId of ['run-1', 'run-2']) {
      await rejectsWith('RUN_NOT_TERMINAL', async () => store.runs.remove(runId, { ifTerminal: true }))
      equal((await rowOf(store, runId)).runId, runId)
    }
  },

  'with ifTerminal a run that has ended is removed': async ({ store }) => {
    for (const status of ['completed', 'failed', 'canceled', 'continued'] as const) {
      await extend(store, await startRun(store, { runId: status }), { run: { ...completed, status } })

      equal(await store.runs.remove(status, { ifTerminal: true }), true)
    }
    deepEqual((await store.runs.list({}, { limit: 10 })).items, [])
  },
})
