import { memoryStore } from '@varve/store-memory'
import { sealEvent, type ContentId } from '@varve/store'
import { simulatedProcess, virtualClock, type BoundaryName } from '@varve/testing'
import type { LogEvent } from '@varve/kernel'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { AnyState } from '../definition/need.ts'
import { approvalState } from '../definition/approval-state.ts'
import { mapState } from '../definition/map-state.ts'
import { bytes, type BytesOutput } from '../definition/output.ts'
import { definePlan, type AnyPlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { damageable, lose } from '../testing/damaged-store.ts'
import type { PlanInput } from '../schedule/plan-input.ts'
import { planError } from '../testing/expected-errors.ts'
import { namedState, planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { Engine } from './engine.ts'

async function eventsOf(engine: Engine, runId: string): Promise<readonly LogEvent[]> {
  return Array.fromAsync(engine.kernel.events(runId))
}

async function manifestId(engine: Engine, runId: string): Promise<ContentId> {
  const [first] = await eventsOf(engine, runId)
  const { input } = first?.data as unknown as { readonly input: PlanInput }
  return input.manifest.$artifact
}

/** Three states in a chain; the second one counts how often it ran. */
function chain() {
  const calls: string[] = []
  const made = (id: string, needs: readonly string[] = []) =>
    defineState({
      ...{ id, needs: Object.fromEntries(needs.map((need) => [need, need])), output: z.string() },
      run: () => {
        calls.push(id)
        return id
      },
    })
  return { calls, plan: planOf([made('a'), made('b', ['a']), made('c', ['b'])], 'chain') }
}

/** A process on a shared store that dies at a boundary while it runs a plan. */
async function crashed(plan: AnyPlan, crashAt: BoundaryName) {
  const clock = virtualClock()
  const shared = memoryStore({ now: clock.now })
  const dying = simulatedProcess(shared, clock, { crashAt })
  const engine = testEngine({ store: dying.store, clock: dying.clock, owner: dying.owner })
  const outcome = await dying.finish(engine.start(plan, undefined as never, { runId: 'r' }))
  clock.advance(60_000)
  return { clock, shared, outcome, next: (options = {}) => testEngine({ store: shared, clock, ...options }) }
}

describe('a run whose process died', () => {
  test('is taken up where it stood, and runs no state again that had made its output', async () => {
    const { plan, calls } = chain()
    const { outcome, next } = await crashed(plan, 'append:2:after')

    const resumed = await next({ plans: [plan] }).resume('r')

    expect(outcome).toBe('crashed')
    expect(resumed).toMatchObject({ status: 'completed' })
    expect(calls).toEqual(['a', 'b', 'c'])
  })

  test('runs the state again that was under way, as its next attempt under the same key', async () => {
    const { plan, calls } = chain()
    const { next } = await crashed(plan, 'append:2:before')
    const engine = next({ plans: [plan] })

    await engine.resume('r')

    expect(calls).toEqual(['a', 'a', 'b', 'c'])
    const events = await eventsOf(engine, 'r')
    expect(events.filter(({ type }) => type === 'ActionRequested')).toHaveLength(3)
    expect(events.filter(({ type }) => type === 'ActionFailed')).toEqual([])
    expect((await engine.status('r')).states.map(({ attempts }) => attempts)).toEqual([2, 1, 1])
  })

  test('cannot die between its last result and its end: they share an append', async () => {
    const { plan, calls } = chain()
    const { next } = await crashed(plan, 'append:4:before')
    const before = calls.length

    const resumed = await next({ plans: [plan] }).resume('r')

    expect(resumed).toMatchObject({ status: 'completed' })
    expect(calls.slice(before)).toEqual(['c'])
  })

  test('may die any number of times, one append further each time', async () => {
    const { plan, calls } = chain()
    const clock = virtualClock()
    const shared = memoryStore({ now: clock.now })
    const outcomes: unknown[] = []
    for (let life = 0; life < 8; life++) {
      const dying = simulatedProcess(shared, clock, { crashAt: `append:1:${life % 2 === 0 ? 'before' : 'after'}` })
      const engine = testEngine({ store: dying.store, clock: dying.clock, owner: dying.owner })
      outcomes.push(await dying.finish(engine.start(plan, undefined as never, { runId: 'r' })))
      clock.advance(60_000)
    }

    const engine = testEngine({ store: shared, clock, plans: [plan] })
    expect(await engine.resume('r')).toMatchObject({ status: 'completed' })
    expect(outcomes).toContain('crashed')
    expect(await engine.verify('r')).toMatchObject({ ok: true, damaged: [] })
    expect(new Set(calls)).toEqual(new Set(['a', 'b', 'c']))
  })

  test('is found by recover, when its plan is registered', async () => {
    const { plan } = chain()
    const { next } = await crashed(plan, 'append:2:after')
    const engine = next({ plans: [plan] })

    await engine.kernel.recover()

    expect(await engine.run('r')).toMatchObject({ status: 'completed' })
  })

  test('keeps what it had asked the outside world, and asks it only once', async () => {
    let asked = 0
    const ask = defineState({
      ...{ id: 'ask', output: z.int() },
      run: async ({ io }) => io.fact('rate', () => ++asked),
    })
    const plan = definePlan({ id: 'p', version: '1', states: [ask], output: ask })
    const { next } = await crashed(plan, 'append:3:before')

    const resumed = await next({ plans: [plan] }).resume('r')

    expect(resumed).toMatchObject({ status: 'completed', output: 1 })
    expect(asked).toBe(1)
  })
})

describe('a run that has ended', () => {
  test('is answered from its log: nothing is appended, no plan is needed, nothing runs', async () => {
    const { plan, calls } = chain()
    const store = memoryStore()
    const first = testEngine({ store })
    const done = await first.start(plan, undefined as never, { runId: 'r' })
    const without = testEngine({ store })
    const events = await eventsOf(without, 'r')

    expect(await without.run('r')).toEqual(done)
    expect(await without.resume('r')).toEqual(done)

    expect(await eventsOf(without, 'r')).toEqual(events)
    expect(calls).toEqual(['a', 'b', 'c'])
  })

  test('with an output is read without its plan, bytes and lists too', async () => {
    const a = defineState({ id: 'a', output: z.object({ n: z.int() }), run: () => ({ n: 1 }) })
    const file = defineState({ id: 'file', output: bytes(), run: () => Uint8Array.of(7) })
    const list = mapState({
      id: 'list',
      items: () => [1, 2],
      key: String,
      output: z.int(),
      run: ({ item }) => item * 10,
    })
    const store = memoryStore()
    const first = testEngine({ store })
    for (const output of [a, file, list]) {
      const plan = definePlan({ id: output.id, version: '1', states: [a, file, list], output })
      await first.start(plan, undefined, { runId: output.id })
    }
    const without = testEngine({ store })

    expect(await without.run('a')).toMatchObject({ status: 'completed', output: { n: 1 } })
    expect(await without.run('list')).toMatchObject({
      output: [
        { key: '1', value: 10 },
        { key: '2', value: 20 },
      ],
    })
    const ended = await without.run('file')
    expect([...(await (ended as { output: BytesOutput }).output.bytes())]).toEqual([7])
    expect(await without.output('file', list)).toHaveLength(2)
  })

  test('by a failure is answered also when its manifest is gone', async () => {
    const store = memoryStore()
    const failing = defineState({
      ...{ id: 'a', output: z.null() },
      run: () => {
        throw new Error('no')
      },
    })
    const engine = testEngine({ store })
    const failed = await engine.start(planOf([failing]), undefined as never, { runId: 'r' })
    await lose(store, await manifestId(engine, 'r'))

    expect(failed).toMatchObject({ status: 'failed', error: { message: 'state a failed: no' } })
    expect(await testEngine({ store }).run('r')).toEqual(failed)
  })
})

describe('two engines that resume one run at once', () => {
  test('run each state once, and both answer with its end', async () => {
    const { plan, calls } = chain()
    const store = memoryStore()
    await testEngine({ store }).start(plan, undefined as never, { runId: 'r', wait: false })
    const engines = [testEngine({ store, plans: [plan] }), testEngine({ store, plans: [plan] })]

    const outcomes = await Promise.all(engines.map(async (engine) => engine.resume('r')))

    expect(outcomes[0]).toMatchObject({ status: 'completed' })
    expect(outcomes[1]).toEqual(outcomes[0])
    expect(calls).toEqual(['a', 'b', 'c'])
  })
})

describe('a run that cannot be driven here', () => {
  const waiting = (version: string, more: readonly AnyState[] = [], by = 'a') => {
    const a = defineState({ id: 'a', version, output: z.string(), run: () => by })
    const ok = approvalState({ id: 'ok', needs: { a } })
    const b = defineState({ id: 'b', needs: { a, ok }, output: z.string(), run: ({ needs }) => `${needs.a}!` })
    return definePlan({ id: 'p', version: '1', states: [a, ok, b, ...more], output: b })
  }

  test('that is not there is RUN_NOT_FOUND for every verb', async () => {
    const engine = testEngine()
    const verbs = [
      engine.run('gone'),
      engine.resume('gone'),
      engine.cancel('gone', { reason: 'x' }),
      engine.approve('gone', 'a', { approved: true }),
      ...[engine.status('gone'), engine.outputs('gone'), engine.output('gone', 'a'), engine.manifest('gone')],
      ...[engine.replay('gone'), engine.verify('gone'), engine.fork('gone'), engine.diff('gone', 'gone')],
      ...[engine.explain('gone', 'a'), engine.remake('gone', 'a'), engine.progress('gone').next()],
    ]

    for (const verb of verbs) await expect(verb).rejects.toMatchObject(planError('RUN_NOT_FOUND'))
  })

  test('since its plan changed says where, and writes nothing', async () => {
    const store = memoryStore()
    const first = testEngine({ store })
    await first.start(waiting('1'), undefined, { runId: 'r' })
    const events = await eventsOf(first, 'r')
    const changed = testEngine({ store, plans: [waiting('2', [namedState('c')])] })

    const error: unknown = await changed.approve('r', 'ok', { approved: true }).catch((reason: unknown) => reason)

    expect(error).toMatchObject({
      ...planError('PLAN_CHANGED'),
      where: { runId: 'r' },
      details: {
        changes: [
          { state: 'a', what: 'version' },
          { state: 'c', what: 'added' },
        ],
      },
    })
    expect((error as Error).message).toContain('state a: version, state c: added')
    await expect(changed.run('r')).rejects.toMatchObject(planError('PLAN_CHANGED'))
    expect(await eventsOf(changed, 'r')).toEqual(events)
  })

  test('since the order of its states changed says so', async () => {
    const store = memoryStore()
    const ok = approvalState({ id: 'ok' })
    const states = [namedState('a'), namedState('b'), ok]
    await testEngine({ store }).start(planOf(states), undefined as never, { runId: 'r' })

    const running = testEngine({ store, plans: [planOf([...states].reverse())] }).run('r')

    await expect(running).rejects.toMatchObject({
      ...planError('PLAN_CHANGED'),
      details: { changes: [{ what: 'order' }] },
    })
  })

  test('names only what changed, in whatever order needs are declared', async () => {
    const store = memoryStore()
    const [a, b, ok] = [namedState('a'), namedState('b'), approvalState({ id: 'ok' })]
    const both = (version: string) =>
      defineState({ id: 'both', version, needs: { z: a, y: b }, output: z.null(), run: () => null })
    const plan = (version: string) => definePlan({ id: 'p', version: '1', states: [a, b, ok, both(version)] })
    await testEngine({ store }).start(plan('1'), undefined, { runId: 'r' })

    await expect(testEngine({ store, plans: [plan('2')] }).run('r')).rejects.toMatchObject({
      details: { changes: [{ state: 'both', what: 'version' }] },
    })
  })

  test('since its plan changed goes on as a fork with the new plan, where what changed runs again', async () => {
    const store = memoryStore()
    await testEngine({ store }).start(waiting('1'), undefined, { runId: 'r' })
    const now = waiting('2', [], 'A')
    const engine = testEngine({ store, plans: [now] })

    const forked = await engine.fork('r', { plan: now, as: 'f' })
    const done = await engine.approve('f', 'ok', { approved: true })

    expect(forked).toMatchObject({ status: 'blocked', runId: 'f' })
    expect(done).toMatchObject({ status: 'completed', output: 'A!' })
    expect(await engine.verify('f')).toMatchObject({ ok: true })
  })

  test('whose plan is not registered is PLAN_MISSING, and says what to do', async () => {
    const store = memoryStore()
    await testEngine({ store }).start(waiting('1'), undefined, { runId: 'r' })

    const error: unknown = await testEngine({ store })
      .run('r')
      .catch((reason: unknown) => reason)

    expect(error).toMatchObject({ ...planError('PLAN_MISSING'), details: { plan: 'p', version: '1' } })
    expect((error as Error).message).toContain('resolver')
  })

  test('whose plan was built at run time goes on where a resolver makes it again', async () => {
    const store = memoryStore()
    const built = (ids: readonly string[]) => planOf([...ids.map((id) => namedState(id)), approvalState({ id: 'ok' })])
    await testEngine({ store }).start(built(['x', 'y']), undefined as never, { runId: 'r' })
    const asked: string[] = []
    const engine = testEngine({
      store,
      resolver: ({ plan, states }) => {
        asked.push(`${plan.id}@${plan.version}`)
        return built(states.map(({ id }) => id).filter((id) => id !== 'ok'))
      },
    })

    const done = await engine.approve('r', 'ok', { approved: true })

    expect(done).toMatchObject({ status: 'completed' })
    expect(asked).toEqual(['p@1'])
  })

  test('is recovered with the plan that a resolver makes, and left alone without one', async () => {
    const store = memoryStore()
    const built = () => planOf([namedState('x')])
    for (const runId of ['r1', 'r2']) {
      await testEngine({ store }).start(built(), undefined as never, { runId, wait: false })
    }

    const without = testEngine({ store })
    await without.recover()
    const before = await without.status('r1')
    const recovered = await testEngine({ store, resolver: built }).recover()

    expect(before.status).toBe('running')
    expect(recovered.map(({ runId }) => runId).sort()).toEqual(['r1', 'r2'])
    expect(await without.status('r2')).toMatchObject({ status: 'completed', done: 1 })
  })

  test('whose resolver makes another plan is refused with the difference', async () => {
    const store = memoryStore()
    const built = (id: string) => planOf([namedState(id), approvalState({ id: 'ok' })])
    await testEngine({ store }).start(built('x'), undefined as never, { runId: 'r' })

    const running = testEngine({ store, resolver: () => built('y') }).run('r')

    await expect(running).rejects.toMatchObject({
      ...planError('PLAN_CHANGED'),
      details: {
        changes: [
          { state: 'x', what: 'removed' },
          { state: 'y', what: 'added' },
        ],
      },
    })
  })

  test('whose resolver does not know it, or gives another version, is PLAN_MISSING', async () => {
    const store = memoryStore()
    await testEngine({ store }).start(waiting('1'), undefined, { runId: 'r' })

    for (const resolver of [() => undefined, () => planOf([namedState('a')], 'other')]) {
      await expect(testEngine({ store, resolver }).run('r')).rejects.toMatchObject(planError('PLAN_MISSING'))
    }
  })

  test.for(['gone', 'corrupt'])('whose manifest is %s says so, and is driven when it is back', async (how) => {
    const { store, damage } = damageable(memoryStore())
    const plan = waiting('1')
    const engine = testEngine({ store, plans: [plan] })
    await engine.start(plan, undefined, { runId: 'r' })
    const id = await manifestId(engine, 'r')
    const text = await (await store.artifacts.get(id)).bytes()
    if (how === 'gone') await lose(store, id)
    else damage(id)

    const error: unknown = await engine.approve('r', 'ok', { approved: true }).catch((reason: unknown) => reason)

    expect(error).toMatchObject({ ...planError('MANIFEST_CORRUPT'), where: { runId: 'r' } })
    expect((error as Error).message).toMatch(/restore it/)
    await lose(store, id)
    await store.artifacts.put(text)
    expect(await engine.approve('r', 'ok', { approved: true })).toMatchObject({ status: 'completed' })
  })

  test.for<[what: string, type: string, data: object]>([
    ['begins a second time', 'RunStarted', { input: null }],
    ['ends something that was never begun', 'ActionSucceeded', { key: 'a', output: null, attempts: 1 }],
    ['has an event of no known type', 'StateEntered', {}],
  ])('whose log %s is refused, and nothing runs or is written', async ([, type, data]) => {
    const [whole, store] = [memoryStore(), memoryStore()]
    const { plan, calls } = chain()
    const first = testEngine({ store: whole })
    await first.start(plan, undefined as never, { runId: 'r', wait: false })
    const manifest = await (await whole.artifacts.get(await manifestId(first, 'r'))).bytes()
    await store.artifacts.put(manifest)
    const [begin] = await Array.fromAsync(whole.events.read('r'))
    const { stored } = sealEvent('r', begin as never, { type, data: data }, 1_700_000_000_000)
    const create = { workflow: 'chain', version: '1', tags: [], queue: 'default' }
    await store.events.append('r', [begin as never, stored], {
      ...{ expectedHead: 0, fencingToken: 0 },
      run: { status: 'running', blockedOn: [], wakeAt: 0, create },
    })
    const engine = testEngine({ store, plans: [plan] })

    await expect(engine.resume('r')).rejects.toThrow()

    expect(calls).toEqual([])
    expect((await engine.kernel.get('r')).head).toBe(2)
  })

  test('until its plan is there is seen all the same: status, outputs, manifest', async () => {
    const store = memoryStore()
    await testEngine({ store }).start(waiting('1'), undefined, { runId: 'r' })
    const without = testEngine({ store })

    expect((await without.status('r')).states.map(({ status }) => status)).toEqual(['completed', 'waiting', 'pending'])
    expect(Object.keys(await without.outputs('r'))).toEqual(['a'])
    expect(await without.output('r', 'a')).toBe('a')
    expect(await without.manifest('r')).toMatchObject({ plan: { id: 'p' } })
    expect(await without.verify('r')).toMatchObject({ ok: false, problem: { code: 'PLAN_MISSING' }, damaged: [] })
  })
})

test('a resolver that throws for one plan keeps no other from being recovered', async () => {
  const store = memoryStore()
  const named = (id: string) => definePlan({ id, version: '1', states: [namedState('a')] })
  await testEngine({ store }).start(named('broken'), undefined, { runId: 'a', wait: false })
  await testEngine({ store }).start(named('sound'), undefined, { runId: 'b', wait: false })
  const engine = testEngine({
    store,
    resolver: ({ plan }) => {
      if (plan.id === 'broken') throw new Error('this plan is not built any more')
      return named(plan.id)
    },
  })

  await expect(engine.recover()).rejects.toThrow('this plan is not built any more')

  expect(await engine.kernel.get('b')).toMatchObject({ status: 'completed' })
})
