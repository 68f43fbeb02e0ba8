import type { Snapshot } from '@varve/store'
import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { rejectsWith, rowOf } from '../expectations.ts'
import { startRun } from '../test-run.ts'

function snapshot(seq: number, changes: Partial<Snapshot> = {}): Snapshot {
  const hash = `${seq}`.padStart(64, '0')
  return { runId: 'run-1', seq, hash, format: 2, workflowVersion: '1', build: 'b', body: `{"seq":${seq}}`, ...changes }
}

export const snapshotCases: readonly ContractCase[] = contractGroup('snapshots', {
  'a snapshot comes back as it was saved': async ({ store }) => {
    await startRun(store, { events: 10 })
    const given = snapshot(3, { workflowVersion: 'ü', build: `b'"`, body: ' { "b": 1e2 } ' })

    await store.snapshots.save(given)

    deepEqual(await store.snapshots.latest('run-1'), given)
  },

  'a run without snapshots has no latest': async ({ store }) => {
    await startRun(store)

    equal(await store.snapshots.latest('run-1'), undefined)
    equal(await store.snapshots.latest('run-2'), undefined)
  },

  'a slow writer never moves a run backwards': async ({ store }) => {
    await startRun(store, { events: 10 })

    for (const seq of [3, 7, 5]) await store.snapshots.save(snapshot(seq))

    deepEqual(await store.snapshots.latest('run-1'), snapshot(7))
    deepEqual(await store.snapshots.latest('run-1', { atOrBefore: 6 }), snapshot(3))
  },

  'a snapshot of the same seq replaces the newest': async ({ store }) => {
    await startRun(store, { events: 10 })
    for (const seq of [3, 7]) await store.snapshots.save(snapshot(seq))
    const better = snapshot(7, { build: 'c', body: '"better"' })

    await store.snapshots.save(better)
    await store.snapshots.save(snapshot(3, { body: '"late"' }))

    await store.snapshots.prune('run-1', { keep: 2 })
    deepEqual(await store.snapshots.latest('run-1'), better)
    deepEqual(await store.snapshots.latest('run-1', { atOrBefore: 3 }), snapshot(3))
  },

  'latest looks at or before a seq': async ({ store }) => {
    await startRun(store, { events: 10 })
    for (const seq of [2, 9]) await store.snapshots.save(snapshot(seq))

    const found = async (atOrBefore: number): Promise<number | undefined> =>
      (await store.snapshots.latest('run-1', { atOrBefore }))?.seq

    deepEqual(
      [await found(1), await found(2), await found(8), await found(9), await found(100)],
      [undefined, 2, 2, 9, 9],
    )
  },

  'prune keeps the newest': async ({ store }) => {
    await startRun(store, { events: 12 })
    for (const seq of [1, 2, 9, 10, 11]) await store.snapshots.save(snapshot(seq))

    await store.snapshots.prune('run-1', { keep: 9 })
    deepEqual(await store.snapshots.latest('run-1', { atOrBefore: 1 }), snapshot(1))
    await store.snapshots.prune('run-1', { keep: 2 })

    deepEqual(await store.snapshots.latest('run-1'), snapshot(11))
    deepEqual(await store.snapshots.latest('run-1', { atOrBefore: 10 }), snapshot(10))
    equal(await store.snapshots.latest('run-1', { atOrBefore: 9 }), undefined)
    await store.snapshots.prune('run-1', { keep: 0 })
    equal(await store.snapshots.latest('run-1'), undefined)
  },

  'runs have their own snapshots': async ({ store }) => {
    for (const runId of ['run-1', 'run-2']) await startRun(store, { runId, events: 9 })
    await store.snapshots.save(snapshot(3))
    await store.snapshots.save(snapshot(9, { runId: 'run-2' }))

    await store.snapshots.prune('run-2', { keep: 0 })

    equal((await store.snapshots.latest('run-1'))?.seq, 3)
    equal(await store.snapshots.latest('run-2'), undefined)
  },

  'a snapshot of an unknown run is RUN_NOT_FOUND, and pruning one does nothing': async ({ store }) => {
    await rejectsWith('RUN_NOT_FOUND', async () => store.snapshots.save(snapshot(3)))

    await store.snapshots.prune('run-1', { keep: 1 })
    equal(await store.runs.find('run-1'), undefined)
  },

  'a snapshot changes nothing else of the run': async ({ store }) => {
    await startRun(store)
    const before = await rowOf(store, 'run-1')

    await store.snapshots.save(snapshot(1))

    deepEqual(await rowOf(store, 'run-1'), before)
  },
})
