import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ActionError } from '@varve/kernel'
import { mapState } from '../definition/map-state.ts'
import { bytes } from '../definition/output.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { testEngine } from '../testing/test-engine.ts'

const params = z.object({ items: z.int(), size: z.int().default(0) })

/** Lists as many items as the params say, and makes of each its position times ten. */
function mapping(
  options: { concurrency?: number; onItem?: (n: number, attempt: number) => void | Promise<void> } = {},
) {
  const { concurrency, onItem } = options
  const list = defineState({
    ...{ id: 'list', params, output: z.array(z.object({ n: z.int(), text: z.string() })) },
    run: ({ params: { items, size } }) => Array.from({ length: items }, (_, n) => ({ n, text: 'x'.repeat(size) })),
  })
  const tens = mapState({
    id: 'tens',
    needs: { list },
    items: ({ needs }) => needs.list,
    key: ({ n }) => `n${n}`,
    output: z.int(),
    retry: { maxAttempts: 2, baseMs: 0 },
    ...(concurrency !== undefined && { concurrency }),
    run: async ({ item: { n }, attempt }) => {
      await onItem?.(n, attempt)
      return n * 10
    },
  })
  const sum = defineState({
    ...{ id: 'sum', needs: { tens }, output: z.int() },
    run: ({ needs }) => needs.tens.reduce((all, { value }) => all + value, 0),
  })
  return { tens, plan: definePlan({ id: 'p', version: '1', params, states: [list, tens, sum], output: sum }) }
}

