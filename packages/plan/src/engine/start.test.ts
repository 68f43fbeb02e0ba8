import { defineWorkflow } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { faultyStore, interceptStore } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { planError } from '../testing/expected-errors.ts'
import { namedState, planOf } from '../testing/simple-states.ts'
import { noBuild, testEngine } from '../testing/test-engine.ts'

const params = z.object({ cents: z.int() })
let runs = 0
const price = defineState({
  ...{ id: 'price', params, output: z.int() },
  run: ({ params: { cents } }) => {
    runs++
    return cents * 2
  },
})
const quote = definePlan({ id: 'quote', version: '1', params, states: [price], output: price })

describe('starting a run', () => {
  test('keeps the manifest before the first event, which pins it', async () => {
    const calls: string[] = []
    const store = interceptStore(memoryStore(), async ({ name }, proceed) => {
      const answer = await proceed()
      calls.push(name)
      return answer
    })
    const engine = testEngine({ store })

    await engine.start(quote, { cents: 5 }, { runId: 'r', config: { maxConcurrency: 3 } })

    expect(calls.indexOf('artifacts.put')).toBeLessThan(calls.indexOf('events.append'))
    const manifest = await engine.manifest('r')
    expect(manifest).toMatchObject({
      ...{ format: 1, plan: { id: 'quote', version: '1', hash: quote.definition.hash, output: 'price' } },
      ...{ params: { cents: 5 }, build: noBuild },
      config: { maxConcurrency: 3, onFailure: 'fail-fast', skipTags: [], maxDepth: 16 },
    })
    expect(manifest.states.map(({ id }) => id)).toEqual(['price'])
  })

  test('under a known id with the same plan, params and config returns that run', async () => {
    const engine = testEngine()
    const first = await engine.start(quote, { cents: 5 }, { runId: 'r' })
    const before = runs

    const again = await engine.start(quote, { cents: 5 }, { runId: 'r' })

    expect(first).toMatchObject({ status: 'completed', output: 10 })
    expect(again).toEqual(first)
    expect(runs).toBe(before)
  })

  test.for([1, 2])('32 times at once, from %d engines, is one run whose state ran once', async (engines) => {
    const store = memoryStore()
    const all = Array.from({ length: engines }, () => testEngine({ store }))
    const before = runs

    const outcomes = await Promise.all(
      Array.from({ length: 32 }, async (_, i) => all[i % engines]?.start(quote, { cents: 7 }, { runId: 'r' })),
    )

    expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1)
    expect(outcomes[0]).toMatchObject({ status: 'completed', output: 14 })
    expect(runs).toBe(before + 1)
  })

  test('at once with other params is one run, and an error for the others', async () => {
    const engine = testEngine()

    const settled = await Promise.allSettled(
      [1, 2, 3, 4].map(async (cents) => engine.start(quote, { cents }, { runId: 'r' })),
    )

    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const one of settled) if (one.status === 'rejected') expect(one.reason).toMatchObject(planError('RUN_EXISTS'))
  })

  test('under a known id with other params, config or plan is refused, and says which', async () => {
    const engine = testEngine()
    const other = planOf([namedState('a')])
    await engine.start(quote, { cents: 5 }, { runId: 'r' })

    const starts = [
      engine.start(quote, { cents: 6 }, { runId: 'r' }),
      engine.start(quote, { cents: 5 }, { runId: 'r', config: { maxConcurrency: 1 } }),
      engine.start(other, undefined as never, { runId: 'r' }),
    ]

    const errors = await Promise.all(starts.map(async (start) => start.catch((error: unknown) => error)))
    expect(errors).toMatchObject(['params', 'config', 'plan'].map(() => planError('RUN_EXISTS')))
    expect(errors.map((error) => (error as Error).message)).toEqual([
      expect.stringContaining('other params') as string,
      expect.stringContaining('other config') as string,
      expect.stringContaining('other plan') as string,
    ])
  })

  test('from another build with the same plan is the same run', async () => {
    const store = memoryStore()
    const first = await testEngine({ store }).start(quote, { cents: 5 }, { runId: 'r' })
    const another = testEngine({ store, provenance: { ...noBuild, gitCommit: 'f'.repeat(40) } })

    const again = await another.start(quote, { cents: 5 }, { runId: 'r' })

    expect(again).toEqual(first)
    expect(await another.manifest('r')).toMatchObject({ build: { gitCommit: null } })
  })

  test('from two builds at once is one run', async () => {
    const store = memoryStore()
    const builds = ['a', 'b'].map((hex) => testEngine({ store, provenance: { ...noBuild, gitCommit: hex.repeat(40) } }))

    const outcomes = await Promise.all(builds.map(async (engine) => engine.start(quote, { cents: 5 }, { runId: 'r' })))

    expect(outcomes[0]).toMatchObject({ status: 'completed', output: 10 })
    expect(outcomes[1]).toEqual(outcomes[0])
  })

  test('without waiting records the run, and whoever runs it executes it', async () => {
    const engine = testEngine()

    const started = await engine.start(quote, { cents: 5 }, { runId: 'r', wait: false })

    expect(started).toMatchObject({ status: 'running', runId: 'r' })
    expect(await engine.run('r')).toMatchObject({ status: 'completed', output: 10 })
  })

  test('with params that fail their schema writes nothing, and names their path', async () => {
    const store = memoryStore()
    const engine = testEngine({ store })

    const starting = engine.start(quote, { cents: 1.5 }, { runId: 'r' })

    await expect(starting).rejects.toMatchObject({ ...planError('INVALID_PARAMS'), where: { path: 'params.cents' } })
    expect(await store.runs.find('r')).toBeUndefined()
    expect((await store.artifacts.list({}, { limit: 10 })).items).toEqual([])
  })

  test('with params that one state does not take writes nothing, and names the state', async () => {
    const store = memoryStore()
    const a = defineState({ id: 'a', params: z.object({ cents: z.int().max(3) }), output: z.null(), run: () => null })
    const plan = definePlan({ id: 'p', version: '1', params, states: [a] })

    const starting = testEngine({ store }).start(plan, { cents: 4 }, { runId: 'r' })

    await expect(starting).rejects.toMatchObject({
      ...planError('INVALID_PARAMS'),
      where: { path: 'params of state a.cents' },
    })
    expect(await store.runs.find('r')).toBeUndefined()
  })

  test('without params gives undefined to a state that can do without them, and others their default', async () => {
    const cents = params.optional()
    const without = defineState({ id: 'without', params: cents, output: z.string(), run: (seen) => typeof seen.params })
    const withDefault = defineState({
      ...{ id: 'with', params: cents.default({ cents: 7 }), output: z.int() },
      run: (seen) => seen.params.cents,
    })
    const states = [without, withDefault]
    const engine = testEngine()

    for (const plan of [
      definePlan({ id: 'none', version: '1', states }),
      definePlan({ id: 'optional', version: '1', params: cents, states }),
    ]) {
      const { runId, status } = await engine.start<undefined, null>(plan, undefined)

      expect(status).toBe('completed')
      expect(await engine.output(runId, without)).toBe('undefined')
      expect(await engine.output(runId, withDefault)).toBe(7)
    }
  })

  test('with params for a plan that takes none is refused', async () => {
    const starting = testEngine().start(planOf([namedState('a')]), { cents: 4 } as never)

    await expect(starting).rejects.toMatchObject(planError('INVALID_PARAMS'))
  })

  test.for<[what: string, config: object]>([
    ['no concurrency', { maxConcurrency: 0 }],
    ['an unknown way to fail', { onFailure: 'retry' }],
    ['an option that there is not', { maxConcurency: 3 }],
  ])('with a config of %s is refused', async ([, config]) => {
    await expect(testEngine().start(quote, { cents: 4 }, { config })).rejects.toMatchObject(planError('INVALID_PARAMS'))
  })

  test.for(['artifacts.put', 'events.append'] as const)(
    'while %s fails writes no run, and can be repeated',
    async (call) => {
      const store = memoryStore()
      const fault = new Error('the disk is full')
      const failing = testEngine({ store: faultyStore(store, [{ call, fault }]) })

      await expect(failing.start(quote, { cents: 5 }, { runId: 'r' })).rejects.toThrow('the disk is full')

      expect(await store.runs.find('r')).toBeUndefined()
      expect(await testEngine({ store }).start(quote, { cents: 5 }, { runId: 'r' })).toMatchObject({ output: 10 })
    },
  )

  test('with another plan under an id and version that are known is refused', async () => {
    const engine = testEngine({ plans: [planOf([namedState('a')])] })

    await expect(engine.start(planOf([namedState('b')]), undefined as never)).rejects.toMatchObject(
      planError('PLAN_CHANGED'),
    )
  })

  test('under the id of a run that is none of a plan is refused', async () => {
    const store = memoryStore()
    const workflow = defineWorkflow(
      { name: 'w', version: '1', input: z.null() },
      { step: (_, next) => next.complete(null) },
    )
    const engine = testEngine({ store, workflows: [workflow] })
    await engine.kernel.start(workflow, null, { runId: 'r' })

    await expect(engine.start(quote, { cents: 5 }, { runId: 'r' })).rejects.toMatchObject(planError('NOT_A_PLAN_RUN'))
    await expect(engine.run('r')).rejects.toMatchObject(planError('NOT_A_PLAN_RUN'))
  })

  test('takes what the schemas make of the params, also in a fork', async () => {
    const text = z.object({ cents: z.string().transform(Number) })
    const plan = definePlan({ id: 'p', version: '1', params: text, states: [price], output: price })
    const engine = testEngine()

    const outcome = await engine.start(plan, { cents: '5' }, { runId: 'r' })
    const forked = await engine.fork('r', { from: price })

    expect(outcome).toMatchObject({ status: 'completed', output: 10 })
    expect(forked).toMatchObject({ status: 'completed', output: 10 })
    expect(await engine.start(plan, { cents: '5' }, { runId: 'r' })).toEqual(outcome)
  })
})

