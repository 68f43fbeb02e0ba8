import type { ContentId } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { simulatedProcess, virtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { mapState } from '../definition/map-state.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { damageable, lose } from '../testing/damaged-store.ts'
import { planError } from '../testing/expected-errors.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { Engine } from './engine.ts'

const params = z.object({ cents: z.int(), label: z.string().default('') })

/** Rates, a price that is computed from them, and a text that shows the price; all cached. */
function pricing(options: { version?: string; rate?: () => number; zone?: readonly string[] } = {}) {
  const { version = '1', rate = () => 2, zone = [] } = options
  const ran: string[] = []
  const rates = defineState({
    ...{ id: 'rates', version, output: z.object({ rate: z.int() }), cache: true, environment: zone },
    run: () => {
      ran.push('rates')
      return { rate: rate() }
    },
  })
  const price = defineState({
    ...{ id: 'price', needs: { rates }, params: z.object({ cents: z.int() }), output: z.int(), cache: true },
    run: ({ needs, params: { cents } }) => {
      ran.push('price')
      return needs.rates.rate * cents
    },
  })
  const shown = defineState({
    ...{ id: 'shown', needs: { price }, params: z.object({ label: z.string() }), output: z.string(), cache: true },
    run: ({ needs, params: { label } }) => {
      ran.push('shown')
      return `${label}${needs.price}`
    },
  })
  const plan = definePlan({ id: 'p', version: '1', params, states: [rates, price, shown], output: shown })
  return { ran, plan, rates, price, shown }
}

async function outputId(engine: Engine, runId: string, state: string): Promise<ContentId> {
  return (await engine.outputs(runId))[state]?.$artifact as ContentId
}

async function statuses(engine: Engine, runId: string): Promise<readonly string[]> {
  return (await engine.status(runId)).states.map(({ status }) => status)
}

describe('the output of a cached state', () => {
  test('is taken over from any run that made it from the same', async () => {
    const store = memoryStore()
    const { plan, ran } = pricing()
    const first = await testEngine({ store }).start(plan, { cents: 5 }, { runId: 'r1' })
    const engine = testEngine({ store })

    const second = await engine.start(plan, { cents: 5 }, { runId: 'r2' })

    expect(second).toMatchObject({ status: 'completed', output: '10' })
    expect((second as { artifact: unknown }).artifact).toEqual((first as { artifact: unknown }).artifact)
    expect(ran).toEqual(['rates', 'price', 'shown'])
    expect(await statuses(engine, 'r2')).toEqual(['cached', 'cached', 'cached'])
    const [rates] = (await engine.status('r2')).states
    expect(rates).toMatchObject({ attempts: 0, from: { runId: 'r1', key: 'rates' } })
  })

  test('depends on the params that it declares, and on no others', async () => {
    const engine = testEngine()
    const { plan, ran } = pricing()
    await engine.start(plan, { cents: 5 }, { runId: 'r1' })

    await engine.start(plan, { cents: 5, label: 'x' }, { runId: 'r2' })
    await engine.start(plan, { cents: 6 }, { runId: 'r3' })

    expect(await statuses(engine, 'r2')).toEqual(['cached', 'cached', 'completed'])
    expect(await statuses(engine, 'r3')).toEqual(['cached', 'completed', 'completed'])
    expect(ran).toEqual(['rates', 'price', 'shown', 'shown', 'price', 'shown'])
  })

  test('is cut off early: what comes out the same runs nothing behind it', async () => {
    const store = memoryStore()
    await testEngine({ store }).start(pricing().plan, { cents: 5 }, { runId: 'r1' })
    const changed = pricing({ version: '2' })
    const engine = testEngine({ store })

    await engine.start(changed.plan, { cents: 5 }, { runId: 'r2' })

    expect(changed.ran).toEqual(['rates'])
    expect(await statuses(engine, 'r2')).toEqual(['completed', 'cached', 'cached'])
  })

  test('depends on the environment that it declares', async () => {
    const store = memoryStore()
    const zoned = pricing({ zone: ['TZ'] })
    const start = async (TZ: string | undefined, runId: string) => {
      const engine = testEngine({ store, environment: { TZ, OTHER: runId } })
      await engine.start(zoned.plan, { cents: 5 }, { runId })
      return (await statuses(engine, runId))[0]
    }

    const all = [
      await start('UTC', 'r1'),
      await start('UTC', 'r2'),
      await start('CET', 'r3'),
      await start(undefined, 'r4'),
    ]

    expect(all).toEqual(['completed', 'cached', 'completed', 'completed'])
    const log = JSON.stringify(await Array.fromAsync(testEngine({ store }).kernel.events('r3')))
    expect(log).not.toContain('CET')
  })

  test('takes a variable that every object has for unset where the environment has none of that name', async () => {
    const { plan } = pricing({ zone: ['constructor'] })
    const engine = testEngine({ environment: {} })

    expect(await engine.start(plan, { cents: 5 }, { runId: 'r' })).toMatchObject({ status: 'completed' })
  })

  test('that its own run had kept before its process died is its own', async () => {
    const clock = virtualClock()
    const shared = memoryStore({ now: clock.now })
    const { plan, ran } = pricing()
    const dying = simulatedProcess(shared, clock, { crashAt: 'cache.putIfAbsent:1:after' })
    const first = testEngine({ store: dying.store, clock: dying.clock, owner: dying.owner })
    const crashed = await dying.finish(first.start(plan, { cents: 5 }, { runId: 'r' }))
    clock.advance(60_000)
    const engine = testEngine({ store: shared, clock, plans: [plan] })

    const outcome = await engine.resume('r')

    expect(crashed).toBe('crashed')
    expect(outcome).toMatchObject({ status: 'completed' })
    expect(ran).toEqual(['rates', 'price', 'shown'])
    expect(await statuses(engine, 'r')).toEqual(['completed', 'completed', 'completed'])
  })

  test('that is gone counts for nothing: the state runs again', async () => {
    const store = memoryStore()
    const { plan, ran } = pricing()
    const engine = testEngine({ store })
    await engine.start(plan, { cents: 5 }, { runId: 'r1' })
    await lose(store, await outputId(engine, 'r1', 'rates'))
    ran.length = 0

    const outcome = await engine.start(plan, { cents: 5 }, { runId: 'r2' })

    expect(outcome).toMatchObject({ status: 'completed', output: '10' })
    expect(ran).toEqual(['rates'])
  })

  test('that is corrupt counts for nothing: the state runs again, and mends it', async () => {
    const { store, damage } = damageable(memoryStore())
    const { plan, ran } = pricing()
    const engine = testEngine({ store })
    await engine.start(plan, { cents: 5 }, { runId: 'r1' })
    damage(await outputId(engine, 'r1', 'rates'))
    ran.length = 0

    const mended = await engine.start(plan, { cents: 6 }, { runId: 'r2' })
    const after = await engine.start(plan, { cents: 7 }, { runId: 'r3' })

    expect(mended).toMatchObject({ status: 'completed', output: '12' })
    expect(after).toMatchObject({ status: 'completed', output: '14' })
    expect(ran).toEqual(['rates', 'price', 'shown', 'price', 'shown'])
    expect(await engine.verify('r1')).toMatchObject({ ok: true, damaged: [] })
  })

  test('that comes out otherwise than before names both producers', async () => {
    const engine = testEngine()
    let rate = 2
    const { plan, rates } = pricing({ rate: () => rate })
    await engine.start(plan, { cents: 5 }, { runId: 'r1' })
    rate = 3

    const outcome = await engine.fork('r1', { from: rates, as: 'r2' })

    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'NOT_REPRODUCIBLE' } })
    const { message } = (outcome as { error: Error }).error
    expect(message).toContain('run r1')
    expect(message).toContain('run r2')
    expect(message).toContain('drop cache: true')
  })

  test('has no io, also when its code is no TypeScript', async () => {
    const a = defineState({
      ...{ id: 'a', output: z.int(), cache: true },
      run: (async (context: { io: { now: () => Promise<number> } }) => context.io.now()) as never,
    })

    expect(await testEngine().start(definePlan({ id: 'p', version: '1', states: [a] }), undefined)).toMatchObject({
      status: 'failed',
      error: { code: 'IO_IN_PURE_STATE' },
    })
  })

  test('of a map is taken over item by item', async () => {
    const ran: number[] = []
    const squares = mapState({
      id: 'squares',
      params: z.object({ upTo: z.int() }),
      items: ({ params: { upTo } }) => Array.from({ length: upTo }, (_, n) => n),
      key: (n) => `n${n}`,
      output: z.int(),
      cache: true,
      run: ({ item }) => {
        ran.push(item)
        return item * item
      },
    })
    const plan = definePlan({
      id: 'p',
      version: '1',
      params: z.object({ upTo: z.int() }),
      states: [squares],
      output: squares,
    })
    const engine = testEngine()
    await engine.start(plan, { upTo: 3 }, { runId: 'r1' })
    ran.length = 0

    await engine.start(plan, { upTo: 5 }, { runId: 'r2' })

    // Its params are a part of what an item sees.
    expect(ran).toEqual([0, 1, 2, 3, 4])
    await engine.start(plan, { upTo: 5 }, { runId: 'r3' })
    expect(ran).toHaveLength(5)
    expect((await engine.status('r3')).states).toMatchObject([{ status: 'cached', items: { total: 5, cached: 5 } }])
  })

  test('is not kept for what is not cached', async () => {
    let runs = 0
    const a = defineState({ id: 'a', output: z.int(), run: () => ++runs })
    const engine = testEngine()
    const plan = definePlan({ id: 'p', version: '1', states: [a], output: a })

    await engine.start(plan, undefined)

    expect(await engine.start(plan, undefined)).toMatchObject({ output: 2 })
  })
})

