import { expect, test } from 'vitest'
import { z } from 'zod'
import { mapState } from '../definition/map-state.ts'
import { definePlan } from '../definition/plan.ts'
import { testEngine } from '../testing/test-engine.ts'

test('equal items under different keys are not taken for each other, since the code sees the key', async () => {
  const rows = mapState({
    id: 'rows',
    items: () => ['same', 'same'],
    key: (_, i) => `row${i}`,
    output: z.string(),
    cache: true,
    run: ({ item, key }) => `${key}: ${item}`,
  })
  const plan = definePlan({ id: 'p', version: '1', states: [rows], output: rows })
  const engine = testEngine({ config: { maxConcurrency: 1 } })

  const outcome = await engine.start(plan, undefined, { runId: 'r' })

  expect(outcome).toMatchObject({
    output: [
      { key: 'row0', value: 'row0: same' },
      { key: 'row1', value: 'row1: same' },
    ],
  })
})

test('an item is compared with what was kept of it, however many items there are', async () => {
  const versioned = (version: string) => {
    const items = Array.from({ length: 60 }, (_, n) => n)
    const all = mapState({
      id: 'all',
      version,
      items: () => items,
      key: (n) => `n${n}`,
      output: z.int(),
      cache: true,
      run: ({ item }) => item,
    })
    return definePlan({ id: 'p', version, states: [all] })
  }
  const engine = testEngine()
  await engine.start(versioned('1'), undefined, { runId: 'first' })
  await engine.start(versioned('2'), undefined, { runId: 'second' })

  const explanations = await engine.explain('second', 'all')

  expect(explanations.find(({ key }) => key === 'all:item:n3')).toMatchObject({
    reason: 'changed: version',
    comparedWith: { runId: 'first', key: 'all:item:n3' },
  })
})

test('items that come out otherwise when they are listed on fail their state, and none of them runs', async () => {
  let lists = 0
  let runs = 0
  const impure = mapState({
    id: 'impure',
    items: () => {
      const list = Array.from({ length: 1500 }, (_, n) => n)
      return ++lists === 1 ? list : list.toReversed()
    },
    key: (n) => `n${n}`,
    output: z.int(),
    run: ({ item }) => {
      runs++
      return item
    },
  })
  const engine = testEngine()

  const outcome = await engine.start(definePlan({ id: 'p', version: '1', states: [impure] }), undefined)

  expect(outcome).toMatchObject({ status: 'failed', error: { code: 'OUTPUT_INVALID' } })
  expect(runs).toBe(0)
})

test('an item that a cancel has cut off is explained as canceled', async () => {
  const begun = Promise.withResolvers<undefined>()
  const waits = mapState({
    id: 'waits',
    items: () => [1],
    key: String,
    output: z.int(),
    run: async ({ signal }) => {
      begun.resolve(undefined)
      return new Promise<number>((_, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error)
        })
      })
    },
  })
  const engine = testEngine()
  const run = engine.start(definePlan({ id: 'p', version: '1', states: [waits] }), undefined, { runId: 'r' })
  await begun.promise
  await engine.cancel('r', { reason: 'enough' })
  await run

  expect(await engine.explain('r', waits)).toMatchObject([{ key: 'waits:item:1', status: 'canceled' }])
})
