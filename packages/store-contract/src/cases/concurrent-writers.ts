import { genesis, openEvent, type Store } from '@varve/store'
import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type CaseContext, type ContractCase } from '../contract-case.ts'
import { atMost, atOnce, readAll, refusalOf } from '../expectations.ts'
import { endOf, sampleEvents } from '../sample-events.ts'
import { creating, extend, startRun } from '../test-run.ts'

/** Two handles where the store can be shared, else one twice. */
async function twoHandles({ store, open }: CaseContext): Promise<readonly [Store, Store]> {
  return [store, store.capabilities.shared ? await open() : store]
}

export const concurrentWriterCases: readonly ContractCase[] = contractGroup('concurrent writers', {
  'of 2 x 20 writers at one head exactly one wins, ten heads in a row': async (context) => {
    const handles = await twoHandles(context)
    const run = await startRun(context.store)
    let { end } = run

    for (let round = 0; round < 10; round++) {
      const writes = await atOnce(40, async (n) => {
        const events = sampleEvents('run-1', 2, end, `writer ${n}`)
        const refusal = await refusalOf(async () => extend(handles[n % 2 === 0 ? 0 : 1], { ...run, end }, { events }))
        return { events, refusal }
      })

      const winners = writes.filter(({ refusal }) => refusal === undefined)
      equal(winners.length, 1)
      deepEqual(new Set(writes.map(({ refusal }) => refusal)), new Set([undefined, 'HEAD_CONFLICT']))
      const landed = await readAll(context.store, 'run-1', { from: end.seq + 1 })
      deepEqual(landed, winners[0]?.events)
      end = endOf(landed, end)
    }
  },

  'of 2 x 20 creates of one run exactly one wins': async (context) => {
    const handles = await twoHandles(context)

    const refusals = await atOnce(40, async (n) => {
      const events = sampleEvents('run-1', 2, genesis('run-1'), `writer ${n}`)
      const store = handles[n % 2 === 0 ? 0 : 1]
      return refusalOf(async () => store.events.append('run-1', events, creating({ owner: `owner ${n}` })))
    })

    equal(refusals.filter((refusal) => refusal === undefined).length, 1)
    equal(refusals.filter((refusal) => refusal === 'HEAD_CONFLICT').length, 39)
    equal((await readAll(context.store, 'run-1')).length, 2)
  },

  'writers that read on after a conflict all get their events in, each once, in one chain': async (context) => {
    const handles = await twoHandles(context)
    const run = await startRun(context.store)

    await atOnce(8, async (n) => {
      let { end } = run
      let landed = 0
      for (const _ of atMost(1000)) {
        const store = handles[n % 2 === 0 ? 0 : 1]
        const events = sampleEvents('run-1', 1, end, `writer ${n}`)
        if ((await refusalOf(async () => extend(store, { ...run, end }, { events }))) === undefined) landed++
        end = endOf(await readAll(store, 'run-1', { from: end.seq + 1 }), end)
        if (landed === 5) break
      }
    })

    const events = await readAll(context.store, 'run-1')
    equal(events.length, 41)
    events.reduce((end, event) => openEvent(end, event).stored, genesis('run-1'))
  },

  'writers of different runs do not disturb one another': async (context) => {
    const handles = await twoHandles(context)

    const heads = await atOnce(40, async (n) => {
      const store = handles[n % 2 === 0 ? 0 : 1]
      let run = await startRun(store, { runId: `run-${n}` })
      for (let i = 0; i < 5; i++) run = await extend(store, run)
      return run.end.seq
    })

    deepEqual(heads, new Array(40).fill(6))
  },
})
