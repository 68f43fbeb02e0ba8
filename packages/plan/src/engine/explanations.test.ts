import { memoryStore } from '@varve/store-memory'
import { virtualClock } from '@varve/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { childState } from '../definition/child-state.ts'
import { mapState } from '../definition/map-state.ts'
import type { AnyState } from '../definition/need.ts'
import { definePlan, type AnyPlan, type Plan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { namedState, planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { Engine } from './engine.ts'

const params = z.object({ n: z.int() })

/** A plan of one cached state, and an engine whose clock only moves when it is told to. */
function cachedNumber(run: (n: number) => number | Promise<number> = (n) => n) {
  const clock = virtualClock()
  const number = defineState({
    ...{ id: 'number', cache: true, environment: ['TZ'], params, output: z.int() },
    run: async ({ params: { n } }) => run(n),
  })
  const plan = definePlan({ id: 'p', version: '1', params, states: [number], output: number })
  return {
    ...{ clock, plan, number },
    engine: testEngine({ store: memoryStore({ now: clock.now }), clock, environment: { TZ: 'CET' } }),
  }
}

async function reasonOf(engine: Engine, runId: string, state: AnyState | string): Promise<string | undefined> {
  return (await engine.explain(runId, state))[0]?.reason
}

test.for([0, 10])(
  'of equal runs that began together each ran its own, %d ms before the outputs were kept',
  async (ms) => {
    const gate = Promise.withResolvers<undefined>()
    const begun = Promise.withResolvers<undefined>()
    let runs = 0
    const { clock, plan, number, engine } = cachedNumber(async (n) => {
      runs++
      if (runs === 2) begun.resolve(undefined)
      await gate.promise
      return n
    })
    const both = Promise.all(['r1', 'r2'].map(async (runId) => engine.start(plan, { n: 1 }, { runId })))
    await begun.promise
    clock.advance(ms)
    gate.resolve(undefined)
    await both

    const reasons = [await reasonOf(engine, 'r1', number), await reasonOf(engine, 'r2', number)]

    expect(reasons).toEqual(Array.from({ length: 2 }, () => 'no run has kept an output of it before'))
  },
)

test('a run is not explained by later ones, unless it is asked against them', async () => {
  const { clock, plan, number, engine } = cachedNumber()
  await engine.start(plan, { n: 1 }, { runId: 'r1' })
  for (const n of [2, 3]) {
    clock.advance(1000)
    await engine.start(plan, { n }, { runId: `r${n}` })
  }

  expect(await engine.explain('r1', number)).toMatchObject([
    { reason: 'no run has kept an output of it before', changed: [] },
  ])
  expect(await engine.explain('r2', number)).toMatchObject([{ comparedWith: { runId: 'r1' } }])
  expect(await engine.explain('r1', number, { against: 'r2' })).toMatchObject([{ reason: 'changed: params.n' }])
})

test('an environment that is not known of a failed execution has not changed', async () => {
  const { plan, number, engine } = cachedNumber((n) => {
    if (n === 2) throw new Error('two')
    return n
  })
  await engine.start(plan, { n: 1 }, { runId: 'r1' })
  await engine.start(plan, { n: 2 }, { runId: 'r2' })

  expect(await reasonOf(engine, 'r2', number)).toBe('changed: params.n')
  expect(await engine.explain('r1', number, { against: 'r2' })).toMatchObject([{ reason: 'changed: params.n' }])
})

const inner = (output: AnyState): AnyPlan => definePlan({ id: 'inner', version: '1', states: [output], output })
const childOf = (plan: AnyPlan): AnyState =>
  childState({ id: 's', plan: plan as Plan<undefined>, childParams: () => undefined })
const broken = defineState({
  ...{ id: 'broken', output: z.null() },
  run: () => {
    throw new Error('no more ink')
  },
})
const tagged = defineState({ id: 'tagged', tags: ['x'], output: z.int(), run: () => 1 })
const listless = mapState({
  ...{ id: 's', key: String, output: z.int(), run: () => 1 },
  items: (): number[] => {
    throw new Error('no list')
  },
})

test.for<[what: string, state: AnyState, reason: string]>([
  ['a failed child plan', childOf(inner(broken)), 'it failed: the child plan failed: state broken failed: no more ink'],
  ['a child plan that waits', childOf(inner(approvalState({ id: 'ok' }))), 'its child plan has not ended'],
  [
    'a child plan that has skipped its output',
    childOf(inner(tagged)),
    'its child plan has skipped the state whose output it would have',
  ],
  ['a map without a list', listless, 'it failed: no list'],
  ['an approval that waits', approvalState({ id: 's' }), 'nobody has answered'],
])('the reason of %s is a sentence', async ([, state, reason]) => {
  const engine = testEngine({ config: { onFailure: 'keep-going', skipTags: ['x'] } })
  await engine.start(planOf([state]), undefined as never, { runId: 'r' })
  await engine.recover()

  expect(await reasonOf(engine, 'r', 's')).toBe(reason)
})

test('the reason of an approval that came too late is that nobody answered', async () => {
  const clock = virtualClock()
  const engine = testEngine({ store: memoryStore({ now: clock.now }), clock })
  await engine.start(planOf([approvalState({ id: 's', expiresInMs: 60_000 })]), undefined as never, { runId: 'r' })
  clock.advance(60_001)
  await engine.run('r')

  expect(await reasonOf(engine, 'r', 's')).toBe('it failed: nobody answered in time')
})

test('the reason of an approval that was refused says by whom, and of one that a cancel has ended that the run did', async () => {
  const engine = testEngine()
  const plan = planOf([approvalState({ id: 's' })])
  await engine.start(plan, undefined as never, { runId: 'refused' })
  await engine.start(plan, undefined as never, { runId: 'canceled' })
  await engine.approve('refused', 's', { approved: false, by: 'bob' })
  await engine.cancel('canceled', { reason: 'enough' })

  expect(await reasonOf(engine, 'refused', 's')).toBe('it failed: APPROVAL_REFUSED: state s was refused by bob')
  expect(await reasonOf(engine, 'canceled', 's')).toBe('the run ended before it did')
})

test('a map of which an item fails is explained first, by the item, and then each item', async () => {
  const map = mapState({
    id: 'map',
    items: () => [0, 1],
    key: (n) => `n${n}`,
    output: z.int(),
    run: ({ item }) => {
      if (item === 1) throw new Error('one is odd')
      return item
    },
  })
  const engine = testEngine({ config: { onFailure: 'keep-going' } })
  await engine.start(planOf([map, namedState('after', ['map'])]), undefined as never, { runId: 'r' })

  expect((await engine.explain('r', map)).map(({ key, status, reason }) => [key, status, reason])).toEqual([
    ['map', 'failed', 'it failed: item n1: one is odd'],
    ['map:item:n0', 'completed', 'it is not cached, and runs in every run'],
    ['map:item:n1', 'failed', 'it is not cached, and runs in every run'],
  ])
  expect((await engine.status('r')).states[0]?.error).toEqual({ message: 'item n1: one is odd' })
})