describe('the explanation of a state', () => {
  const explained = async (engine: Engine, runId: string, state: string, against?: string) =>
    engine.explain(runId, state, against === undefined ? {} : { against })

  test('says which param changed, with the hash before and now', async () => {
    const engine = testEngine()
    const { plan } = pricing()
    await engine.start(plan, { cents: 5 }, { runId: 'r1' })
    await engine.start(plan, { cents: 6 }, { runId: 'r2' })

    const [why] = await explained(engine, 'r2', 'price')

    expect(why).toMatchObject({ key: 'price', status: 'completed', reason: 'changed: params.cents' })
    expect(why?.comparedWith).toEqual({ runId: 'r1', key: 'price' })
    expect(why?.changed).toHaveLength(1)
    expect(why?.changed[0]?.before).not.toBe(why?.changed[0]?.now)
  })

  test('says which need, version, code or variable changed', async () => {
    const clock = virtualClock()
    const store = memoryStore({ now: clock.now })
    const engine = (TZ: string) => {
      clock.advance(1000)
      return testEngine({ store, clock, environment: { TZ } })
    }
    await engine('UTC').start(pricing({ zone: ['TZ'] }).plan, { cents: 5 }, { runId: 'r1' })
    await engine('CET').start(pricing({ zone: ['TZ'], rate: () => 9 }).plan, { cents: 5 }, { runId: 'r2' })
    await engine('CET').start(
      pricing({ zone: ['TZ'], version: '2', rate: () => 9 }).plan,
      { cents: 5 },
      { runId: 'r3' },
    )

    expect((await explained(engine('CET'), 'r2', 'rates'))[0]).toMatchObject({ reason: 'changed: environment.TZ' })
    expect((await explained(engine('CET'), 'r2', 'price'))[0]).toMatchObject({ reason: 'changed: needs.rates' })
    expect((await explained(engine('CET'), 'r3', 'rates'))[0]).toMatchObject({ reason: 'changed: version' })
  })

  test('names the run that an output was taken over from', async () => {
    const engine = testEngine()
    const { plan } = pricing()
    await engine.start(plan, { cents: 5 }, { runId: 'r1' })
    await engine.start(plan, { cents: 5 }, { runId: 'r2' })

    expect(await explained(engine, 'r1', 'rates')).toMatchObject([
      { status: 'completed', reason: 'no run has kept an output of it before', changed: [] },
    ])
    expect(await explained(engine, 'r2', 'rates')).toEqual([
      {
        ...{ key: 'rates', status: 'cached', reason: 'equal to rates of run r1' },
        ...{ comparedWith: { runId: 'r1', key: 'rates' }, changed: [] },
      },
    ])
  })

  test('of a state in a fork says what was taken over, run again or replaced', async () => {
    const a = defineState({ id: 'a', output: z.int(), run: () => 1 })
    const b = defineState({ id: 'b', output: z.int(), run: () => 2 })
    const c = defineState({ id: 'c', needs: { a, b }, output: z.int(), run: ({ needs }) => needs.a + needs.b })
    const plan = definePlan({ id: 'p', version: '1', states: [a, b, c], output: c })
    const engine = testEngine()
    await engine.start(plan, undefined, { runId: 'r' })

    await engine.fork('r', { from: a, as: 'again' })
    const replaced = await engine.fork('r', { from: b, output: 40, as: 'other' })

    expect(replaced).toMatchObject({ status: 'completed', output: 41 })
    expect(await statuses(engine, 'again')).toEqual(['completed', 'reused', 'reused'])
    expect(await statuses(engine, 'other')).toEqual(['reused', 'replaced', 'completed'])
    const reasons = async (runId: string) =>
      Promise.all(['a', 'b', 'c'].map(async (id) => (await explained(engine, runId, id))[0]?.reason))
    expect(await reasons('again')).toEqual([
      'a fork runs it again',
      ...Array.from({ length: 2 }, () => 'asked for as in the run that this one was forked from'),
    ])
    expect(await reasons('other')).toEqual([
      'asked for as in the run that this one was forked from',
      'a fork has put another output in its place',
      'changed: needs.b',
    ])
  })

  test('against a run that is named compares with that one', async () => {
    const a = defineState({ id: 'a', params, output: z.int(), run: ({ params: { cents } }) => cents })
    const plan = definePlan({ id: 'p', version: '1', params, states: [a], output: a })
    const engine = testEngine()
    await engine.start(plan, { cents: 1 }, { runId: 'r1' })
    await engine.start(plan, { cents: 2 }, { runId: 'r2' })

    expect(await explained(engine, 'r2', 'a')).toMatchObject([{ reason: 'it is not cached, and runs in every run' }])
    expect(await explained(engine, 'r2', 'a', 'r1')).toMatchObject([{ reason: 'changed: params.cents' }])
  })

  test('of what did not run says why not', async () => {
    const broken = defineState({
      ...{ id: 'broken', output: z.null() },
      run: () => {
        throw new Error('no')
      },
    })
    const skipped = defineState({ id: 'skipped', tags: ['x'], output: z.null(), run: () => null })
    const blocked = defineState({ id: 'blocked', after: [broken], output: z.null(), run: () => null })
    const late = defineState({ id: 'late', after: [skipped], output: z.null(), run: () => null })
    const plan = definePlan({ id: 'p', version: '1', states: [skipped, broken, blocked, late] })
    const engine = testEngine({ config: { maxConcurrency: 1, skipTags: ['x'] } })
    await engine.start(plan, undefined, { runId: 'r' })

    const all = await Promise.all(
      ['skipped', 'broken', 'blocked', 'late'].map(async (id) => explained(engine, 'r', id)),
    )

    expect(all.flat().map(({ status, reason }) => `${status}: ${reason}`)).toEqual([
      'skipped: one of its tags, or a state that it needs, is skipped by the run config',
      'failed: it is not cached, and runs in every run',
      'blocked: a state that it needs has failed',
      'canceled: the run ended before its turn',
    ])
    await expect(explained(engine, 'r', 'gone')).rejects.toMatchObject(planError('STATE_NOT_FOUND'))
  })

  test('of a map says it of each item', async () => {
    const squares = mapState({
      id: 'squares',
      items: () => [1, 2],
      key: (n) => `n${n}`,
      output: z.int(),
      cache: true,
      run: ({ item }) => item * item,
    })
    const engine = testEngine()
    const plan = definePlan({ id: 'p', version: '1', states: [squares] })
    await engine.start(plan, undefined, { runId: 'r' })

    const all = await explained(engine, 'r', 'squares')

    expect(all.map(({ key }) => key).toSorted()).toEqual(['squares', 'squares:item:n1', 'squares:item:n2'])
    expect(all.find(({ key }) => key === 'squares:item:n1')).toMatchObject({
      reason: 'no run has kept an output of this item before',
    })
  })
})
