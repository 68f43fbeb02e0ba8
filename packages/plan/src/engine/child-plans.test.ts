import type { ArtifactRef } from '@varve/kernel'
import type { ContentId, Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { simulatedProcess, virtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { childState } from '../definition/child-state.ts'
import { mapState } from '../definition/map-state.ts'
import { optional } from '../definition/need.ts'
import { bytes } from '../definition/output.ts'
import { definePlan, type Plan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { planError } from '../testing/expected-errors.ts'
import { namedState, planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { Engine } from './engine.ts'

const params = z.object({ n: z.int() })
const double = defineState({ id: 'double', params, output: z.int(), run: ({ params: { n } }) => n * 2 })
const doubling = definePlan({ id: 'doubling', version: '1', params, states: [double], output: double })
const child = childState({ id: 'child', params, plan: doubling, childParams: ({ params: { n } }) => ({ n: n + 1 }) })
const parent = definePlan({ id: 'parent', version: '1', params, states: [child], output: child })

async function childrenOf(engine: Engine, runId: string): Promise<readonly string[]> {
  return (await engine.kernel.lineage(runId)).children.map((one) => one.runId)
}

test('a child plan is a run of its own, whose output becomes that of its state', async () => {
  const engine = testEngine()

  const outcome = await engine.start(parent, { n: 4 }, { runId: 'r' })

  expect(outcome).toMatchObject({ status: 'completed', output: 10 })
  const [id] = await childrenOf(engine, 'r')
  expect(await engine.manifest(id as string)).toMatchObject({ plan: { id: 'doubling' }, params: { n: 5 } })
  expect(await engine.output(id as string, double)).toBe(10)
  expect(await engine.verify('r')).toMatchObject({ ok: true })
  expect(await engine.verify(id as string)).toMatchObject({ ok: true })
})

test('the id of a child run follows from that of its parent', async () => {
  const ids = []
  for (let i = 0; i < 2; i++) {
    const engine = testEngine()
    await engine.start(parent, { n: 4 }, { runId: 'r' })
    ids.push(await childrenOf(engine, 'r'))
  }

  expect(ids[0]).toHaveLength(1)
  expect(ids[1]).toEqual(ids[0])
})

test('a child that makes bytes, a list or nothing is read as such', async () => {
  const file = defineState({ id: 'file', output: bytes({ mediaType: 'text/plain' }), run: () => Uint8Array.of(65) })
  const list = mapState({
    ...{ id: 'list', items: () => [1, 2], key: String, output: z.int() },
    run: ({ item }) => item * 10,
  })
  const plans = {
    file: definePlan({ id: 'file', version: '1', states: [file], output: file }),
    list: definePlan({ id: 'list', version: '1', states: [list], output: list }),
    none: definePlan({ id: 'none', version: '1', states: [file] }),
  }
  const states = {
    file: childState({ id: 'a', plan: plans.file, childParams: () => undefined }),
    list: childState({ id: 'b', plan: plans.list, childParams: () => undefined }),
    none: childState({ id: 'c', plan: plans.none, childParams: () => undefined }),
  }
  const all = defineState({
    ...{ id: 'all', needs: states, output: z.json() },
    run: async ({ needs }) => ({
      file: [...(await needs.file.bytes())],
      list: needs.list.map(({ key, value }) => `${key} ${value}`),
      none: needs.none,
    }),
  })
  const plan = definePlan({ id: 'p', version: '1', states: [states.file, states.list, states.none, all], output: all })

  expect(await testEngine().start(plan, undefined)).toMatchObject({
    output: {
      file: [65],
      list: ['1 10', '2 20'],
      none: null,
    },
  })
})

async function textOf({ artifacts }: Store, id: ContentId): Promise<string> {
  return Buffer.from(await (await artifacts.get(id)).bytes()).toString()
}

/** A plan whose child makes a list of so many entries, and how often each artifact is read. */
function listedByChild(length: number) {
  const items = Array.from({ length }, (_, n) => n)
  const list = mapState({ id: 'list', items: () => items, key: String, output: z.int(), run: ({ item }) => item })
  const inner = definePlan({ id: 'inner', version: '1', states: [list], output: list })
  const state = childState({ id: 'child', plan: inner, childParams: () => undefined })
  const last = defineState({ id: 'last', after: [state], output: z.null(), run: () => null })
  const plan = definePlan({ id: 'p', version: '1', states: [state, last], output: state })
  const memory = memoryStore()
  const readings = new Map<string, number>()
  const get: Store['artifacts']['get'] = async (id) => {
    readings.set(id, (readings.get(id) ?? 0) + 1)
    return memory.artifacts.get(id)
  }
  return { plan, readings, store: { ...memory, artifacts: { ...memory.artifacts, get } } }
}

test(
  'a child that makes a list of more artifacts than an append takes is adopted in stretches',
  { timeout: 30_000 },
  async () => {
    const { plan, readings, store } = listedByChild(2200)
    const engine = testEngine({ store, config: { maxConcurrency: 256 } })

    const outcome = await engine.start(plan, undefined, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed' })
    expect((outcome as { output: readonly unknown[] }).output).toHaveLength(2200)
    const log = await Array.fromAsync(engine.kernel.events('r'))
    const keys = log.flatMap((event) => (event.type === 'ActionRequested' ? [event.data.key] : []))
    const stretches = [0, 1, 2].map((n) => `child:entries:${n}`)
    expect(keys).toEqual(['child:start', 'child:entries', ...stretches, 'child', 'last'])
    const adopted = log.flatMap((event) =>
      event.type === 'ActionSucceeded' && event.data.key === 'child' ? [event.data] : [],
    )
    const { artifact } = adopted[0]?.output as unknown as { readonly artifact: ArtifactRef }
    // Once for its entries, once to vouch for it, once for the outcome.
    expect(readings.get(artifact.$artifact)).toBe(3)
  },
)

test('what was lost of the names of a list that a child made is made again', { timeout: 30_000 }, async () => {
  const { plan, store } = listedByChild(1100)
  const engine = testEngine({ store, config: { maxConcurrency: 256 } })
  await engine.start(plan, undefined, { runId: 'r' })
  const [stretch] = (await Array.fromAsync(engine.kernel.events('r'))).flatMap((event) =>
    event.type === 'ActionRequested' && event.data.key === 'child:entries:0' ? [event.data.input] : [],
  )
  const lost = (stretch as unknown as { readonly stretch: ArtifactRef }).stretch.$artifact
  await store.artifacts.delete(lost, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
  expect(await engine.verify('r')).toMatchObject({ ok: false })

  expect(await engine.remake('r', 'child:entries')).toEqual({ artifact: lost, remade: true })

  expect(await engine.verify('r')).toMatchObject({ ok: true })
  expect(await engine.fork('r', { from: 'last', as: 'f' })).toMatchObject({ status: 'completed' })

  // What it names, the child has made.
  const [entry] = JSON.parse(await textOf(store, lost)) as readonly ArtifactRef[]
  await store.artifacts.delete(entry!.$artifact, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
  await expect(engine.remake('r', 'child:entries:0')).rejects.toMatchObject(planError('NO_OUTPUT'))
})

test('a child that fails, fails its state with the reason', async () => {
  const broken = defineState({
    ...{ id: 'broken', output: z.null() },
    run: () => {
      throw new Error('out of paper')
    },
  })
  const state = childState({
    id: 'child',
    plan: planOf([broken], 'inner') as Plan<undefined>,
    childParams: () => undefined,
  })
  const engine = testEngine()

  const outcome = await engine.start(planOf([state, namedState('after', ['child'])]), undefined as never, {
    runId: 'r',
  })

  expect(outcome).toMatchObject({ status: 'failed', error: { code: 'CHILD_FAILED' } })
  expect((outcome as { error: Error }).error.message).toContain('out of paper')
  expect((await engine.status('r')).states.map(({ status }) => status)).toEqual(['failed', 'blocked'])
})

test('params that the child plan does not take fail its state', async () => {
  const state = childState({ id: 'child', plan: doubling, childParams: () => ({ n: 'one' }) as never })

  expect(await testEngine().start(planOf([state]), undefined as never)).toMatchObject({
    status: 'failed',
    error: { code: 'INVALID_PARAMS' },
  })
})

test('a child waits for its approval, and the parent with it', async () => {
  const ok = approvalState({ id: 'ok' })
  const inner = definePlan({ id: 'inner', version: '1', states: [ok], output: ok })
  const state = childState({ id: 'child', plan: inner, childParams: () => undefined })
  const engine = testEngine()
  const blocked = await engine.start(definePlan({ id: 'p', version: '1', states: [state], output: state }), undefined, {
    runId: 'r',
  })
  const [id] = await childrenOf(engine, 'r')

  await engine.approve(id as string, ok, { approved: true, by: 'ann' })

  expect(blocked).toMatchObject({ status: 'blocked' })
  expect(await engine.run('r')).toMatchObject({ status: 'completed', output: { by: 'ann' } })
})

test('a cancel of the parent cancels its child', async () => {
  const inner = planOf([approvalState({ id: 'ok' })], 'inner') as Plan<undefined>
  const state = childState({ id: 'child', plan: inner, childParams: () => undefined })
  const engine = testEngine()
  await engine.start(planOf([state]), undefined as never, { runId: 'r' })
  const [id] = await childrenOf(engine, 'r')

  await engine.cancel('r', { reason: 'enough' })

  expect(await engine.run(id as string)).toMatchObject({ status: 'canceled' })
  expect(await engine.status(id as string)).toMatchObject({ status: 'canceled' })
})

test('children nest as deep as the config allows, and no deeper', async () => {
  const nest = (depth: number): Plan<undefined> => {
    if (depth === 0) return planOf([namedState('leaf')], 'level-0') as Plan<undefined>
    const state = childState({ id: 'child', plan: nest(depth - 1), childParams: () => undefined })
    return planOf([state], `level-${depth}`) as Plan<undefined>
  }
  const engine = testEngine()

  const allowed = await engine.start(nest(3), undefined, { config: { maxDepth: 3 } })
  const refused = await engine.start(nest(3), undefined, { config: { maxDepth: 2 } })

  expect(allowed).toMatchObject({ status: 'completed' })
  expect(refused).toMatchObject({ status: 'failed' })
  expect((refused as { error: Error }).error.message).toContain('raise maxDepth')
})

test('a run config holds for children, too', async () => {
  const tagged = defineState({ id: 'tagged', tags: ['slow'], output: z.int(), run: () => 1 })
  const inner = definePlan({ id: 'inner', version: '1', states: [tagged], output: tagged })
  const state = childState({ id: 'child', plan: inner, childParams: () => undefined })
  const engine = testEngine()

  await engine.start(planOf([state]), undefined as never, { runId: 'r', config: { skipTags: ['slow'] } })

  const [id] = await childrenOf(engine, 'r')
  expect((await engine.status(id as string)).states).toMatchObject([{ id: 'tagged', status: 'skipped' }])
})

test('a parent whose process died while its child ran finds the same child', async () => {
  const clock = virtualClock()
  const store = memoryStore({ now: clock.now })
  const process = simulatedProcess(store, clock)
  let runs = 0
  const dying = defineState({
    ...{ id: 'dying', output: z.int() },
    run: () => {
      if (++runs === 1) process.kill()
      return runs
    },
  })
  const inner = definePlan({ id: 'inner', version: '1', states: [dying], output: dying })
  const state = childState({ id: 'child', plan: inner, childParams: () => undefined })
  const plan = definePlan({ id: 'p', version: '1', states: [state], output: state })
  const first = testEngine({ store: process.store, clock: process.clock, owner: process.owner })
  const crashed = await process.finish(first.start(plan, undefined, { runId: 'r' }))
  clock.advance(60_000)
  const engine = testEngine({ store, clock, plans: [plan] })

  await engine.kernel.recover()
  const outcome = await engine.run('r')

  expect(crashed).toBe('crashed')
  expect(outcome).toMatchObject({ status: 'completed', output: 2 })
  expect(await childrenOf(engine, 'r')).toHaveLength(1)
})

test('another child plan under the same id changes its parent', () => {
  const inner = (version: string) => planOf([namedState('a')], `inner${version}`) as Plan<undefined>
  const outer = (version: string) =>
    planOf([childState({ id: 'child', plan: inner(version), childParams: () => undefined })])

  expect(outer('1').definition.hash).not.toBe(outer('2').definition.hash)
  expect(outer('1').definition.hash).toBe(outer('1').definition.hash)
})

describe('a child plan whose output the config of the run skips', () => {
  const config = { skipTags: ['slow'] }
  const number = defineState({ id: 'number', tags: ['slow'], output: z.int(), run: () => 7 })
  const file = defineState({ id: 'file', tags: ['slow'], output: bytes(), run: () => Uint8Array.of(1) })
  const many = mapState({
    ...{ id: 'many', tags: ['slow'], items: () => [1], key: String, output: z.int() },
    run: ({ item }) => item,
  })

  test('is undefined for whoever needs it optionally', async () => {
    const inner = definePlan({ id: 'inner', version: '1', states: [number], output: number })
    const skipped = childState({ id: 'child', plan: inner, childParams: () => undefined })
    const last = defineState({
      ...{ id: 'last', needs: { child: optional(skipped) }, output: z.int() },
      run: ({ needs }) => (needs.child === undefined ? -1 : needs.child * 2),
    })
    const plan = definePlan({ id: 'p', version: '1', states: [skipped, last], output: last })
    const engine = testEngine()

    expect(await engine.start(plan, undefined, { runId: 'r', config })).toMatchObject({ output: -1 })
    expect((await engine.status('r')).states.map(({ status }) => status)).toEqual(['skipped', 'completed'])
    expect(await engine.fork('r', { as: 'f' })).toMatchObject({ output: -1 })
    expect((await engine.status('f')).states.map(({ status }) => status)).toEqual(['skipped', 'reused'])
    expect(await engine.verify('f')).toMatchObject({ ok: true })
  })

  test('takes along what needs it', async () => {
    const inner = definePlan({ id: 'inner', version: '1', states: [file], output: file })
    const skipped = childState({ id: 'child', plan: inner, childParams: () => undefined })
    const last = defineState({
      ...{ id: 'last', needs: { child: skipped }, output: z.string() },
      run: async ({ needs }) => new TextDecoder().decode(await needs.child.bytes()),
    })
    const plan = definePlan({ id: 'p', version: '1', states: [skipped, last], output: last })
    const engine = testEngine()

    const outcome = await engine.start(plan, undefined, { runId: 'r', config })

    expect(outcome).toMatchObject({ status: 'completed', output: null })
    expect((await engine.status('r')).states.map(({ status }) => status)).toEqual(['skipped', 'skipped'])
  })

  test('is no list either', async () => {
    const inner = definePlan({ id: 'inner', version: '1', states: [many], output: many })
    const skipped = childState({ id: 'child', plan: inner, childParams: () => undefined })
    const plan = definePlan({ id: 'p', version: '1', states: [skipped], output: skipped })

    expect(await testEngine().start(plan, undefined, { config })).toMatchObject({ status: 'completed', output: null })
  })
})
