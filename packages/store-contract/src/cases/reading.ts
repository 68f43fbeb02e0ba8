import { genesis, openEvent, type ReadRange } from '@varve/store'
import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { readAll } from '../expectations.ts'
import { sampleEvents } from '../sample-events.ts'
import { extend, startRun } from '../test-run.ts'

/** Ranges of a log of ten events, and the first and last seq that they hold. */
const ranges: readonly (readonly [range: ReadRange, first: number, last: number])[] = [
  [{}, 1, 10],
  [{ from: 1 }, 1, 10],
  [{ from: 4 }, 4, 10],
  [{ from: 10 }, 10, 10],
  [{ from: 11 }, 1, 0],
  [{ from: 1000 }, 1, 0],
  [{ to: 3 }, 1, 3],
  [{ to: 0 }, 1, 0],
  [{ to: 1000 }, 1, 10],
  [{ from: 3, to: 5 }, 3, 5],
  [{ from: 5, to: 5 }, 5, 5],
  [{ from: 6, to: 5 }, 1, 0],
  [{ from: 0 }, 1, 10],
  [{ from: 0, limit: 2 }, 1, 2],
  [{ limit: 0 }, 1, 0],
  [{ limit: 4 }, 1, 4],
  [{ limit: 1000 }, 1, 10],
  [{ from: 8, limit: 2 }, 8, 9],
  [{ from: 8, limit: 5 }, 8, 10],
  [{ from: 2, to: 9, limit: 3 }, 2, 4],
  [{ from: 2, to: 3, limit: 5 }, 2, 3],
]

export const readingCases: readonly ContractCase[] = contractGroup('reading', {
  'events come back in order, exactly as they were appended': async ({ store }) => {
    const events = sampleEvents('run-1', 25)
    let run = await startRun(store, { events: events.slice(0, 5) })
    run = await extend(store, run, { events: events.slice(5, 6) })
    await extend(store, run, { events: events.slice(6) })

    deepEqual(await readAll(store, 'run-1'), events)
  },

  'a range is inclusive at both ends': async ({ store }) => {
    const events = sampleEvents('run-1', 10)
    await startRun(store, { events })

    for (const [range, first, last] of ranges) {
      deepEqual(await readAll(store, 'run-1', range), events.slice(first - 1, last), JSON.stringify(range))
    }
  },

  'nothing lies behind the end of a log, however far behind': async ({ store }) => {
    for (const runId of ['run-1', 'run-2', 'run-3']) await startRun(store, { runId, events: 3 })

    for (const bits of [16, 24, 31, 32, 40, 48, 53]) {
      for (const from of [2 ** bits - 1, 2 ** bits - 2, 2 ** bits + 1, 2 ** bits + 2].filter(Number.isSafeInteger)) {
        for (const limit of [1, 10]) deepEqual(await readAll(store, 'run-1', { from, limit }), [], `${from}, ${limit}`)
        deepEqual(await readAll(store, 'run-1', { from }), [], String(from))
      }
    }
  },

  'an unknown run has no events': async ({ store }) => {
    await startRun(store)

    deepEqual(await readAll(store, 'run-2'), [])
    deepEqual(await readAll(store, 'run'), [])
  },

  'a log longer than a page is read whole, and so are its ranges': async ({ store }) => {
    let run = await startRun(store, { events: 1000 })
    run = await extend(store, run, { events: 1000 })
    await extend(store, run, { events: 500 })

    const events = await readAll(store, 'run-1')

    equal(events.length, 2500)
    events.reduce((end, event) => openEvent(end, event).stored, genesis('run-1'))
    deepEqual(await readAll(store, 'run-1', { from: 900, to: 2100 }), events.slice(899, 2100))
    deepEqual(await readAll(store, 'run-1', { limit: 1500 }), events.slice(0, 1500))
    deepEqual(await readAll(store, 'run-1', { from: 2400 }), events.slice(2399))
  },

  'a reader may stop early': async ({ store }) => {
    const run = await startRun(store, { events: 1000 })
    await extend(store, run, { events: 1000 })

    for (let i = 0; i < 20; i++) {
      for await (const event of store.events.read('run-1')) if (event.seq === 3) break
    }

    equal((await readAll(store, 'run-1')).length, 2000)
  },

  'a reader that works while it reads may use the store': async ({ store }) => {
    let run = await startRun(store, { events: 3 })
    const seen: number[] = []

    for await (const event of store.events.read('run-1', { to: 3 })) {
      run = await extend(store, run)
      seen.push(event.seq)
    }

    deepEqual(seen, [1, 2, 3])
    equal((await readAll(store, 'run-1')).length, 6)
  },

  "a log holds its own run's events only": async ({ store }) => {
    const ids = ['run-1', 'run-10', 'run', 'RUN-1', 'run-1 ']
    for (const runId of ids) await startRun(store, { runId, events: 3 })

    for (const runId of ids) deepEqual(await readAll(store, runId), sampleEvents(runId, 3))
  },
})
