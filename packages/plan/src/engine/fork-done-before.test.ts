import { memoryStore } from '@varve/store-memory'
import { virtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { childState } from '../definition/child-state.ts'
import { mapState } from '../definition/map-state.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { planError } from '../testing/expected-errors.ts'
import { testEngine } from '../testing/test-engine.ts'

const params = z.object({ amount: z.int() })

/** A plan that pays once in a child plan, and does something with the receipt. */
function paying({ fails = () => false }: { readonly fails?: () => boolean } = {}) {
  const paid: number[] = []
  const pay = defineState({
    ...{ id: 'pay', params, effect: 'at-most-once', output: z.int() },
    run: ({ params: { amount } }) => paid.push(amount),
  })
  const book = defineState({
    ...{ id: 'book', needs: { pay }, output: z.int() },
    run: ({ needs }) => {
      if (fails()) throw new Error('the books are closed')
      return needs.pay
    },
  })
  const payment = definePlan({ id: 'payment', version: '1', params, states: [pay, book], output: book })
  const child = childState({ id: 'child', params, plan: payment, childParams: ({ params: all }) => all })
  const report = defineState({ id: 'report', needs: { child }, output: z.int(), run: ({ needs }) => needs.child })
  const plan = definePlan({ id: 'p', version: '1', params, states: [child, report], output: report })
  return { paid, plan, child, report }
}

test('a fork takes over a child plan that has completed, and so does a fork of that fork', async () => {
  const { plan, report, paid } = paying()
  const engine = testEngine()
  await engine.start(plan, { amount: 5 }, { runId: 'a' })

  await engine.fork('a', { from: report, as: 'b' })
  const outcome = await engine.fork('b', { from: report, as: 'c' })

  expect(outcome).toMatchObject({ status: 'completed', output: 1 })
  expect(paid).toEqual([5])
  expect((await engine.status('c')).states).toMatchObject([{ status: 'reused' }, { status: 'completed' }])
  expect(await engine.verify('c')).toMatchObject({ ok: true })
})

test('a fork runs a child plan again that it starts otherwise, or that it is told to run again', async () => {
  const { plan, child, paid } = paying()
  const engine = testEngine()
  await engine.start(plan, { amount: 5 }, { runId: 'a' })

  await engine.fork('a', { params: { amount: 6 }, as: 'other' })
  await engine.fork('a', { from: child, as: 'again' })

  expect(paid).toEqual([5, 6, 5])
})

test('a list that a child plan made is taken over with its entries', async () => {
  let calls = 0
  const many = mapState({
    id: 'many',
    items: () => [1, 2],
    key: String,
    output: z.int(),
    run: ({ item }) => item + ++calls,
  })
  const inner = definePlan({ id: 'inner', version: '1', states: [many], output: many })
  const outer = childState({ id: 'outer', plan: inner, childParams: () => undefined })
  const last = defineState({ id: 'last', needs: { outer }, output: z.int(), run: ({ needs }) => needs.outer.length })
  const engine = testEngine()
  await engine.start(definePlan({ id: 'p', version: '1', states: [outer, last] }), undefined, { runId: 'a' })

  await engine.fork('a', { from: last, as: 'b' })

  expect(calls).toBe(2)
  expect(await engine.output('b', outer)).toEqual(await engine.output('a', outer))
})

test('a fork does not begin a child plan anew that has failed behind something that must happen once', async () => {
  let isClosed = true
  const { plan, child, paid } = paying({ fails: () => isClosed })
  const engine = testEngine()
  await engine.start(plan, { amount: 5 }, { runId: 'a' })
  isClosed = false

  await expect(engine.fork('a', { as: 'b' })).rejects.toMatchObject(planError('IN_DOUBT'))

  expect(paid).toEqual([5])
  expect(await engine.fork('a', { from: child, output: 9, as: 'c' })).toMatchObject({ status: 'completed', output: 9 })
})

test('what must happen once and is under way in a run is not begun in a fork of it, unless someone says so', async () => {
  const [begun, end] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()]
  let calls = 0
  const pay = defineState({
    ...{ id: 'pay', effect: 'at-most-once', output: z.int() },
    run: async () => {
      const call = ++calls
      begun.resolve(undefined)
      if (call === 1) await end.promise
      return call
    },
  })
  const plan = definePlan({ id: 'p', version: '1', states: [pay], output: pay })
  const engine = testEngine()
  const run = engine.start(plan, undefined, { runId: 'a' })
  await begun.promise

  await expect(engine.fork('a', { as: 'b' })).rejects.toMatchObject(planError('IN_DOUBT'))
  expect(calls).toBe(1)
  expect(await engine.fork('a', { from: pay, output: 7, as: 'replaced' })).toMatchObject({ output: 7 })
  expect(await engine.fork('a', { from: pay, as: 'again' })).toMatchObject({ output: 2 })

  end.resolve(undefined)
  expect(await run).toMatchObject({ status: 'completed', output: 1 })
  expect(await engine.fork('a', { as: 'after' })).toMatchObject({ output: 1 })
})

