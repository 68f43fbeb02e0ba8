import { memoryStore } from '@varve/store-memory'
import { virtualClock } from '@varve/testing'
import type { ContentId } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { childState } from '../definition/child-state.ts'
import { mapState } from '../definition/map-state.ts'
import type { AnyState } from '../definition/need.ts'
import { definePlan, type Plan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { planError } from '../testing/expected-errors.ts'
import { namedState, planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { Engine } from './engine.ts'
import { ProgressTracker, type Progress } from './progress.ts'

const params = z.object({ n: z.int(), label: z.string().nullish() })
const base = defineState({
  id: 'base',
  params: z.object({ n: z.int() }),
  output: z.int(),
  run: ({ params: { n } }) => n,
})
const squares = mapState({
  id: 'squares',
  needs: { base },
  items: ({ needs }) => [needs.base, needs.base + 1],
  key: (n) => `n${n}`,
  output: z.int(),
  run: ({ item }) => item * item,
})
const sum = defineState({
  ...{ id: 'sum', needs: { squares }, output: z.int() },
  run: ({ needs }) => needs.squares.reduce((all, { value }) => all + value, 0),
})
const plan = definePlan({ id: 'p', version: '1', params, states: [base, squares, sum], output: sum })

function failingState(id: string): AnyState {
  return defineState({
    ...{ id, output: z.null() },
    run: () => {
      throw new Error('no')
    },
  })
}

async function idOf(engine: Engine, runId: string, state: string): Promise<ContentId> {
  return (await engine.outputs(runId))[state]?.$artifact as ContentId
}

describe('the status of a run', () => {
  test('tells of each state when it began, how long it took and what it made', async () => {
    const clock = virtualClock()
    const slow = defineState({
      ...{ id: 'slow', output: z.null() },
      run: () => {
        clock.advance(2500)
        return null
      },
    })
    const engine = testEngine({ store: memoryStore({ now: clock.now }), clock })
    await engine.start(planOf([slow, namedState('after', ['slow'])]), undefined as never, { runId: 'r' })

    const { states, status, done, total } = await engine.status('r')

    expect({ status, done, total }).toEqual({ status: 'completed', done: 2, total: 2 })
    expect(states[0]).toMatchObject({
      ...{ id: 'slow', attempts: 1, startedAt: 1_700_000_000_000, endedAt: 1_700_000_002_500, durationMs: 2500 },
      artifact: { mediaType: 'application/json' },
    })
  })

  test('of a run that waits tells what is done, waits and is pending', async () => {
    const engine = testEngine()
    await engine.start(
      planOf([namedState('a'), approvalState({ id: 'ok' }), namedState('b', ['ok'])]),
      undefined as never,
      {
        runId: 'r',
      },
    )

    const { status, done, states } = await engine.status('r')

    expect({ status, done }).toEqual({ status: 'running', done: 1 })
    expect(states.map((state) => state.status)).toEqual(['completed', 'waiting', 'pending'])
    await expect(engine.output('r', 'b')).rejects.toMatchObject(planError('NO_OUTPUT'))
    await expect(engine.output('r', 'gone')).rejects.toMatchObject(planError('STATE_NOT_FOUND'))
  })

  test("counts the attempts of a map's items, and not those of its list and of what collects it", async () => {
    const engine = testEngine()
    await engine.start(plan, { n: 1 }, { runId: 'r' })

    expect((await engine.status('r')).states.map(({ attempts }) => attempts)).toEqual([1, 2, 1])
  })

  test('of an approval and of a child plan counts no attempts', async () => {
    const engine = testEngine()
    const child = childState({
      id: 'child',
      plan: planOf([namedState('inner')], 'inner') as Plan<undefined>,
      childParams: () => undefined,
    })
    await engine.start(planOf([approvalState({ id: 'ok' }), child]), undefined as never, { runId: 'r' })
    await engine.approve('r', 'ok', { approved: true })
    await engine.recover()

    const { states } = await engine.status('r')

    expect(states.map(({ status, attempts }) => [status, attempts])).toEqual([
      ['completed', 0],
      ['completed', 0],
    ])
  })

  test('counts an attempt that a cancel has cut off', async () => {
    const begun = Promise.withResolvers<undefined>()
    const hanging = defineState({
      ...{ id: 'hanging', output: z.null() },
      run: async ({ signal }) => {
        begun.resolve(undefined)
        return new Promise<null>((_, reject) => {
          signal.addEventListener('abort', () => {
            reject(signal.reason as Error)
          })
        })
      },
    })
    const engine = testEngine()
    const run = engine.start(planOf([hanging]), undefined as never, { runId: 'r' })
    await begun.promise
    const underWay = await engine.status('r')
    await engine.cancel('r', { reason: 'enough' })
    await run

    expect(underWay.states).toMatchObject([{ status: 'running', attempts: 1 }])
    expect((await engine.status('r')).states).toMatchObject([{ status: 'canceled', attempts: 1 }])
  })
})

describe('the difference between two runs', () => {
  test('is none where the same was made, be it taken over or not', async () => {
    const engine = testEngine()
    await engine.start(plan, { n: 1 }, { runId: 'a' })
    await engine.start(plan, { n: 1 }, { runId: 'b' })

    expect(await engine.diff('a', 'b')).toEqual({ same: true, plan: [], params: [], states: [] })
  })

  test('names params and the states whose outputs differ', async () => {
    const engine = testEngine()
    await engine.start(plan, { n: 1 }, { runId: 'a' })
    await engine.start(plan, { n: 2, label: null }, { runId: 'b' })

    const diff = await engine.diff('a', 'b')

    expect(diff).toMatchObject({ same: false, plan: [], params: ['label', 'n'] })
    expect(diff.states.map(({ id }) => id)).toEqual(['base', 'squares', 'sum'])
    expect(diff.states[0]?.a?.artifact).not.toBe(diff.states[0]?.b?.artifact)
  })

  test('names what another plan has otherwise, and states that only one of them has', async () => {
    const engine = testEngine()
    await engine.start(planOf([namedState('a'), namedState('b')]), undefined as never, { runId: 'a' })
    await engine.start(planOf([namedState('a'), namedState('c')], 'q'), undefined as never, { runId: 'b' })

    const diff = await engine.diff('a', 'b')

    expect(diff.plan).toEqual([{ what: 'id' }, { state: 'b', what: 'removed' }, { state: 'c', what: 'added' }])
    expect(diff.states.map(({ id, a, b }) => [id, a?.status, b?.status])).toEqual([
      ['b', 'completed', undefined],
      ['c', undefined, 'completed'],
    ])
  })
})

describe('the origins of an artifact', () => {
  test('are the executions that made it, with what they saw', async () => {
    const engine = testEngine()
    await engine.start(plan, { n: 1 }, { runId: 'a' })

    const origins = await Array.fromAsync(engine.origins(await idOf(engine, 'a', 'sum')))

    expect(origins).toEqual([
      {
        ...{ runId: 'a', key: 'sum', seq: expect.any(Number) as number, how: 'made' },
        inputs: { squares: await idOf(engine, 'a', 'squares') },
      },
    ])
  })

  test('of a list are the outputs of its items, by their keys', async () => {
    const engine = testEngine()
    await engine.start(plan, { n: 1 }, { runId: 'a' })

    const [origin] = await Array.fromAsync(engine.origins(await idOf(engine, 'a', 'squares')))

    expect(Object.keys(origin?.inputs ?? {})).toEqual(['n1', 'n2'])
  })

  test('tell what was taken over from the cache or by a fork', async () => {
    const cached = defineState({ id: 'c', output: z.string(), cache: true, run: () => 'same' })
    const other = planOf([cached])
    const engine = testEngine()
    await engine.start(other, undefined as never, { runId: 'a' })
    await engine.start(other, undefined as never, { runId: 'b' })
    await engine.fork('b', { as: 'c' })

    const origins = await Array.fromAsync(engine.origins(await idOf(engine, 'a', 'c')))

    expect(Object.fromEntries(origins.map(({ runId, how }) => [runId, how]))).toEqual({
      ...{ a: 'made', b: 'cached', c: 'reused' },
    })
  })

  test('of an unknown artifact are none', async () => {
    expect(await Array.fromAsync(testEngine().origins(`sha256:${'0'.repeat(64)}`))).toEqual([])
  })
})

describe('progress', () => {
  const all = async (engine: Engine, runId: string): Promise<readonly Progress[]> =>
    Array.fromAsync(engine.progress(runId))

  test('begins with all states and ends with the run, and its count never goes back', async () => {
    const engine = testEngine({ config: { maxConcurrency: 1 } })
    await engine.start(plan, { n: 1 }, { runId: 'r' })

    const steps = await all(engine, 'r')

    expect(steps[0]).toMatchObject({ seq: 1, status: 'running', done: 0, total: 3 })
    expect(steps[0]?.changed).toHaveLength(3)
    expect(steps.at(-1)).toMatchObject({ status: 'completed', done: 3 })
    const counts = steps.map(({ done }) => done)
    expect(counts).toEqual(counts.toSorted((a, b) => a - b))
    const states = steps.flatMap(({ changed }) => changed).filter(({ id }) => id === 'squares')
    expect(states.map(({ items }) => items?.done ?? 0)).toContain(1)
  })

  test('is followed while the run goes on, from another engine', async () => {
    const store = memoryStore()
    const engine = testEngine({ store })
    const waiting = planOf([approvalState({ id: 'ok' }), namedState('a', ['ok'])])
    await engine.start(waiting, undefined as never, { runId: 'r' })
    const following = all(testEngine({ store }), 'r')

    await engine.approve('r', 'ok', { approved: true })

    const seen = (await following).flatMap(({ changed }) => changed.map(({ id, status }) => `${id} ${status}`))
    expect(seen).toContain('ok waiting')
    expect(seen.slice(-1)).toEqual(['a completed'])
  })

  test('ends when its signal says so', async () => {
    const engine = testEngine()
    await engine.start(planOf([approvalState({ id: 'ok' })]), undefined as never, { runId: 'r' })
    const ending = new AbortController()
    const seen: string[] = []

    for await (const { status } of engine.progress('r', { signal: ending.signal })) {
      seen.push(status)
      ending.abort()
    }

    expect(seen).toEqual(['running'])
  })

  test('tells at once what a failed child has blocked', async () => {
    const child = childState({
      id: 'child',
      plan: planOf([failingState('broken')], 'inner') as Plan<undefined>,
      childParams: () => undefined,
    })
    const engine = testEngine({ config: { onFailure: 'keep-going' } })
    const outer = planOf([child, namedState('after', ['child']), approvalState({ id: 'ok' })])
    await engine.start(outer, undefined as never, { runId: 'r' })
    await engine.kernel.recover()
    const ending = new AbortController()
    const last = new Map<string, string>()

    for await (const { changed } of engine.progress('r', { signal: ending.signal })) {
      for (const { id, status } of changed) last.set(id, status)
      if (last.get('child') === 'failed') ending.abort()
    }

    expect(Object.fromEntries(last)).toEqual({ child: 'failed', after: 'blocked', ok: 'waiting' })
  })

  const moves = async (engine: Engine, runId: string): Promise<readonly string[]> =>
    (await all(engine, runId)).flatMap(({ changed }) => changed.map(({ id, status }) => `${id} ${status}`))

  test('tells at once what a child has skipped that has skipped its output', async () => {
    const inner = defineState({ id: 'inner', tags: ['x'], output: z.int(), run: () => 1 })
    const child = childState({
      id: 'child',
      plan: definePlan({ id: 'inner', version: '1', states: [inner], output: inner }),
      childParams: () => undefined,
    })
    const engine = testEngine({ config: { skipTags: ['x'] } })
    await engine.start(planOf([child, namedState('after', ['child'])]), undefined as never, { runId: 'r' })
    await engine.recover()

    const steps = (await all(engine, 'r')).map(({ changed }) => changed.map(({ id, status }) => `${id} ${status}`))

    expect(steps).toContainEqual(['child skipped', 'after skipped'])
  })

  test('of a child plan without an output never tells that it is skipped', async () => {
    const child = childState({
      id: 'child',
      plan: planOf([namedState('inner')], 'inner') as Plan<undefined>,
      childParams: () => undefined,
    })
    const engine = testEngine()
    await engine.start(planOf([child, namedState('after', ['child'])]), undefined as never, { runId: 'r' })
    await engine.recover()

    expect([...new Set(await moves(engine, 'r'))]).toEqual([
      ...['child pending', 'after pending', 'child running', 'child waiting', 'child completed'],
      ...['after running', 'after completed'],
    ])
  })

  test('of a state to be skipped tells it when nothing can block it any more', async () => {
    const states = ['broken', 'fine'].map((first) =>
      defineState({ id: `after-${first}`, after: [first], tags: ['x'], output: z.null(), run: () => null }),
    )
    const engine = testEngine({ config: { skipTags: ['x'], onFailure: 'keep-going' } })
    await engine.start(planOf([failingState('broken'), namedState('fine'), ...states]), undefined as never, {
      runId: 'r',
    })

    const seen = (await moves(engine, 'r')).filter((move) => move.startsWith('after'))

    expect(seen.toSorted()).toEqual([
      ...['after-broken blocked', 'after-broken pending', 'after-fine pending', 'after-fine skipped'],
    ])
  })

  test.for<[what: string, states: (count: number) => readonly AnyState[]]>([
    ['that fail one by one', (count) => Array.from({ length: count }, (_, at) => failingState(`s${at}`))],
    [
      'that are all needed by one',
      (count) => {
        const ids = Array.from({ length: count }, (_, at) => `s${at}`)
        const joined = defineState({ id: 'join', after: ids, output: z.null(), run: () => null })
        return [...ids.map((id) => namedState(id)), joined]
      },
    ],
  ])('looks at so many states as the run has moved, %s', async ([, states]) => {
    const looks = async (count: number): Promise<number> => {
      const engine = testEngine({ config: { onFailure: 'keep-going' } })
      await engine.start(planOf(states(count)), undefined as never, { runId: 'r' })
      const { states: declared, config } = await engine.manifest('r')
      let looked = 0
      const counted = declared.map((state) => ({
        ...state,
        get after() {
          looked += 1 + state.after.length
          return state.after
        },
        get kind() {
          looked++
          return state.kind
        },
      }))
      const tracker = new ProgressTracker('r', { states: counted, config })
      for await (const event of engine.kernel.events('r')) tracker.take(event)
      return looked
    }

    const [few, many] = [await looks(50), await looks(200)]

    expect(many / few).toBeLessThan(4.5)
  })
})

test('a child plan that a fork starts with other params is not told to be skipped as in the former run', async () => {
  const seen = z.object({ n: z.int() })
  const inner = defineState({ id: 'i', tags: ['x'], params: seen, output: z.int(), run: ({ params: { n } }) => n })
  const child = childState({
    ...{ id: 'child', needs: { base } },
    plan: definePlan({ id: 'inner', version: '1', params: seen, states: [inner], output: inner }),
    childParams: ({ needs }) => ({ n: needs.base }),
  })
  const outer = definePlan({ id: 'outer', version: '1', params: seen, states: [base, child] })
  const engine = testEngine({ config: { skipTags: ['x'] } })
  const statuses = async (runId: string): Promise<readonly string[]> => {
    await engine.recover()
    const steps = await Array.fromAsync(engine.progress(runId))
    const views = steps.flatMap(({ changed }) => changed.filter(({ id }) => id === 'child'))
    return [...new Set(views.map(({ status }) => status))]
  }
  await engine.start(outer, { n: 1 }, { runId: 'r' })
  expect(await statuses('r')).toEqual(['pending', 'running', 'waiting', 'skipped'])

  await engine.fork('r', { as: 'same' })
  await engine.fork('r', { as: 'other', params: { n: 2 } })

  expect(await statuses('same')).toEqual(['pending', 'skipped'])
  expect(await statuses('other')).toEqual(['pending', 'running', 'waiting', 'skipped'])
})

test('the origins of a list of more than a page name all that it lists', async () => {
  const numbers = mapState({
    ...{ id: 'numbers', items: () => Array.from({ length: 501 }, (_, i) => i), key: String, output: z.int() },
    run: ({ item }) => item,
  })
  const engine = testEngine()
  await engine.start(definePlan({ id: 'list', version: '1', states: [numbers] }), undefined, { runId: 'a' })
  const { numbers: list } = await engine.outputs('a')

  const [origin] = await Array.fromAsync(engine.origins(list?.$artifact as ContentId))

  expect(Object.keys(origin?.inputs ?? {})).toEqual(Array.from({ length: 501 }, (_, i) => String(i)))
})
