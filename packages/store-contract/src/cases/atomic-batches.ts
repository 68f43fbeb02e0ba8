import { genesis, type StoreErrorCode } from '@varve/store'
import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { everythingOf, readAll, rejectsWith, rowOf } from '../expectations.ts'
import { sampleEvents } from '../sample-events.ts'
import {
  blocked,
  claimDue,
  completed,
  creating,
  extend,
  post,
  release,
  runIds,
  running,
  startIdleRun,
  startRun,
  type ExtendOptions,
  type TestRun,
} from '../test-run.ts'

/** An append that would change everything a run has, if it were accepted. */
const sweeping: ExtendOptions = {
  take: ['p1'],
  reject: [{ id: 'p2', error: '{}' }],
  run: { blockedOn: [{ kind: 'timer', key: 't' }], wakeAt: 5, owes: ['x'], progressed: true, version: '2' },
}

const refusals: Readonly<Record<string, (run: TestRun) => readonly [StoreErrorCode, ExtendOptions]>> = {
  'a wrong token': () => ['FENCED', { ...sweeping, fencingToken: 99 }],
  'a wrong head': ({ runId }) => [
    'HEAD_CONFLICT',
    { ...sweeping, expectedHead: 0, events: sampleEvents(runId, 2, genesis(runId)) },
  ],
  'posts that an end would leave behind': () => ['INBOX_PENDING', { ...sweeping, take: [], run: completed }],
  'a hole between two events': ({ runId, end }) => {
    const [first, , third] = sampleEvents(runId, 3, end)
    return ['INVALID_ARGUMENT', { ...sweeping, events: [first, third].filter((event) => event !== undefined) }]
  },
  "another run's event": ({ runId, end }) => {
    const [first] = sampleEvents(runId, 1, end)
    const [, second] = sampleEvents('run-2', 2, end)
    return ['INVALID_ARGUMENT', { ...sweeping, events: [first, second].filter((event) => event !== undefined) }]
  },
}

const refused = Object.entries(refusals).map(([what, refusal]): readonly ContractCase[] =>
  contractGroup('atomic batches', {
    [`an append refused for ${what} leaves nothing`]: async ({ store }) => {
      const run = await startRun(store, { events: 3 })
      await post(store, run.runId, 'p1')
      await post(store, run.runId, 'p2')
      const before = await everythingOf(store, run.runId)
      const [code, options] = refusal(run)

      await rejectsWith(code, async () => extend(store, run, options))

      deepEqual(await everythingOf(store, run.runId), before)
    },
  }),
)

export const atomicBatchCases: readonly ContractCase[] = [
  ...refused.flat(),
  ...contractGroup('atomic batches', {
    'an append sets log, row and inbox together': async ({ store }) => {
      const run = await startRun(store)
      for (const id of ['p1', 'p2', 'p3']) await post(store, run.runId, id)

      const after = await extend(store, run, { events: 3, ...sweeping })

      const row = await rowOf(store, run.runId)
      deepEqual([row.head, row.blockedOn, row.owes], [4, [{ kind: 'timer', key: 't' }], ['x']])
      deepEqual([row.workflow, row.version], ['sample', '2'])
      equal((await readAll(store, run.runId)).length, 4)
      equal(after.waiting, 1)
      deepEqual(
        (await store.inbox.list(run.runId, { limit: 10 })).items.map(({ id }) => id),
        ['p3'],
      )
      equal((await store.inbox.rejected(run.runId, { limit: 10 })).items.length, 1)
    },

    'a run keeps its version until an append or a release says another': async ({ store }) => {
      let run = await extend(store, await startRun(store))
      equal((await rowOf(store, run.runId)).version, '1')

      run = await extend(store, run, { run: { version: '2' } })
      run = await extend(store, run)
      equal((await rowOf(store, run.runId)).version, '2')

      await release(store, run, { ...blocked, version: '3' })
      equal((await rowOf(store, run.runId)).version, '3')
    },

    'a run is claimed and listed by the version that it has come to': async ({ store }) => {
      const run = await extend(store, await startRun(store), { run: { version: '2' } })
      await startIdleRun(store, { runId: 'run-2' })
      await release(store, run, running)
      const workflows = [{ name: 'sample', versions: ['2'] }]

      deepEqual(runIds((await store.runs.list({ version: '2' }, { limit: 10 })).items), ['run-1'])
      deepEqual(runIds((await store.runs.list({ version: '1' }, { limit: 10 })).items), ['run-2'])
      deepEqual(runIds(await claimDue(store, 'b', { workflows })), ['run-1'])
      deepEqual(runIds(await claimDue(store, 'b')), ['run-2'])
    },

    'a create that says a version beside its own is refused': async ({ store }) => {
      await rejectsWith('INVALID_ARGUMENT', async () => startRun(store, { update: { version: '2' } }))

      equal(await store.runs.find('run-1'), undefined)
    },

    'a create that is refused leaves no run': async ({ store }) => {
      const events = sampleEvents('run-1', 2)

      await rejectsWith('INVALID_ARGUMENT', async () => store.events.append('run-1', events.slice(1), creating()))

      equal(await store.runs.find('run-1'), undefined)
      deepEqual(await readAll(store, 'run-1'), [])
    },

    'a thousand events land in one append': async ({ store }) => {
      const events = sampleEvents('run-1', 1000)

      await startRun(store, { events })

      deepEqual(await readAll(store, 'run-1'), events)
    },

    'a reader sees whole batches only': async ({ store }) => {
      let run = await startRun(store, { events: 10 })
      const seen: number[] = []
      let isWritten = false
      const write = async (): Promise<void> => {
        for (let i = 0; i < 20; i++) run = await extend(store, run, { events: 10 })
      }
      const read = async (): Promise<void> => {
        while (!isWritten) seen.push((await readAll(store, 'run-1')).length, (await rowOf(store, 'run-1')).head)
      }

      await Promise.all([write().finally(() => (isWritten = true)), read()])

      equal((await readAll(store, 'run-1')).length, 210)
      deepEqual(
        seen.filter((count) => count % 10 !== 0),
        [],
      )
    },
  }),
]