test('neither another bound of states at once nor another build pays a second time for a child that has completed', async () => {
  const store = memoryStore()
  const paid: number[] = []
  const pay = defineState({
    ...{ id: 'pay', params, effect: 'at-most-once', output: z.int() },
    run: ({ params: { amount } }) => paid.push(amount),
  })
  const payment = definePlan({ id: 'payment', version: '1', params, states: [pay], output: pay })
  const note = defineState({ id: 'note', output: z.string(), run: () => 'first' })
  const child = childState({ id: 'child', needs: { note }, plan: payment, childParams: () => ({ amount: 5 }) })
  const plan = definePlan({ id: 'p', version: '1', states: [note, child], output: child })
  const built = (gitCommit: string) => ({ gitCommit, lockfileHash: null, nodeVersion: null, platform: null })
  const engine = testEngine({ store, provenance: built('a'.repeat(40)) })
  await engine.start(plan, undefined, { runId: 'a' })
  const deployed = testEngine({ store, plans: [plan], provenance: built('b'.repeat(40)) })

  await engine.fork('a', { as: 'b', config: { maxConcurrency: 4 } })
  await deployed.fork('a', { as: 'c', from: note, output: 'second' })

  expect(paid).toEqual([5])
})

describe('a child plan that has completed behind something that must happen once', () => {
  /** A plan that waits for an approval when its child plan, or that one's, has paid; another page is another plan. */
  function ordering({ page = '1', version = '1', isDeep = false } = {}) {
    const paid: string[] = []
    const pay = defineState({
      ...{ id: 'pay', effect: 'at-most-once', output: z.string() },
      run: ({ runId }) => {
        paid.push(runId)
        return 'receipt'
      },
    })
    const format = defineState({
      ...{ id: 'format', version: page, tags: ['page'], needs: { pay }, output: z.string() },
      run: ({ needs }) => needs.pay,
    })
    const order = definePlan({ id: 'order', version, states: [pay, format] })
    const inner = childState({ id: 'inner', plan: order, childParams: () => undefined })
    const middle = definePlan({ id: 'middle', version, states: [inner] })
    const child = childState({ id: 'child', plan: isDeep ? middle : order, childParams: () => undefined })
    const ok = approvalState({ id: 'ok', after: [child] })
    return { paid, child, plan: definePlan({ id: 'shop', version, states: [child, ok] }) }
  }

  test.for([
    { how: 'with another version of the child plan', page: '2', version: '2' },
    { how: 'with the child plan changed under its version', page: '2', version: '1' },
  ])('is not begun anew by a fork $how', async ({ page, version }) => {
    const store = memoryStore()
    const { plan, paid } = ordering()
    const other = ordering({ page, version })
    await testEngine({ store }).start(plan, undefined, { runId: 'a' })
    const engine = testEngine({ store })

    await expect(engine.fork('a', { plan: other.plan, as: 'b' })).rejects.toMatchObject(planError('IN_DOUBT'))

    expect([...paid, ...other.paid]).toHaveLength(1)
    expect(await engine.fork('a', { plan: other.plan, from: other.child, as: 'c' })).toMatchObject({
      status: 'blocked',
    })
    expect(other.paid).toHaveLength(1)
  })

  test('is not begun anew by a fork that skips otherwise, of the run or of a fork that has taken it over', async () => {
    const { plan, paid } = ordering()
    const engine = testEngine()
    await engine.start(plan, undefined, { runId: 'a' })
    await engine.fork('a', { as: 'b' })

    for (const runId of ['a', 'b']) {
      const error: unknown = await engine.fork(runId, { config: { skipTags: ['page'] } }).catch((e: unknown) => e)

      expect(error).toMatchObject(planError('IN_DOUBT'))
      // It is over: nobody can settle it.
      expect((error as Error).message).toMatch(/has done pay, and would begin anew; fork from child/)
    }
    expect(paid).toHaveLength(1)
  })

  test('is not begun anew for the sake of a plan further down', async () => {
    const store = memoryStore()
    const { plan, paid } = ordering({ isDeep: true })
    await testEngine({ store }).start(plan, undefined, { runId: 'a' })
    const other = ordering({ page: '2', isDeep: true })

    const fork = testEngine({ store }).fork('a', { plan: other.plan, as: 'b' })

    await expect(fork).rejects.toMatchObject(planError('IN_DOUBT'))
    expect([...paid, ...other.paid]).toHaveLength(1)
  })

  test('is not begun anew when its run has been removed either', async () => {
    const clock = virtualClock()
    const store = memoryStore({ now: clock.now })
    const { plan, paid } = ordering()
    const engine = testEngine({ store, clock })
    await engine.start(plan, undefined, { runId: 'a' })
    await engine.cancel('a', { reason: 'enough' })
    clock.advance(2)
    const { removed } = await engine.kernel.prune({ olderThanMs: 1, workflow: 'order', artifacts: false })
    expect(removed).toHaveLength(1)

    await expect(engine.fork('a', { config: { skipTags: ['page'] } })).rejects.toMatchObject(planError('IN_DOUBT'))
    expect(await engine.fork('a', { as: 'b' })).toMatchObject({ status: 'blocked' })
    expect(paid).toHaveLength(1)
  })
})

