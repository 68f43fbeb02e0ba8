import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { dataOf, writeLog } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { stepContext } from './step-context.ts'

const ask = { now: 1, seed: 'seed', seq: 2 }

const uuid4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe('the context of a step', () => {
  test('draws the same whenever it is asked again', () => {
    const draws = Array.from({ length: 2 }, () => {
      const { random, uuid } = stepContext(ask)
      return [random(), uuid(), random(), uuid()]
    })

    expect(draws[0]).toEqual(draws[1])
    expect(draws[0]).toEqual([
      ...[0.6166030790176202, '0e841292-00cd-4e7d-9588-1d1421ea7acb'],
      ...[0.2633130150139198, 'b0061eae-02f0-4c32-9d97-1479fa769991'],
    ])
  })

  test('draws otherwise with each call, seed and position', () => {
    const contexts = [ask, { ...ask, seq: 3 }, { ...ask, seed: 'other' }, { ...ask, seed: 'seed\n2', seq: 0 }].map(
      stepContext,
    )

    const draws = contexts.flatMap(({ random, uuid }) => [random(), random(), uuid(), uuid()])

    expect(new Set(draws).size).toBe(draws.length)
  })

  test('draws numbers from 0 to 1, evenly, and UUIDs in the shape of version 4', () => {
    const { random, uuid } = stepContext(ask)

    const numbers = Array.from({ length: 2000 }, random)
    const ids = Array.from({ length: 200 }, uuid)

    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...numbers)).toBeLessThan(1)
    expect(numbers.reduce((sum, number) => sum + number) / numbers.length).toBeCloseTo(0.5, 1)
    expect(ids.filter((id) => !uuid4.test(id))).toEqual([])
  })
})

describe('a run that draws', () => {
  const drawing = defineWorkflow(
    {
      ...{ name: 'drawing', version: '1', input: z.null() },
      initialState: () => [] as readonly string[],
      interrupts: { go: { ask: z.string(), answer: z.null() } },
    },
    {
      reduce: (state, event) => (event.type === 'StateUpdated' ? [...state, event.data.payload as string] : state),
      step: (state, next, { random, uuid }) => {
        if (state.length < 3) return next.emit({ type: 'StateUpdated', payload: `${random()} ${uuid()}` })
        return next.interrupt('go', state.join())
      },
    },
  )

  const kernelOn = (store = memoryStore()) => createKernel({ store, workflows: [drawing], build: crypto.randomUUID() })

  test('decides the same on every machine, when checked and when verified', async () => {
    const store = memoryStore()
    await kernelOn(store).start(drawing, null, { runId: 'r' })

    const elsewhere = kernelOn(store)

    expect(await elsewhere.run('r')).toMatchObject({ status: 'blocked' })
    expect(await elsewhere.verify('r')).toMatchObject({ ok: true })
    const drawn = (await dataOf(store, 'r', 'StateUpdated')).map(({ payload }) => payload)
    expect(new Set(drawn).size).toBe(3)
  })

  test('has its own seed, and a fork has that of the run it was copied from', async () => {
    const store = memoryStore()
    const kernel = kernelOn(store)
    await kernel.start(drawing, null, { runId: 'a' })
    await kernel.start(drawing, null, { runId: 'b' })
    await kernel.fork('a', { at: 3, as: 'fork' })

    const [a, b, fork] = await Promise.all(['a', 'b', 'fork'].map((id) => dataOf(store, id, 'StateUpdated')))

    expect(b).not.toEqual(a)
    expect(fork?.slice(0, 2)).toEqual(a?.slice(0, 2))
    expect(fork?.[2]).not.toEqual(a?.[2])
    expect(await kernel.verify('fork')).toMatchObject({ ok: true })
  })

  test('draws from its id when its log begins without a seed', async () => {
    const logs = await Promise.all(
      ['r', 'r', 'other'].map(async (runId) => {
        const store = memoryStore()
        await writeLog(store, runId, [{ type: 'SignalReceived', data: { name: 's', signalId: '1', value: null } }], {
          workflow: 'drawing',
        })
        await kernelOn(store).run(runId, { initialState: [] })
        return dataOf(store, runId, 'StateUpdated')
      }),
    )

    expect(logs[0]).toEqual(logs[1])
    expect(logs[0]).not.toEqual(logs[2])
  })
})