describe('a map', { timeout: 30_000 }, () => {
  test.for([0, 1, 24, 500, 501, 1200])('over %d items makes an output of each, in their order', async (items) => {
    const { plan, tens } = mapping()
    const engine = testEngine({ config: { maxConcurrency: 64 } })

    const outcome = await engine.start(plan, { items }, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed', output: items * (items - 1) * 5 + 0 })
    const entries = await engine.output('r', tens)
    expect(entries.map(({ key }) => key)).toEqual(Array.from({ length: items }, (_, n) => `n${n}`))
    expect(entries.every(({ value }, n) => value === n * 10)).toBe(true)
    const state = (await engine.status('r')).states.find(({ id }) => id === 'tens')
    expect(state).toMatchObject({ status: 'completed', items: { done: items, total: items, cached: 0 } })
  })

  test('keeps its list in the log in stretches, and large items as artifacts', async () => {
    const { plan } = mapping()
    const engine = testEngine()

    const outcome = await engine.start(plan, { items: 40, size: 20_000 }, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed', output: 7800 })
    const events = await Array.fromAsync(engine.kernel.events('r'))
    expect(JSON.stringify(events).length).toBeLessThan(200_000)
    const requested = events.filter((event) => event.type === 'ActionRequested' && event.data.key.includes(':item:'))
    expect(requested).toHaveLength(40)
    for (const event of requested) expect(event.data).toHaveProperty('input.item.artifact')
  })

  test('of more than 1,000 items asks for its list in stretches and for its outputs in pages', async () => {
    const { plan } = mapping()
    const engine = testEngine({ config: { maxConcurrency: 256 } })

    await engine.start(plan, { items: 1200 }, { runId: 'r' })

    const keys = (await Array.fromAsync(engine.kernel.events('r'))).flatMap((event) =>
      event.type === 'ActionRequested' && event.data.action === 'tens:part' ? [event.data.key] : [],
    )
    expect(keys).toEqual([
      ...['tens:items', 'tens:items:0', 'tens:items:1'],
      ...['tens:page:0', 'tens:page:1', 'tens:page:2', 'tens'],
    ])
    expect(await engine.verify('r')).toMatchObject({ ok: true, damaged: [] })
  })

  test('of so many items is taken over whole by a fork', async () => {
    let runs = 0
    const { plan, tens } = mapping({
      onItem: () => {
        runs++
      },
    })
    const engine = testEngine({ config: { maxConcurrency: 256 } })
    const done = await engine.start(plan, { items: 1200 }, { runId: 'r' })

    const forked = await engine.fork('r', { from: 'sum', as: 'f' })

    expect(forked).toMatchObject({ ...done, runId: 'f' })
    expect(runs).toBe(1200)
    expect((await engine.status('f')).states.map(({ status }) => status)).toEqual(['reused', 'reused', 'completed'])
    expect(await engine.output('f', tens)).toHaveLength(1200)
  })

  test('runs no more items at once than it says, nor than the run allows', async () => {
    const counts = { way: 0, most: 0 }
    const onItem = async (): Promise<void> => {
      counts.most = Math.max(counts.most, ++counts.way)
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
      counts.way--
    }
    const seen: number[] = []
    for (const [concurrency, maxConcurrency] of [
      [3, 16],
      [10, 2],
    ] as const) {
      counts.most = 0
      await testEngine().start(mapping({ concurrency, onItem }).plan, { items: 12 }, { config: { maxConcurrency } })
      seen.push(counts.most)
    }

    expect(seen).toEqual([3, 2])
  })

  test('tries a failed item again by itself', async () => {
    const attempts: string[] = []
    const { plan } = mapping({
      onItem: (n, attempt) => {
        attempts.push(`${n}#${attempt}`)
        if (n === 2 && attempt === 1) throw new ActionError('transient', 'busy')
      },
    })

    const outcome = await testEngine({ config: { maxConcurrency: 1 } }).start(plan, { items: 4 })

    expect(outcome).toMatchObject({ status: 'completed', output: 60 })
    expect(attempts.toSorted()).toEqual(['0#1', '1#1', '2#1', '2#2', '3#1'])
  })

  test('fails with an item that fails, and the error names the state', async () => {
    const { plan } = mapping({
      onItem: (n) => {
        if (n === 1) throw new Error('one is odd')
      },
    })

    expect(await testEngine().start(plan, { items: 3 })).toMatchObject({
      status: 'failed',
      error: { message: expect.stringContaining('one is odd') as string },
    })
  })

  test('runs its other items when the run keeps going, and makes no output', async () => {
    const ran: number[] = []
    const { plan } = mapping({
      concurrency: 2,
      onItem: (n) => {
        ran.push(n)
        if (n === 1 || n === 3) throw new Error(`${n} is odd`)
      },
    })
    const engine = testEngine({ config: { onFailure: 'keep-going' } })

    const outcome = await engine.start(plan, { items: 6 }, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'failed' })
    expect(ran.toSorted()).toEqual([0, 1, 2, 3, 4, 5])
    const { states } = await engine.status('r')
    expect(states).toMatchObject([
      { id: 'list', status: 'completed' },
      { id: 'tens', status: 'failed', items: { done: 6, total: 6 } },
      { id: 'sum', status: 'blocked' },
    ])
  })

  test.for<[what: string, spec: object, code: string]>([
    ['two items have one key', { items: () => [1, 1] }, 'DUPLICATE_ITEM'],
    ['a key is empty', { key: () => '' }, 'OUTPUT_INVALID'],
    ['a key has more than 100 characters', { key: () => 'k'.repeat(101) }, 'OUTPUT_INVALID'],
    [
      'a key has more than 100 characters as length counts them',
      { key: () => '\u{1f600}'.repeat(51) },
      'OUTPUT_INVALID',
    ],
    ['a key holds half a character', { key: () => '\ud83d' }, 'OUTPUT_INVALID'],
    ['a key is no text', { key: () => 5 }, 'OUTPUT_INVALID'],
    ['the items are no list', { items: () => 'abc' }, 'OUTPUT_INVALID'],
    ['an item is no JSON', { items: () => [new Date(0)], key: () => 'k' }, 'NOT_JSON'],
    ['an output fails its schema', { run: () => 'text' }, 'OUTPUT_INVALID'],
  ])('fails when %s', async ([, spec, code]) => {
    const state = mapState({
      ...{ id: 'map', items: () => [1, 2], key: String, output: z.int(), run: () => 1 },
      ...spec,
    })
    const plan = definePlan({ id: 'p', version: '1', states: [state] })

    expect(await testEngine().start(plan, undefined as never)).toMatchObject({ status: 'failed', error: { code } })
  })

  test.for<[what: string, list: readonly unknown[]]>([
    ['undefined', [1, undefined]],
    // eslint-disable-next-line no-sparse-arrays -- a hole is what this is about.
    ['a hole of the list', [1, , 3]],
  ])('fails before any item runs when one is %s, and says which', async ([, list]) => {
    const ran: unknown[] = []
    const state = mapState({
      ...{ id: 'map', items: () => list, key: (_, i) => `k${i}`, output: z.int() },
      run: ({ item }) => ran.push(item),
    })
    const plan = definePlan({ id: 'p', version: '1', states: [state] })

    expect(await testEngine().start(plan, undefined)).toMatchObject({
      status: 'failed',
      error: { code: 'OUTPUT_INVALID', message: expect.stringContaining('item 1 of state map is undefined') as string },
    })
    expect(ran).toEqual([])
  })

  test('takes keys of any characters', async () => {
    const keys = ['a:b', ':item:', 'ü 💧', '__proto__', 'k'.repeat(100), '0']
    const state = mapState({
      id: 'map',
      items: () => keys,
      key: (key) => key,
      output: z.string(),
      run: ({ key }) => key,
    })
    const engine = testEngine()
    const plan = definePlan({ id: 'p', version: '1', states: [state], output: state })

    const outcome = await engine.start(plan, undefined, { runId: 'r' })

    expect(outcome).toMatchObject({ output: keys.map((key) => ({ key, value: key })) })
    expect((await engine.status('r')).states).toMatchObject([{ items: { done: 6, total: 6 } }])
  })

  test('lets its items see other outputs and the params, and makes bytes of each', async () => {
    const factor = defineState({ id: 'factor', output: z.int(), run: () => 3 })
    const files = mapState({
      ...{ id: 'files', params: z.object({ items: z.int() }), with: { factor }, output: bytes() },
      items: ({ params: { items } }) => Array.from({ length: items }, (_, n) => n),
      key: (n) => `n${n}`,
      run: ({ item, needs, params: { items } }) => Uint8Array.of(item * needs.factor + items),
    })
    const joined = defineState({
      ...{ id: 'joined', needs: { files }, output: z.array(z.int()) },
      run: async ({ needs }) => {
        const all = await Promise.all(needs.files.map(async ({ value }) => value.bytes()))
        return all.map((one) => one[0] as number)
      },
    })
    const plan = definePlan({
      ...{ id: 'p', version: '1', params: z.object({ items: z.int() }) },
      ...{ states: [files, factor, joined], output: joined },
    })

    expect(await testEngine().start(plan, { items: 3 })).toMatchObject({ output: [3, 6, 9] })
  })
})

test.for(['b\n', 'b\t', '\u0000', ''])(
  'an item key that no log takes fails its state, and the run ends: %j',
  async (bad) => {
    const lines = mapState({
      id: 'lines',
      items: () => ['a', bad],
      key: (line) => line,
      output: z.string(),
      run: ({ item }) => item,
    })

    const outcome = await testEngine().start(definePlan({ id: 'p', version: '1', states: [lines] }), undefined)

    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'OUTPUT_INVALID' } })
  },
)
