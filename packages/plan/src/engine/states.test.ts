import { ActionError, type ActionContext } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { simulatedProcess, virtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { bytes } from '../definition/output.ts'
import { optional } from '../definition/need.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { StateView } from '../view/plan-status.ts'
import type { Engine } from './engine.ts'

/** A state that needs others by their ids and fails, or makes its id. */
function step(id: string, options: { needs?: readonly string[]; fails?: boolean; tags?: readonly string[] } = {}) {
  const { needs = [], fails = false, tags = [] } = options
  return defineState({
    ...{ id, tags, needs: Object.fromEntries(needs.map((need) => [need, need])), output: z.string() },
    run: () => {
      if (fails) throw new Error(`${id} is broken`)
      return id
    },
  })
}

async function statuses(engine: Engine, runId: string): Promise<Readonly<Record<string, StateView['status']>>> {
  const { states } = await engine.status(runId)
  return Object.fromEntries(states.map(({ id, status }) => [id, status]))
}

describe('the retry of a state', () => {
  const flaky = (failures: readonly (() => never)[], maxAttempts: number) => {
    const attempts: number[] = []
    const state = defineState({
      ...{ id: 'a', output: z.string(), retry: { maxAttempts, baseMs: 0 } },
      run: ({ attempt }) => {
        attempts.push(attempt)
        failures[attempt - 1]?.()
        return 'made'
      },
    })
    return { attempts, plan: definePlan({ id: 'p', version: '1', states: [state], output: state }) }
  }
  const transient = (): never => {
    throw new ActionError('transient', 'busy')
  }

  test('tries again after what may pass, and counts attempts from 1', async () => {
    const { plan, attempts } = flaky([transient, transient], 3)
    const engine = testEngine()

    const outcome = await engine.start(plan, undefined, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed', output: 'made' })
    expect(attempts).toEqual([1, 2, 3])
    expect((await engine.status('r')).states[0]).toMatchObject({ status: 'completed', attempts: 3 })
  })

  test('ends with the last attempt, and the run fails as a value', async () => {
    const { plan, attempts } = flaky([transient, transient, transient], 2)

    const outcome = await testEngine().start(plan, undefined)

    expect(outcome).toMatchObject({ status: 'failed', error: { message: 'state a failed: busy' } })
    expect(attempts).toEqual([1, 2])
  })

  test('does not try again after a plain error, which is permanent', async () => {
    const { plan, attempts } = flaky(
      [
        () => {
          throw new Error('wrong')
        },
      ],
      5,
    )

    expect(await testEngine().start(plan, undefined)).toMatchObject({ status: 'failed' })
    expect(attempts).toEqual([1])
  })

  test('waits its delay on the clock, also over a crash', async () => {
    const clock = virtualClock()
    const times: number[] = []
    const state = defineState({
      ...{ id: 'a', output: z.null(), retry: { maxAttempts: 2, baseMs: 60_000, jitter: 'none' } },
      run: () => {
        times.push(clock.now())
        if (times.length === 1) throw new ActionError('transient', 'busy')
        return null
      },
    })
    const plan = planOf([state])
    const shared = memoryStore({ now: clock.now })
    const dying = simulatedProcess(shared, clock)
    const first = testEngine({ store: dying.store, clock: dying.clock, owner: dying.owner })
    const blocked = await first.start(plan, undefined as never, { runId: 'r' })
    dying.kill()
    clock.advance(59_000)
    const engine = testEngine({ store: shared, clock, plans: [plan] })

    const early = await engine.run('r')
    clock.advance(1000)
    const done = await engine.run('r')

    expect([blocked.status, early.status, done.status]).toEqual(['blocked', 'blocked', 'completed'])
    expect((times[1] as number) - (times[0] as number)).toBe(60_000)
  })
})

test('an attempt that takes longer than its timeout is aborted and fails', async () => {
  const clock = virtualClock()
  const store = memoryStore({ now: clock.now })
  const process = simulatedProcess(store, clock)
  const engine = testEngine({ store: process.store, clock: process.clock, owner: process.owner })
  let reason: unknown
  const state = defineState({
    ...{ id: 'slow', output: z.null(), timeoutMs: 1000 },
    run: async ({ signal }) =>
      new Promise<null>((_, reject) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason
          reject(new Error('aborted'))
        })
      }),
  })

  const outcome = await process.finish(engine.start(planOf([state]), undefined as never))

  expect(outcome).toMatchObject({ status: 'failed' })
  expect(reason).toBeInstanceOf(Error)
})

