import { ActionError } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { simulatedProcess, virtualClock } from '@varve/testing'
import type { Json } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Io } from '../definition/io.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { planError } from '../testing/expected-errors.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { Transport } from '../transports/transport.ts'
import type { Engine } from './engine.ts'

/** A plan of one state that reaches outside. */
function reaching(
  run: (io: Io, attempt: number) => Promise<Json>,
  effect: 'idempotent' | 'at-most-once' = 'idempotent',
) {
  const state = defineState({
    ...{ id: 'a', output: z.json(), effect, retry: { maxAttempts: 3, baseMs: 0 } },
    run: async ({ io, attempt }) => (await run(io, attempt)) as never,
  })
  return definePlan({ id: 'p', version: '1', states: [state], output: state })
}

async function factsOf(engine: Engine, runId: string): Promise<readonly string[]> {
  const events = await Array.fromAsync(engine.kernel.events(runId))
  return events.flatMap((event) => (event.type === 'FactRecorded' ? [event.data.key] : []))
}

const transient = (): never => {
  throw new ActionError('transient', 'busy')
}

describe('a fact', () => {
  test('is asked for once, whatever is tried again', async () => {
    let asked = 0
    const engine = testEngine()
    const plan = reaching(async (io, attempt) => {
      const rate = await io.fact('rate', () => ++asked)
      return attempt === 1 ? transient() : rate
    })

    const outcome = await engine.start(plan, undefined, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed', output: 1 })
    expect(asked).toBe(1)
    expect(await factsOf(engine, 'r')).toEqual(['rate'])
  })

  test('is shared by all states of a run, and by no other run', async () => {
    let asked = 0
    const ask = (id: string) =>
      defineState({ id, output: z.int(), run: async ({ io }) => io.fact('rate', () => ++asked) })
    const [a, b] = [ask('a'), ask('b')]
    const sum = defineState({ id: 'sum', needs: { a, b }, output: z.int(), run: ({ needs }) => needs.a * 10 + needs.b })
    const plan = definePlan({ id: 'p', version: '1', states: [a, b, sum], output: sum })
    const engine = testEngine()

    expect(await engine.start(plan, undefined)).toMatchObject({ output: 11 })
    expect(await engine.start(plan, undefined)).toMatchObject({ output: 22 })
  })

  test('that is asked for with another request is refused', async () => {
    const plan = reaching(async (io) => {
      await io.fact('rate', () => 1, { request: { of: 'eur' } })
      return io.fact('rate', () => 2, { request: { of: 'usd' } })
    })

    expect(await testEngine().start(plan, undefined)).toMatchObject({
      status: 'failed',
      error: { code: 'FACT_MISMATCH' },
    })
  })

  test('may not be called as those of the engine are', async () => {
    const plan = reaching(async (io) => io.fact('plan:now:0', () => 1))

    expect(await testEngine().start(plan, undefined)).toMatchObject({
      status: 'failed',
      error: { code: 'INVALID_DEFINITION' },
    })
  })
})

describe('time, randomness and ids', () => {
  const draw = async (io: Io) => ({ now: await io.now(), random: await io.random(), uuid: await io.uuid() })

  test('are recorded, each by its place', async () => {
    const clock = virtualClock()
    const engine = testEngine({ store: memoryStore({ now: clock.now }), clock })
    const plan = reaching(async (io) => [await draw(io), await io.uuid()])

    const outcome = await engine.start(plan, undefined, { runId: 'r' })

    const [first, second] = (outcome as unknown as { output: [Awaited<ReturnType<typeof draw>>, string] }).output
    expect(first.now).toBe(1_700_000_000_000)
    expect(first.random).toBeGreaterThanOrEqual(0)
    expect(first.random).toBeLessThan(1)
    expect(second).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(second).not.toBe(first.uuid)
    expect(await factsOf(engine, 'r')).toEqual(['plan:now:0', 'plan:random:0', 'plan:uuid:0', 'plan:uuid:1'])
  })

  test('are the same after a crash, and others in a true retry', async () => {
    const clock = virtualClock()
    const shared = memoryStore({ now: clock.now })
    const seen: string[] = []
    const plan = reaching(async (io, attempt) => {
      const value = JSON.stringify(await draw(io))
      seen.push(value)
      clock.advance(1000)
      return attempt === 2 ? transient() : value
    })
    const dying = simulatedProcess(shared, clock, { crashAt: 'append:5:before' })
    const first = testEngine({ store: dying.store, clock: dying.clock, owner: dying.owner })
    const crashed = await dying.finish(first.start(plan, undefined, { runId: 'r' }))
    clock.advance(60_000)

    const outcome = await testEngine({ store: shared, clock, plans: [plan] }).resume('r')

    expect(crashed).toBe('crashed')
    expect(outcome).toMatchObject({ status: 'completed', output: seen[2] })
    expect(seen).toHaveLength(3)
    expect(seen[1]).toBe(seen[0])
    expect(JSON.parse(seen[2] as string)).not.toMatchObject({
      now: (JSON.parse(seen[0] as string) as { now: number }).now,
    })
  })
})

describe('a call over a transport', () => {
  const counting = () => {
    const calls: { request: Json; idempotencyKey: string }[] = []
    const made = { count: 0 }
    const transport: Transport<Json, Json> = {
      call: async (request, { idempotencyKey }) => {
        calls.push({ request, idempotencyKey })
        return Promise.resolve({ answer: calls.length })
      },
    }
    const factory = () => {
      made.count++
      return transport
    }
    return { calls, made, transports: { http: factory } }
  }

  test('under a fact is sent once, and its answer is recorded', async () => {
    const { calls, made, transports } = counting()
    const engine = testEngine({ transports })
    const plan = reaching(async (io, attempt) => {
      const answer = await io.call('http', { get: '/rate' }, { fact: 'rate' })
      return attempt === 1 ? transient() : answer
    })

    expect(await engine.start(plan, undefined, { runId: 'r' })).toMatchObject({ output: { answer: 1 } })
    expect(calls).toHaveLength(1)
    expect(made.count).toBe(1)
    expect(await factsOf(engine, 'r')).toEqual(['rate'])
  })

  test('with another request under the same fact is refused, and not sent', async () => {
    const { calls, transports } = counting()
    const plan = reaching(async (io) => {
      await io.call('http', { get: '/rate' }, { fact: 'rate' })
      return io.call('http', { get: '/other' }, { fact: 'rate' })
    })

    expect(await testEngine({ transports }).start(plan, undefined)).toMatchObject({ error: { code: 'FACT_MISMATCH' } })
    expect(calls).toHaveLength(1)
  })

  test('without a fact is sent each time, under a key of its own that attempts share', async () => {
    const { calls, transports } = counting()
    const plan = reaching(async (io, attempt) => {
      await io.call('http', 1)
      await io.call('http', 2)
      return attempt === 1 ? transient() : 'done'
    })

    await testEngine({ transports }).start(plan, undefined)

    expect(calls.map(({ request }) => request)).toEqual([1, 2, 1, 2])
    const [a, b, c, d] = calls.map(({ idempotencyKey }) => idempotencyKey)
    expect([c, d]).toEqual([a, b])
    expect(a).not.toBe(b)
  })

  test('over one that is not there says which there are', async () => {
    const { transports } = counting()
    const plan = reaching(async (io) => io.call('htp', 1))

    const outcome = await testEngine({ transports }).start(plan, undefined)

    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'TRANSPORT_MISSING' } })
    expect((outcome as { error: Error }).error.message).toContain('registered: http')
  })

  test.for<[what: string, call: (io: Io) => Promise<Json>, code: string]>([
    ['a misspelt fact', async (io) => io.call('http', 1, { fakt: 'rates' } as never), 'INVALID_DEFINITION'],
    ['a text in place of options', async (io) => io.call('http', 1, 'rates' as never), 'INVALID_DEFINITION'],
    ['a fact that is no text', async (io) => io.call('http', 1, { fact: 5 as never }), 'INVALID_ARGUMENT'],
  ])('with %s is refused and not sent, since nothing of it would be recorded', async ([, call, code]) => {
    const { transports, calls } = counting()

    expect(await testEngine({ transports }).start(reaching(call), undefined)).toMatchObject({ error: { code } })
    expect(calls).toEqual([])
  })

  test.for<[what: string, made: unknown]>([
    ['nothing', undefined],
    ['a promise of one', Promise.resolve({ call: () => 1 })],
  ])('over what its maker makes %s of says so', async ([, made]) => {
    const engine = testEngine({ transports: { http: () => made as never } })

    const outcome = await engine.start(
      reaching(async (io) => io.call('http', 1)),
      undefined,
    )

    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'INVALID_DEFINITION' } })
  })

  test('over one named as what all objects have is missing, too', async () => {
    const plan = reaching(async (io) => io.call('constructor', 1))

    expect(await testEngine().start(plan, undefined)).toMatchObject({ error: { code: 'TRANSPORT_MISSING' } })
  })
})

