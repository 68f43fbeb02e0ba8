import type { ContentId } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { virtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { mapState } from '../definition/map-state.ts'
import type { AnyState } from '../definition/need.ts'
import { bytes } from '../definition/output.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { lose } from '../testing/damaged-store.ts'
import { planError } from '../testing/expected-errors.ts'
import { namedState, planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { Engine } from './engine.ts'

const params = z.object({ n: z.int(), label: z.string().default('') })

function counted(version = '1') {
  const ran: string[] = []
  const base = defineState({
    ...{ id: 'base', params: z.object({ n: z.int() }), output: z.int() },
    run: ({ params: { n } }) => {
      ran.push('base')
      return n
    },
  })
  const sign = defineState({
    ...{ id: 'sign', version, needs: { base }, output: z.string() },
    run: ({ needs }) => {
      ran.push('sign')
      return needs.base < 0 ? '-' : '+'
    },
  })
  const shown = defineState({
    ...{ id: 'shown', needs: { sign }, params: z.object({ label: z.string() }), output: z.string() },
    run: ({ needs, params: { label } }) => {
      ran.push('shown')
      return label + needs.sign
    },
  })
  const file = defineState({
    id: 'file',
    needs: { shown },
    output: bytes(),
    run: ({ needs }) => Buffer.from(needs.shown),
  })
  const list = mapState({ id: 'list', items: () => [1], key: String, output: z.int(), run: ({ item }) => item })
  const plan = definePlan({
    ...{ id: 'p', version: '1', params },
    ...{ states: [base, sign, shown, file, list], output: shown },
  })
  return { ran, plan, base, sign, shown, file }
}

async function startedEngine(): Promise<{ readonly engine: Engine } & ReturnType<typeof counted>> {
  const all = counted()
  const engine = testEngine()
  await engine.start(all.plan, { n: 5 }, { runId: 'r' })
  all.ran.length = 0
  return { engine, ...all }
}

describe('a fork', () => {
  test('with other params runs what they change, and nothing behind what comes out the same', async () => {
    const { engine, ran } = await startedEngine()

    const forked = await engine.fork('r', { params: { n: 7 }, as: 'f' })

    expect(forked).toMatchObject({ status: 'completed', runId: 'f', output: '+' })
    expect(ran).toEqual(['base', 'sign'])
    expect(await engine.manifest('f')).toMatchObject({ params: { n: 7, label: '' } })
    expect(await engine.verify('f')).toMatchObject({ ok: true, damaged: [] })
  })

  test('from a state runs that again, and leaves the run that it is taken from as it is', async () => {
    const { engine, ran, sign } = await startedEngine()
    const events = await Array.fromAsync(engine.kernel.events('r'))

    await engine.fork('r', { from: sign, as: 'f' })

    expect(ran).toEqual(['sign'])
    expect(await Array.fromAsync(engine.kernel.events('r'))).toEqual(events)
  })

  test('puts an output in the place of a state\u2019s, JSON or bytes', async () => {
    const { engine, ran, sign, file } = await startedEngine()

    const forked = await engine.fork('r', { from: sign, output: '?', as: 'f' })
    await engine.fork('f', { from: file, output: Uint8Array.of(1), as: 'g' })

    expect(forked).toMatchObject({ status: 'completed', output: '?' })
    expect(ran).toEqual(['shown'])
    expect([...(await (await engine.output('g', file)).bytes())]).toEqual([1])
    // What the first fork has put there stays.
    expect(await engine.output('g', sign)).toBe('?')
    const statuses = (await engine.status('g')).states.map(({ id, status }) => `${id} ${status}`)
    expect(statuses).toEqual(['base reused', 'list reused', 'sign replaced', 'shown reused', 'file replaced'])
  })

  test('of a plan that makes bytes of what was a value runs again what sees it', async () => {
    const engine = testEngine()
    const planOf = (version: string, made: AnyState) => {
      const kind = defineState({
        ...{ id: 'kind', needs: { made }, output: z.string() },
        run: ({ needs }) => typeof needs.made,
      })
      return definePlan({ id: 'q', version, states: [made, kind], output: kind })
    }
    const value = defineState({ id: 'made', output: z.int(), run: () => 7 })
    const output = bytes({ mediaType: 'application/json' })
    const raw = defineState({ id: 'made', output, run: () => Buffer.from('7') })
    await engine.start(planOf('1', value), undefined, { runId: 'a' })

    expect(await engine.fork('a', { as: 'b', plan: planOf('2', raw) })).toMatchObject({ output: 'object' })
  })

  test('of a fork with another version of the plan goes on with that one, also where the first is not known any more', async () => {
    const store = memoryStore()
    const [first, second] = [
      definePlan({ id: 'q', version: '1', states: [namedState('a')] }),
      definePlan({ id: 'q', version: '2', states: [namedState('a'), namedState('b', ['a'])] }),
    ]
    const before = testEngine({ store, plans: [first] })
    await before.start(first, undefined, { runId: 'r' })
    await before.fork('r', { plan: second, as: 'f' })

    const forks = [
      await before.fork('f', { as: 'known' }),
      await testEngine({ store, plans: [second] }).fork('f', { from: 'b', as: 'unknown' }),
    ]

    expect(forks).toMatchObject([{ status: 'completed' }, { status: 'completed' }])
    expect((await before.status('known')).states.map(({ status }) => status)).toEqual(['reused', 'reused'])
    expect((await before.status('unknown')).states.map(({ status }) => status)).toEqual(['reused', 'completed'])
    expect(await before.verify('known')).toMatchObject({ ok: true })
    expect(await before.fork('f', { plan: first, as: 'back' })).toMatchObject({ status: 'completed' })
  })

  test('keeps a replaced output for another plan only where it fits there', async () => {
    const engine = testEngine()
    const planOf = (version: string, made: AnyState) => {
      const shown = defineState({
        ...{ id: 'shown', needs: { made }, output: z.string() },
        run: ({ needs }) => `${typeof needs.made} ${String(needs.made)}`,
      })
      return definePlan({ id: 'q', version, states: [made, shown], output: shown })
    }
    const whole = defineState({ id: 'made', output: z.int(), run: () => 7 })
    const any = defineState({ id: 'made', output: z.number(), run: () => 7.5 })
    const text = defineState({ id: 'made', output: z.string(), run: () => 'seven' })
    const list = mapState({ id: 'made', items: () => [7], key: String, output: z.int(), run: ({ item }) => item })
    await engine.start(planOf('1', whole), undefined, { runId: 'a' })
    await engine.fork('a', { from: 'made', output: 8, as: 'b' })

    expect(await engine.fork('b', { as: 'c', plan: planOf('2', any) })).toMatchObject({ output: 'number 8' })
    await expect(engine.fork('b', { as: 'd', plan: planOf('3', text) })).rejects.toMatchObject(
      planError('OUTPUT_INVALID'),
    )
    await expect(engine.fork('b', { as: 'd', plan: planOf('4', list) })).rejects.toMatchObject(
      planError('OUTPUT_INVALID'),
    )
    expect(await engine.fork('b', { as: 'd', plan: planOf('3', text), from: 'made' })).toMatchObject({
      output: 'string seven',
    })
  })

  test('takes over what needs as many states as one may, items of a map with artifacts included', async () => {
    const many = Array.from({ length: 998 }, (_, i) => defineState({ id: `s${i}`, output: z.int(), run: () => i }))
    const all = Object.fromEntries(many.map((state) => [state.id, state]))
    const sum = defineState({ id: 'sum', needs: all, output: z.string(), run: () => 'sum' })
    const long = 'x'.repeat(2000)
    const each = mapState({
      id: 'each',
      with: all,
      items: () => [long],
      key: () => 'x',
      output: z.string(),
      run: () => 'each',
    })
    const engine = testEngine()
    const plan = planOf([...many, sum, each])
    await engine.start(plan, undefined as never, { runId: 'r' })

    expect(await engine.fork('r', { as: 'f' })).toMatchObject({ status: 'completed' })
    expect((await engine.status('f')).states.every(({ status }) => status === 'reused')).toBe(true)
  })

  test('takes a replaced output out again when it runs the state', async () => {
    const { engine, sign } = await startedEngine()
    await engine.fork('r', { from: sign, output: '?', as: 'f' })

    expect(await engine.fork('f', { from: sign, as: 'g' })).toMatchObject({ output: '+' })
  })

  test('under a config of its own says so in its manifest', async () => {
    const { engine } = await startedEngine()

    await engine.fork('r', { config: { maxConcurrency: 1 }, as: 'f' })

    expect(await engine.manifest('f')).toMatchObject({ config: { maxConcurrency: 1 } })
  })

  test('without waiting is recorded, and driven by whoever runs it', async () => {
    const { engine } = await startedEngine()

    expect(await engine.fork('r', { as: 'f', wait: false })).toMatchObject({ status: 'running' })
    expect(await engine.run('f')).toMatchObject({ status: 'completed' })
  })

  test('that makes no sense is refused', async () => {
    const { engine, sign } = await startedEngine()
    const forks = [
      engine.fork('r', { output: '?' }),
      engine.fork('r', { from: 'list', output: [] }),
      engine.fork('r', { params: { n: 'one' } }),
      engine.fork('r', { config: { maxConcurrency: 0 } }),
    ]

    for (const fork of forks) await expect(fork).rejects.toMatchObject(planError('INVALID_PARAMS'))
    await expect(engine.fork('r', { from: sign, output: 5 })).rejects.toMatchObject(planError('OUTPUT_INVALID'))
    await expect(engine.fork('r', { from: 'gone' })).rejects.toMatchObject(planError('STATE_NOT_FOUND'))
    await expect(engine.fork('r', { as: 'r' })).rejects.toMatchObject({ code: 'HEAD_CONFLICT' })
  })

  test('of a state that is called as what all objects have is one like others', async () => {
    const odd = defineState({ id: 'constructor', output: z.int(), run: () => 1 })
    const other = defineState({ id: 'toString', needs: { odd }, output: z.int(), run: ({ needs }) => needs.odd + 1 })
    const plan = definePlan({ id: 'p', version: '1', states: [odd, other], output: other })
    const engine = testEngine()
    await engine.start(plan, undefined, { runId: 'r' })

    expect(await engine.fork('r', { from: odd, output: 40, as: 'f' })).toMatchObject({ output: 41 })
    expect(await engine.fork('f', { from: other, as: 'g' })).toMatchObject({ output: 41 })
    expect((await engine.status('g')).states.map(({ status }) => status)).toEqual(['replaced', 'completed'])
  })
})

describe('a fork', () => {
  const a = defineState({ id: 'a', output: z.string(), run: () => 'a' })
  const b = defineState({ id: 'b', needs: { a }, output: z.string(), run: ({ needs }) => `${needs.a}b` })
  const plan = definePlan({ id: 'p', version: '1', states: [a, b], output: b })

  test('is verified with the outputs that were put into it', async () => {
    const store = memoryStore()
    const engine = testEngine({ store })
    await engine.start(plan, undefined, { runId: 'r' })
    await engine.fork('r', { from: a, output: 'another', as: 'f' })
    const { a: put } = await engine.outputs('f')
    await lose(store, put?.$artifact as ContentId)

    expect(await engine.verify('f')).toMatchObject({ ok: false, damaged: [{ key: 'a', artifact: put?.$artifact }] })
  })

  test('is explained, also when the run that it was taken from is gone', async () => {
    const clock = virtualClock()
    const engine = testEngine({ store: memoryStore({ now: clock.now }), clock })
    await engine.start(plan, undefined, { runId: 'r' })
    clock.advance(1_000_000)
    await engine.fork('r', { as: 'f', from: b })
    await engine.kernel.prune({ olderThanMs: 500_000 })

    expect(await engine.explain('f', b)).toMatchObject([{ key: 'b', status: 'completed' }])
    await expect(engine.explain('f', b, { against: 'r' })).rejects.toMatchObject(planError('RUN_NOT_FOUND'))
  })
})