test('a state sees who it is, in which run and attempt, under its own idempotency key', async () => {
  const seen: Pick<ActionContext, 'runId' | 'attempt' | 'idempotencyKey' | 'fencingToken'>[] = []
  const look = (id: string) =>
    defineState({
      ...{ id, output: z.string() },
      run: ({ runId, attempt, idempotencyKey, fencingToken, stateId }) => {
        seen.push({ runId, attempt, idempotencyKey, fencingToken })
        return stateId
      },
    })
  const engine = testEngine()

  await engine.start(planOf([look('a'), look('b')]), undefined as never, { runId: 'r' })

  expect(seen).toMatchObject([
    { runId: 'r', attempt: 1 },
    { runId: 'r', attempt: 1 },
  ])
  expect(new Set(seen.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(2)
  expect(await engine.output('r', 'b')).toBe('b')
})

describe('a state that may run only once', () => {
  const pay = (act: () => string) => defineState({ id: 'pay', effect: 'at-most-once', output: z.string(), run: act })

  test('is in doubt when it throws, and goes on when somebody says what became of it', async () => {
    let calls = 0
    const state = pay(() => {
      calls++
      throw new Error('connection lost')
    })
    const after = defineState({ id: 'after', needs: { state }, output: z.string(), run: ({ needs }) => needs.state })
    const plan = definePlan({ id: 'p', version: '1', states: [state, after], output: after })
    const engine = testEngine()

    const blocked = await engine.start(plan, undefined, { runId: 'r' })
    const artifact = await engine.kernel.artifacts.put(new TextEncoder().encode('"receipt"'))
    const output = { artifact: { $artifact: artifact, size: 9, mediaType: 'application/json' } }
    await engine.kernel.settle('r', { key: 'pay', outcome: { status: 'succeeded', output }, by: 'ann' })

    expect(blocked).toMatchObject({ status: 'blocked', blockedOn: [{ kind: 'action', key: 'pay', inDoubt: true }] })
    expect(await engine.run('r')).toMatchObject({ status: 'completed', output: 'receipt' })
    expect(calls).toBe(1)
  })

  test('is not run again after a crash', async () => {
    const clock = virtualClock()
    const store = memoryStore({ now: clock.now })
    const process = simulatedProcess(store, clock)
    const first = testEngine({ store: process.store, clock: process.clock, owner: process.owner })
    let calls = 0
    const state = pay(() => {
      calls++
      process.kill()
      return 'paid'
    })
    const plan = planOf([state])
    const crashed = await process.finish(first.start(plan, undefined as never, { runId: 'r' }))
    clock.advance(60_000)

    const resumed = await testEngine({ store, clock, plans: [plan] }).resume('r')

    expect(crashed).toBe('crashed')
    expect(resumed).toMatchObject({ status: 'blocked', blockedOn: [{ kind: 'action', key: 'pay', inDoubt: true }] })
    expect(calls).toBe(1)
  })

  test('that is under way when another one fails is waited for, and its receipt is kept', async () => {
    const failing = Promise.withResolvers<never>()
    const paying = Promise.withResolvers<string>()
    const a = defineState({ id: 'a', output: z.null(), run: async () => failing.promise })
    const b = defineState({ id: 'b', effect: 'at-most-once', output: z.string(), run: async () => paying.promise })
    const c = defineState({ id: 'c', needs: { b }, output: z.null(), run: () => null })
    const engine = testEngine()
    await engine.start(planOf([a, b, c]), undefined as never, { runId: 'r', wait: false })
    const outcome = engine.run('r')
    const steps = engine.progress('r')
    for await (const { changed } of steps)
      if (changed.some(({ id, status }) => id === 'b' && status === 'running')) break

    failing.reject(new Error('no'))
    for await (const { changed } of engine.progress('r')) {
      if (changed.some(({ id, status }) => id === 'a' && status === 'failed')) break
    }
    const meanwhile = await engine.status('r')
    paying.resolve('receipt')

    expect(meanwhile.status).toBe('running')
    expect(await outcome).toMatchObject({ status: 'failed', error: { message: 'state a failed: no' } })
    expect(await engine.output('r', 'b')).toBe('receipt')
    expect(await statuses(engine, 'r')).toEqual({ a: 'failed', b: 'completed', c: 'canceled' })
  })
})

describe('when a state fails', () => {
  const states = [
    step('a', { fails: true }),
    step('b', { needs: ['a'] }),
    step('c'),
    step('d', { needs: ['c'] }),
    step('e', { needs: ['d', 'b'] }),
  ]

  test('the run fails at once, and what was not begun is canceled', async () => {
    const engine = testEngine()

    const outcome = await engine.start(planOf(states), undefined as never, {
      runId: 'r',
      config: { maxConcurrency: 1 },
    })

    expect(outcome).toMatchObject({ status: 'failed', error: { message: 'state a failed: a is broken' } })
    expect(await statuses(engine, 'r')).toEqual({
      a: 'failed',
      b: 'blocked',
      c: 'canceled',
      d: 'canceled',
      e: 'blocked',
    })
  })

  test('keep-going runs all that does not depend on it, then fails', async () => {
    const engine = testEngine({ config: { onFailure: 'keep-going' } })

    const outcome = await engine.start(planOf(states), undefined as never, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'failed', error: { message: 'state a failed: a is broken' } })
    expect(await statuses(engine, 'r')).toEqual({
      a: 'failed',
      b: 'blocked',
      c: 'completed',
      d: 'completed',
      e: 'blocked',
    })
    expect(await engine.status('r')).toMatchObject({ done: 5, total: 5 })
  })

  test('several failures are named together', async () => {
    const many = Array.from({ length: 12 }, (_, i) => step(`s${i}`, { fails: true }))
    const engine = testEngine({ config: { onFailure: 'keep-going' } })

    const outcome = await engine.start(planOf(many), undefined as never)

    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'STATES_FAILED' } })
    const { message } = (outcome as { error: Error }).error
    expect(message).toContain('12 states failed: s0 (s0 is broken); s1')
    expect(message).toContain('and 2 more')
  })

  test.for<[what: string, code: object, expected: string]>([
    ['ACTION_DENIED, when the policy names no code', {}, 'ACTION_DENIED'],
    ['the code that the policy names', { code: 'NOT_TODAY' }, 'NOT_TODAY'],
  ])('what a policy denies fails as in every workflow: with %s', async ([, code, expected]) => {
    const policy = { name: 'mine', authorize: () => ({ policy: 'mine', reason: 'not allowed', ...code }) }

    const outcome = await testEngine({ policy }).start(planOf([step('a')]), undefined as never)

    expect(outcome).toMatchObject({
      status: 'failed',
      error: { code: expected, message: 'state a failed: denied by mine: not allowed' },
    })
  })
})