describe('a replay', () => {
  test('makes the same from what was recorded, without the outside world', async () => {
    let asked = 0
    let made = 0
    const transports = {
      http: () => {
        made++
        return { call: async () => Promise.resolve(7) }
      },
    }
    const plan = reaching(async (io, attempt) => {
      const all = [await io.fact('rate', () => ++asked), await io.now(), await io.random(), await io.uuid()]
      all.push((await io.call('http', 1, { fact: 'call' })) as number)
      return attempt === 1 ? transient() : all
    })
    const store = memoryStore()
    await testEngine({ store, transports }).start(plan, undefined, { runId: 'r' })
    const before = { asked, made }
    const engine = testEngine({ store, transports, plans: [plan] })
    const events = await Array.fromAsync(engine.kernel.events('r'))

    const replay = await engine.replay('r')

    expect(replay).toMatchObject({ runId: 'r', ok: true, executions: [{ key: 'a', result: 'same' }] })
    expect({ asked, made }).toEqual(before)
    expect(await Array.fromAsync(engine.kernel.events('r'))).toEqual(events)
  })

  test('sees the run, the attempt and the idempotency key that the execution saw', async () => {
    const state = defineState({
      ...{ id: 'a', output: z.json(), retry: { maxAttempts: 2, baseMs: 0 } },
      run: ({ runId, attempt, idempotencyKey }) => {
        if (attempt === 1) transient()
        return [runId, attempt, idempotencyKey]
      },
    })
    const plan = definePlan({ id: 'p', version: '1', states: [state] })
    const engine = testEngine()
    await engine.start(plan, undefined, { runId: 'r' })

    expect(await engine.replay('r')).toMatchObject({ ok: true })
  })

  test('says which execution makes something else now', async () => {
    let factor = 2
    const state = defineState({ id: 'a', output: z.int(), run: () => 3 * factor })
    const plan = definePlan({ id: 'p', version: '1', states: [state] })
    const engine = testEngine()
    await engine.start(plan, undefined, { runId: 'r' })
    factor = 5

    const { ok, executions } = await engine.replay('r')

    expect(ok).toBe(false)
    expect(executions).toMatchObject([{ key: 'a', result: 'differs' }])
    expect(executions[0]?.replayed).not.toBe(executions[0]?.recorded)
  })

  test('that asks for what was not recorded says so', async () => {
    let keys = ['x']
    const plan = reaching(async (io) => Promise.all(keys.map(async (key) => io.fact(key, () => 1))))
    const engine = testEngine()
    await engine.start(plan, undefined, { runId: 'r' })
    keys = ['x', 'y']

    expect(await engine.replay('r')).toMatchObject({
      ok: false,
      executions: [{ key: 'a', result: 'failed', error: { code: 'MISSING_FACT' } }],
    })
  })

  test('that asks with another request than recorded says so', async () => {
    let request = 1
    const plan = reaching(async (io) => io.fact('x', () => 1, { request }))
    const engine = testEngine()
    await engine.start(plan, undefined, { runId: 'r' })
    request = 2

    expect(await engine.replay('r')).toMatchObject({ ok: false, executions: [{ error: { code: 'MISSING_FACT' } }] })
  })

  test('refuses a call that was not recorded', async () => {
    const transports = { http: () => ({ call: async () => Promise.resolve(1) }) }
    const engine = testEngine({ transports })
    await engine.start(
      reaching(async (io) => io.call('http', 1)),
      undefined,
      { runId: 'r' },
    )

    expect(await engine.replay('r')).toMatchObject({
      ok: false,
      executions: [{ error: { code: 'LIVE_IO_IN_REPLAY' } }],
    })
  })

  test('passes over what may run only once', async () => {
    let calls = 0
    const plan = reaching(async () => Promise.resolve(++calls), 'at-most-once')
    const engine = testEngine()
    await engine.start(plan, undefined, { runId: 'r' })

    expect(await engine.replay('r')).toMatchObject({ ok: true, executions: [{ key: 'a', result: 'passed-over' }] })
    expect(calls).toBe(1)
  })

  test('of a run whose plan changed is refused', async () => {
    const store = memoryStore()
    const plan = (version: string) =>
      definePlan({
        ...{ id: 'p', version: '1' },
        states: [defineState({ id: 'a', version, output: z.int(), run: () => 1 })],
      })
    await testEngine({ store }).start(plan('1'), undefined, { runId: 'r' })

    await expect(testEngine({ store, plans: [plan('2')] }).replay('r')).rejects.toMatchObject(planError('PLAN_CHANGED'))
  })
})