test('a child plan that has done nothing that must happen once begins anew where a fork skips otherwise', async () => {
  let calls = 0
  const count = defineState({ id: 'count', output: z.int(), run: () => ++calls })
  const inner = definePlan({ id: 'inner', version: '1', states: [count], output: count })
  const outer = childState({ id: 'outer', plan: inner, childParams: () => undefined })
  const clock = virtualClock()
  const engine = testEngine({ store: memoryStore({ now: clock.now }), clock })
  await engine.start(definePlan({ id: 'p', version: '1', states: [outer], output: outer }), undefined, { runId: 'a' })

  expect(await engine.fork('a', { config: { skipTags: ['page'] }, as: 'b' })).toMatchObject({ output: 2 })

  clock.advance(2)
  await engine.kernel.prune({ olderThanMs: 1, workflow: 'inner', artifacts: false })
  expect(await engine.fork('a', { config: { skipTags: ['page'] }, as: 'c' })).toMatchObject({ output: 3 })
})

describe('what a run has done at most once, and a fork of it has not come to,', () => {
  /** A state that fails in the second run, and what pays behind it. */
  function paying(isMap = false) {
    const paid: string[] = []
    let runs = 0
    const first = defineState({
      ...{ id: 'first', output: z.string() },
      run: () => {
        runs++
        if (runs === 2) throw new Error('not now')
        return 'ready'
      },
    })
    const shared = { effect: 'at-most-once', output: z.string() } as const
    const pay = isMap
      ? mapState({
          ...{ id: 'pay', needs: { first }, ...shared },
          items: () => ['x', 'y'],
          key: (item) => item,
          run: ({ item }) => {
            paid.push(item)
            return item
          },
        })
      : defineState({
          ...{ id: 'pay', needs: { first }, ...shared },
          run: () => {
            paid.push('once')
            return 'receipt'
          },
        })
    return { paid, first, pay, plan: definePlan({ id: 'p', version: '1', states: [first, pay] }) }
  }

  test.for([
    { what: 'a state', isMap: false, times: 1 },
    { what: 'a map', isMap: true, times: 2 },
  ])('is not done again by a fork of that fork: $what', async ({ isMap, times }) => {
    const { plan, first, pay, paid } = paying(isMap)
    const engine = testEngine()
    await engine.start(plan, undefined, { runId: 'a' })
    expect(await engine.fork('a', { from: first, as: 'b' })).toMatchObject({ status: 'failed' })

    const forking = engine.fork('b', { as: 'c' })

    await expect(forking).rejects.toMatchObject(planError('IN_DOUBT'))
    await expect(forking).rejects.toThrow('run a, from which that one was forked, has begun it; fork a, or')
    expect(paid).toHaveLength(times)
    expect(await engine.fork('a', { from: first, as: 'd' })).toMatchObject({ status: 'completed' })
    expect(paid).toHaveLength(times)
    expect(await engine.fork('b', { from: pay, as: 'e' })).toMatchObject({ status: 'completed' })
    expect(paid).toHaveLength(2 * times)
  })

  test('is not done again by a fork that skips it, and a fork of that which does not', async () => {
    const paid: string[] = []
    const engine = testEngine()
    const tagged = definePlan({
      id: 'q',
      version: '1',
      states: [
        defineState({
          ...{ id: 'pay', tags: ['pay'], effect: 'at-most-once', output: z.string() },
          run: () => {
            paid.push('once')
            return 'receipt'
          },
        }),
      ],
    })
    await engine.start(tagged, undefined, { runId: 'q' })
    await engine.fork('q', { as: 'skipping', config: { skipTags: ['pay'] } })

    await expect(engine.fork('skipping', { config: { skipTags: [] } })).rejects.toMatchObject(planError('IN_DOUBT'))
    expect(paid).toEqual(['once'])
  })
})

test('a child plan that a fork has skipped is taken over again by a fork that does not', async () => {
  const paid: string[] = []
  const pay = defineState({
    ...{ id: 'pay', effect: 'at-most-once', output: z.string() },
    run: () => {
      paid.push('once')
      return 'receipt'
    },
  })
  const order = definePlan({ id: 'order', version: '1', states: [pay], output: pay })
  const child = childState({ id: 'child', tags: ['c'], plan: order, childParams: () => undefined })
  const engine = testEngine()
  await engine.start(definePlan({ id: 'shop', version: '1', states: [child], output: child }), undefined, {
    runId: 'a',
  })
  await engine.fork('a', { as: 'b', config: { skipTags: ['c'] } })

  expect(await engine.fork('b', { config: { skipTags: [] } })).toMatchObject({ status: 'completed', output: 'receipt' })
  expect(paid).toHaveLength(1)
})