describe('states with a tag that the run skips', () => {
  test('do not run, nor what needs them; what comes after them does', async () => {
    const skipped = step('skipped', { tags: ['slow'] })
    const needing = defineState({ id: 'needing', needs: { skipped }, output: z.null(), run: () => null })
    const behind = defineState({ id: 'behind', needs: { needing }, output: z.null(), run: () => null })
    const maybe = defineState({
      ...{ id: 'maybe', needs: { skipped: optional(skipped) }, output: z.string() },
      run: ({ needs }) => String(needs.skipped),
    })
    const after = defineState({ id: 'after', after: [skipped], output: z.null(), run: () => null })
    const engine = testEngine()
    const plan = definePlan({ id: 'p', version: '1', states: [skipped, needing, behind, maybe, after], output: maybe })

    const outcome = await engine.start(plan, undefined, { runId: 'r', config: { skipTags: ['slow'] } })

    expect(outcome).toMatchObject({ status: 'completed', output: 'undefined' })
    expect(await statuses(engine, 'r')).toEqual({
      ...{ skipped: 'skipped', needing: 'skipped', behind: 'skipped', maybe: 'completed', after: 'completed' },
    })
    expect(Object.keys(await engine.outputs('r'))).toEqual(['maybe', 'after'])
  })

  test('may be all of them, and a plan whose output is skipped makes null', async () => {
    const a = step('a', { tags: ['x'] })
    const plan = definePlan({ id: 'p', version: '1', states: [a], output: a })

    const outcome = await testEngine().start(plan, undefined, { config: { skipTags: ['x'] } })

    expect(outcome).toMatchObject({ status: 'completed', output: null, artifact: null })
  })

  test('in a chain of 10,000 are passed over at once', { timeout: 30_000 }, async () => {
    const chain = Array.from({ length: 10_000 }, (_, i) =>
      step(`s${i}`, i === 0 ? { tags: ['x'] } : { needs: [`s${i - 1}`] }),
    )
    const engine = testEngine()

    const outcome = await engine.start(planOf(chain), undefined as never, { runId: 'r', config: { skipTags: ['x'] } })

    expect(outcome).toMatchObject({ status: 'completed' })
    expect(await engine.status('r')).toMatchObject({ done: 10_000, total: 10_000 })
  })
})

