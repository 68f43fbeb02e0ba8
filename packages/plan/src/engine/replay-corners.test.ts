import { memoryStore } from '@varve/store-memory'
import { virtualClock } from '@varve/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { mapState } from '../definition/map-state.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { lose } from '../testing/damaged-store.ts'
import { planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'

test('a state that returns nothing is replayed as what was kept of it', async () => {
  const silent = defineState({ id: 'silent', output: z.unknown(), run: () => undefined })
  const engine = testEngine()
  await engine.start(planOf([silent]), undefined as never, { runId: 'r' })

  expect(await engine.output('r', silent)).toBeNull()
  expect(await engine.replay('r')).toMatchObject({ ok: true, executions: [{ key: 'silent', result: 'same' }] })
})

test.each([
  ['nothing', null, 'null'],
  ['a text', 'no luck', 'no luck'],
])('a replay tells what a state threw that throws %s', async (_, thrown, message) => {
  let calls = 0
  const once = defineState({
    ...{ id: 'once', output: z.int() },
    run: () => {
      if (++calls > 1) throw thrown as unknown as Error
      return 1
    },
  })
  const engine = testEngine()
  await engine.start(planOf([once]), undefined as never, { runId: 'r' })

  expect(await engine.replay('r')).toMatchObject({ ok: false, executions: [{ result: 'failed', error: { message } }] })
})

test('a replay waits no longer for a state than the run did', async () => {
  const clock = virtualClock()
  let calls = 0
  const once = defineState({
    ...{ id: 'once', output: z.int(), timeoutMs: 1000 },
    run: () => (++calls > 1 ? new Promise<number>(() => undefined) : 1),
  })
  const engine = testEngine({ clock, store: memoryStore({ now: clock.now }) })
  await engine.start(planOf([once]), undefined as never, { runId: 'r' })

  const replaying = engine.replay('r')
  while (!clock.skip()) await new Promise((resolve) => setImmediate(resolve))

  expect(await replaying).toMatchObject({ ok: false, executions: [{ result: 'failed', error: { code: 'TIMEOUT' } }] })
})

test('what a fork took over is made again from what the run recorded that made it', async () => {
  const store = memoryStore()
  const asked = defineState({ id: 'asked', output: z.int(), run: async ({ io }) => (await io.fact('n', () => 7)) + 1 })
  const last = defineState({ id: 'last', needs: { asked }, output: z.int(), run: ({ needs }) => needs.asked * 2 })
  const engine = testEngine({ store })
  await engine.start(definePlan({ id: 'p', version: '1', states: [asked, last] }), undefined, { runId: 'a' })
  await engine.fork('a', { from: last, as: 'b' })
  await engine.fork('b', { from: last, as: 'c' })
  const { asked: artifact } = await engine.outputs('c')
  if (artifact === undefined) throw new Error('nothing was made')
  await lose(store, artifact.$artifact)

  expect(await engine.remake('c', 'asked')).toEqual({ artifact: artifact.$artifact, remade: true })
  expect(await engine.output('c', asked)).toBe(8)
})

test('what decides the order of a run, or when an approval is too late, is part of the plan', () => {
  const mapped = (concurrency: number) =>
    planOf([
      mapState({ id: 'm', items: () => [1], key: String, concurrency, output: z.int(), run: ({ item }) => item }),
    ])
  const asked = (expiresInMs: number) => planOf([approvalState({ id: 'ask', expiresInMs })])

  expect(mapped(1).definition.hash).not.toBe(mapped(2).definition.hash)
  expect(asked(1000).definition.hash).not.toBe(asked(2000).definition.hash)
})
