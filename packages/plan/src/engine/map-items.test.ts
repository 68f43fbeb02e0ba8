import { canonicalJson, contentId } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
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

test('a list is made once, however many stretches of the log it takes', async () => {
  const counts = { lists: 0, keys: 0 }
  const many = mapState({
    id: 'many',
    items: () => {
      const list = Array.from({ length: 3500 }, (_, n) => ({ n, note: 'x'.repeat(n % 40 === 0 ? 2000 : 10) }))
      return counts.lists++ === 0 ? list : list.toReversed()
    },
    key: ({ n }) => {
      counts.keys++
      return `n${n}`
    },
    output: z.int(),
    run: ({ item }) => item.n + item.note.length,
  })
  const engine = testEngine({ config: { maxConcurrency: 256 } })
  const plan = definePlan({ id: 'p', version: '1', states: [many], output: many })

  const outcome = await engine.start(plan, undefined, { runId: 'r' })

  const expected = Array.from({ length: 3500 }, (_, n) => ({ key: `n${n}`, value: n + (n % 40 === 0 ? 2000 : 10) }))
  expect(outcome).toMatchObject({ status: 'completed', output: expected })
  expect(counts).toEqual({ lists: 1, keys: 3500 })
  const largest = Math.max(
    ...(await Array.fromAsync(engine.kernel.events('r'))).map((event) => JSON.stringify(event).length),
  )
  expect(largest).toBeLessThan(300_000)
  expect(await engine.verify('r')).toMatchObject({ ok: true, damaged: [] })
})

test('the stretches of a list are kept with the run, and not with any other', async () => {
  const many = mapState({
    id: 'many',
    items: () => Array.from({ length: 2500 }, (_, n) => n),
    key: (n) => `n${n}`,
    output: z.int(),
    run: ({ item }) => item,
  })
  const store = memoryStore()
  const engine = testEngine({ store, config: { maxConcurrency: 256 } })
  await engine.start(definePlan({ id: 'p', version: '1', states: [many] }), undefined, { runId: 'r' })
  const listed = (await Array.fromAsync(engine.kernel.events('r'))).flatMap((event) =>
    event.type === 'ActionSucceeded' && event.data.key === 'many:items' ? [event.data.output] : [],
  )
  const { stretches } = listed[0] as { readonly stretches: readonly { readonly $artifact: string }[] }
  const names = stretches.map(({ $artifact }) => $artifact as never)

  expect(names).toHaveLength(3)
  expect(new Set(await store.runs.referred(names))).toEqual(new Set(names))
})

test('a fork from a map makes its list again, and what of it was lost', async () => {
  const store = memoryStore()
  const many = mapState({
    id: 'many',
    items: () => Array.from({ length: 1200 }, (_, n) => ({ n, note: n === 1100 ? 'x'.repeat(2000) : '' })),
    key: ({ n }) => `n${n}`,
    output: z.int(),
    run: ({ item }) => item.n,
  })
  const engine = testEngine({ store, config: { maxConcurrency: 256 } })
  await engine.start(definePlan({ id: 'p', version: '1', states: [many] }), undefined, { runId: 'r' })
  const large = contentId(canonicalJson({ n: 1100, note: 'x'.repeat(2000) }))
  await store.artifacts.delete(large, { ifUnusedSince: Number.MAX_SAFE_INTEGER })

  const forked = await engine.fork('r', { from: many, as: 'f' })

  expect(forked).toMatchObject({ status: 'completed' })
  expect(await store.artifacts.touch([large])).toEqual([large])
})

test.for([1, 1001])('an item may be nested as deeply in a list of %i as it may be at all', async (count) => {
  let deep: unknown = 'x'.repeat(2000)
  for (let level = 0; level < 100; level++) deep = [deep]
  const many = mapState({
    id: 'many',
    items: () => Array.from({ length: count }, () => deep as never[]),
    key: (_, i) => `n${i}`,
    output: z.int(),
    run: ({ key }) => key.length,
  })

  const outcome = await testEngine().start(definePlan({ id: 'p', version: '1', states: [many] }), undefined)

  expect(outcome).toMatchObject({ status: 'completed' })
})

test('a list of too many stretches fails its state, and says what to do instead', async () => {
  const item = 'x'.repeat(1000)
  const many = mapState({
    id: 'many',
    items: () => Array.from({ length: 140_000 }, () => item),
    key: (_, i) => `n${i}`,
    output: z.string(),
    run: () => '',
  })
  const engine = testEngine()

  const outcome = await engine.start(definePlan({ id: 'p', version: '1', states: [many] }), undefined)

  expect(outcome).toMatchObject({ status: 'failed', error: { code: 'OUTPUT_INVALID' } })
  expect(outcome).toHaveProperty('error.message', expect.stringContaining('list child plans'))
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

  expect(await engine.explain('r', waits)).toMatchObject([
    { key: 'waits', status: 'canceled', reason: 'the run ended before it did' },
    { key: 'waits:item:1', status: 'canceled' },
  ])
})