describe('the output of a state', () => {
  test('that fails its schema fails the state with its path', async () => {
    const a = defineState({
      ...{ id: 'a', output: z.object({ n: z.int() }) },
      run: () => ({ n: 'one' }) as never,
    })

    const outcome = await testEngine().start(planOf([a]), undefined as never)

    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'OUTPUT_INVALID' } })
    expect((outcome as { error: Error }).error.message).toContain('output of a.n')
  })

  test('is what its schema makes of it', async () => {
    const a = defineState({ id: 'a', output: z.object({ n: z.coerce.number() }), run: () => ({ n: '1', more: 2 }) })
    const plan = definePlan({ id: 'p', version: '1', states: [a], output: a })

    expect(await testEngine().start(plan, undefined)).toMatchObject({ output: { n: 1 } })
  })

  test('that is no JSON fails the state', async () => {
    const a = defineState({ id: 'a', output: z.any(), run: () => ({ when: new Date(0) }) })

    expect(await testEngine().start(planOf([a]), undefined as never)).toMatchObject({
      status: 'failed',
      error: { code: 'NOT_JSON' },
    })
  })

  test('of bytes that is none fails the state', async () => {
    const a = defineState({ id: 'a', output: bytes(), run: () => 'text' as never })

    expect(await testEngine().start(planOf([a]), undefined as never)).toMatchObject({
      status: 'failed',
      error: { code: 'OUTPUT_INVALID' },
    })
  })

  test('of bytes may be streamed, is read in chunks, and passed on under the same name', async () => {
    const chunk = new Uint8Array(256 * 1024).fill(7)
    const big = defineState({
      ...{ id: 'big', output: bytes({ mediaType: 'video/mp4' }) },
      run: async function* () {
        for (let i = 0; i < 8; i++) yield chunk
      } as () => AsyncIterable<Uint8Array>,
    })
    const size = defineState({
      ...{ id: 'size', needs: { big }, output: z.object({ size: z.int(), chunks: z.int(), type: z.string() }) },
      run: async ({ needs }) => {
        let chunks = 0
        for await (const part of needs.big.stream()) chunks += Math.sign(part.byteLength)
        return { size: needs.big.size, chunks, type: needs.big.mediaType }
      },
    })
    const same = defineState({ id: 'same', needs: { big }, output: bytes(), run: ({ needs }) => needs.big })
    const engine = testEngine()
    const plan = definePlan({ id: 'p', version: '1', states: [big, size, same], output: size })

    const outcome = await engine.start(plan, undefined, { runId: 'r' })

    expect(outcome).toMatchObject({ output: { size: 2 * 1024 * 1024, type: 'video/mp4' } })
    expect((outcome as { output: { chunks: number } }).output.chunks).toBeGreaterThan(1)
    const outputs = await engine.outputs('r')
    expect(outputs['same']?.$artifact).toBe(outputs['big']?.$artifact)
    expect((await (await engine.output('r', big)).bytes()).byteLength).toBe(2 * 1024 * 1024)
  })

  test('never enters the log, however large it is', async () => {
    const a = defineState({ id: 'a', output: z.string(), run: () => 'x'.repeat(3_000_000) })
    const b = defineState({ id: 'b', needs: { a }, output: z.int(), run: ({ needs }) => needs.a.length })
    const engine = testEngine()
    const plan = definePlan({ id: 'p', version: '1', states: [a, b], output: b })

    expect(await engine.start(plan, undefined, { runId: 'r' })).toMatchObject({ output: 3_000_000 })
    expect(JSON.stringify(await Array.fromAsync(engine.kernel.events('r'))).length).toBeLessThan(10_000)
  })

  test('of a failed attempt is seen by nobody', async () => {
    const a = defineState({
      ...{ id: 'a', output: z.string(), retry: { maxAttempts: 2, baseMs: 0 } },
      run: ({ attempt }) => {
        if (attempt === 1) throw new ActionError('transient', 'busy')
        return `attempt ${attempt}`
      },
    })
    const engine = testEngine()

    await engine.start(planOf([a]), undefined as never, { runId: 'r' })

    expect(await engine.output('r', 'a')).toBe('attempt 2')
  })
})

test('states run in topological order one at a time, or as many at once as the run allows', async () => {
  const under = { way: 0, most: 0, order: [] as string[] }
  const state = (id: string, needs: readonly string[] = []) =>
    defineState({
      ...{ id, needs: Object.fromEntries(needs.map((need) => [need, need])), output: z.null() },
      run: async () => {
        under.order.push(id)
        under.most = Math.max(under.most, ++under.way)
        await new Promise((resolve) => {
          setImmediate(resolve)
        })
        under.way--
        return null
      },
    })
  const plan = planOf([state('join', ['c', 'a', 'b']), state('c'), state('a'), state('b'), state('d')])
  const most: number[] = []
  for (const maxConcurrency of [1, 3]) {
    under.most = 0
    await testEngine().start(plan, undefined as never, { config: { maxConcurrency } })
    most.push(under.most)
  }

  expect(most).toEqual([1, 3])
  expect(under.order.slice(0, 5)).toEqual(['c', 'a', 'b', 'd', 'join'])
})

