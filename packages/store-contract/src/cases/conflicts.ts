import { genesis, type LogEnd, type StoreErrorCode } from '@varve/store'
import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { readAll, rejectsWith } from '../expectations.ts'
import { eventOf, sampleEvents } from '../sample-events.ts'
import { blocked, completed, creating, creation, extend, post, release, running, startRun } from '../test-run.ts'

const wrongHeads: Readonly<Record<string, (end: LogEnd) => LogEnd>> = {
  '0': () => genesis('run-1'),
  'one too low': ({ seq, hash }) => ({ seq: seq - 1, hash }),
  'one too high': ({ seq, hash }) => ({ seq: seq + 1, hash }),
  'far too high': ({ hash }) => ({ seq: 1_000_000, hash }),
}

const conflicting = Object.entries(wrongHeads).map(([what, wrong]): readonly ContractCase[] =>
  contractGroup('conflicts', {
    [`an append that expects a head of ${what} is HEAD_CONFLICT`]: async ({ store }) => {
      const run = await startRun(store, { events: 3 })
      const stale = { ...run, end: wrong(run.end) }

      await rejectsWith('HEAD_CONFLICT', async () => extend(store, stale))

      await extend(store, run)
      equal((await readAll(store, 'run-1')).length, 4)
    },
  }),
)

export const conflictCases: readonly ContractCase[] = [
  ...conflicting.flat(),
  ...contractGroup('conflicts', {
    'an append that expects the head goes through, and again behind itself': async ({ store }) => {
      const run = await startRun(store)

      const last = await extend(store, await extend(store, run, { events: 2 }))

      equal(last.end.seq, 4)
      deepEqual(
        (await readAll(store, 'run-1')).map(({ seq }) => seq),
        [1, 2, 3, 4],
      )
    },

    'an append may take posts without adding events': async ({ store }) => {
      const run = await startRun(store)
      await post(store, 'run-1', 'p')

      const after = await extend(store, run, { events: 0, take: ['p'] })

      equal(after.waiting, 0)
      await extend(store, after)
    },

    'a second create is HEAD_CONFLICT while the run is open and after its end': async ({ store }) => {
      const run = await startRun(store)
      const again = async (): Promise<unknown> => startRun(store, { owner: 'b' })

      await rejectsWith('HEAD_CONFLICT', again)
      await rejectsWith('HEAD_CONFLICT', async () => startRun(store))
      await extend(store, run, { run: completed })
      await rejectsWith('HEAD_CONFLICT', again)

      equal((await readAll(store, 'run-1')).length, 2)
    },

    'an append to an unknown run is RUN_NOT_FOUND': async ({ store }) => {
      const events = sampleEvents('run-1', 1)
      const options = { expectedHead: 0, fencingToken: 0, run: running }

      await rejectsWith('RUN_NOT_FOUND', async () => store.events.append('run-1', events, options))
      equal(await store.runs.find('run-1'), undefined)
    },

    'a create that expects a head or a token is RUN_NOT_FOUND': async ({ store }) => {
      const run = { ...running, create: creation() }
      const behind = [eventOf('run-1', { seq: 1, hash: genesis('run-1').hash }, {})]
      const first = sampleEvents('run-1', 1)

      await rejectsWith('RUN_NOT_FOUND', async () =>
        store.events.append('run-1', behind, { expectedHead: 1, fencingToken: 0, run }),
      )
      await rejectsWith('RUN_NOT_FOUND', async () =>
        store.events.append('run-1', first, { expectedHead: 0, fencingToken: 1, run }),
      )
    },

    'events that do not follow the expected head are INVALID_ARGUMENT': async ({ store }) => {
      const run = await startRun(store, { events: 2 })
      const [next] = sampleEvents('run-1', 1, run.end)
      const [, late] = sampleEvents('run-1', 2, run.end)
      const foreign = eventOf('run-2', run.end, {})

      for (const events of [[late], [next, next], [foreign], [...sampleEvents('run-1', 1)]]) {
        const given = events.filter((event) => event !== undefined)
        await rejectsWith('INVALID_ARGUMENT', async () => extend(store, run, { events: given }))
      }
      equal((await readAll(store, 'run-1')).length, 2)
    },

    'FENCED comes before HEAD_CONFLICT, which comes before INBOX_PENDING': async ({ store }) => {
      const run = await startRun(store, { events: 3 })
      await post(store, 'run-1', 'p')
      const attempt = async (code: StoreErrorCode, fencingToken: number, end: LogEnd): Promise<void> =>
        rejectsWith(code, async () => extend(store, { ...run, end }, { fencingToken, run: completed }))

      await attempt('FENCED', 9, genesis('run-1'))
      await attempt('FENCED', 9, run.end)
      await attempt('HEAD_CONFLICT', 1, genesis('run-1'))
      await attempt('INBOX_PENDING', 1, run.end)
    },

    'a create of a run that its owner has released is HEAD_CONFLICT, not FENCED': async ({ store }) => {
      const run = await startRun(store)
      await release(store, run, blocked)

      await rejectsWith('HEAD_CONFLICT', async () =>
        store.events.append('run-1', sampleEvents('run-1', 1), creating({ owner: 'b' })),
      )
    },
  }),
]