test('a plan whose states take other params is another plan', async () => {
  const priced = (shape: z.ZodType<{ readonly cents: number }>) => {
    const shown = defineState({ id: 'shown', params: shape, output: z.json(), run: ({ params: given }) => given })
    return definePlan({ id: 'p', version: '1', params: z.json(), states: [shown], output: shown })
  }
  const [one, other] = [priced(z.object({ cents: z.int() })), priced(z.object({ cents: z.int(), vat: z.int() }))]
  const engine = testEngine()
  await engine.start(one, { cents: 1, vat: 19 }, { runId: 'r1' })

  const starting = engine.start(other, { cents: 1, vat: 19 }, { runId: 'r2' })

  await expect(starting).rejects.toMatchObject(planError('PLAN_CHANGED'))
  expect(other.definition.hash).not.toBe(one.definition.hash)
  expect(priced(z.object({ cents: z.int() })).definition.hash).toBe(one.definition.hash)
})

test('params and questions keep a name that JSON has and objects are made with', async () => {
  const odd = JSON.parse('{"__proto__":{"cents":1}}') as z.core.util.JSONType
  const params = z.custom<z.core.util.JSONType>()
  const shown = defineState({ id: 'shown', params, output: z.custom<typeof odd>(), run: ({ params: given }) => given })
  const ask = approvalState({ id: 'ask', needs: { shown }, question: ({ needs }) => needs.shown })
  const plan = definePlan({ id: 'p', version: '1', params, states: [shown, ask] })
  const engine = testEngine()

  await engine.start(plan, odd, { runId: 'r' })

  expect(JSON.stringify(await engine.output('r', shown))).toBe('{"__proto__":{"cents":1}}')
  const { items } = await engine.kernel.listInterrupts()
  expect(JSON.stringify(items[0]?.value)).toBe('{"__proto__":{"cents":1}}')
  expect(await engine.start(plan, odd, { runId: 'r' })).toMatchObject({ status: 'blocked' })
})