test('states that need more outputs together than an append names run in several', { timeout: 30_000 }, async () => {
  const halves = [0, 1].map((half) => Array.from({ length: 700 }, (_, i) => step(`s${half}-${i}`)))
  const gate = defineState({ id: 'gate', after: halves.flat().slice(0, 700), output: z.null(), run: () => null })
  const joins = halves.map((half, i) =>
    defineState({
      ...{ id: `join${i}`, needs: Object.fromEntries(half.map(({ id }) => [id, id])), after: [gate], output: z.int() },
      run: ({ needs }) => Object.keys(needs).length,
    }),
  )
  const engine = testEngine({ config: { maxConcurrency: 256 } })

  const outcome = await engine.start(planOf([...halves.flat(), gate, ...joins]), undefined as never, { runId: 'r' })

  expect(outcome).toMatchObject({ status: 'completed' })
  expect(await engine.output('r', 'join1')).toBe(700)
})

test('more states than a turn of the kernel asks for are under way at once, where so many may be', async () => {
  const all = Promise.withResolvers<null>()
  let begun = 0
  const states = Array.from({ length: 1100 }, (_, n) =>
    defineState({
      ...{ id: `s${n}`, output: z.null() },
      run: async () => {
        if (++begun === 1100) all.resolve(null)
        return all.promise
      },
    }),
  )
  const engine = testEngine({ config: { maxConcurrency: 2000 } })

  const outcome = await engine.start(planOf(states), undefined as never, { runId: 'r' })

  expect(outcome).toMatchObject({ status: 'completed' })
})

describe('a cancel', () => {
  test('aborts what is under way, and states say that they were canceled', async () => {
    const begun = Promise.withResolvers<undefined>()
    let isAborted = false
    const a = defineState({
      ...{ id: 'a', output: z.null() },
      run: async ({ signal }) => {
        begun.resolve(undefined)
        return new Promise<null>((_, reject) => {
          signal.addEventListener('abort', () => {
            isAborted = true
            reject(new Error('aborted'))
          })
        })
      },
    })
    const engine = testEngine()
    const running = engine.start(planOf([a, step('b', { needs: ['a'] })]), undefined as never, { runId: 'r' })
    await begun.promise

    const canceled = await engine.cancel('r', { reason: 'not needed', by: 'ann' })

    expect(canceled).toEqual({ status: 'canceled', runId: 'r', reason: 'not needed' })
    expect(await running).toEqual(canceled)
    expect(isAborted).toBe(true)
    expect(await statuses(engine, 'r')).toEqual({ a: 'canceled', b: 'canceled' })
  })
})

test('a run that is bound to fail does nothing any more that must happen at most once and waits to be tried again', async () => {
  const clock = virtualClock()
  const store = memoryStore({ now: clock.now })
  let calls = 0
  const pay = defineState({
    ...{ id: 'pay', effect: 'at-most-once', retry: { maxAttempts: 3, baseMs: 3_600_000 }, output: z.int() },
    run: () => {
      if (++calls === 1) throw new ActionError('transient', 'busy', { notExecuted: true })
      return calls
    },
  })

  const bad = defineState({
    ...{ id: 'bad', output: z.int() },
    run: () => {
      throw new Error('no')
    },
  })
  const plan = definePlan({ id: 'p', version: '1', states: [pay, bad] })

  const outcome = await testEngine({ store, clock }).start(plan, undefined)

  expect(outcome).toMatchObject({ status: 'failed' })
  expect(calls).toBe(1)
})

test('bytes have the media type that their state declares, whoever has put the same bytes before', async () => {
  const a = defineState({ id: 'a', output: bytes({ mediaType: 'text/csv' }), run: () => new Uint8Array() })
  const b = defineState({
    ...{ id: 'b', after: [a], output: bytes({ mediaType: 'application/pdf' }) },
    run: () => new Uint8Array(),
  })
  const c = defineState({ id: 'c', needs: { b }, output: z.string(), run: ({ needs }) => needs.b.mediaType })
  const plan = definePlan({ id: 'p', version: '1', states: [a, b, c], output: c })

  expect(await testEngine().start(plan, undefined)).toMatchObject({ output: 'application/pdf' })
})
