import { memoryStore } from '@varve/store-memory'
import { virtualClock } from '@varve/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { planError } from '../testing/expected-errors.ts'
import { namedState, planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'

const params = z.object({ cents: z.int() })
const total = defineState({ id: 'total', params, output: z.int(), run: ({ params: { cents } }) => cents * 2 })
const release = approvalState({
  ...{ id: 'release', needs: { total }, params },
  question: ({ needs, params: { cents } }) => ({ total: needs.total, cents }),
})
const send = defineState({
  ...{ id: 'send', needs: { release }, output: z.object({ by: z.string(), comment: z.string() }) },
  run: ({ needs }) => ({ by: needs.release.by ?? '', comment: needs.release.comment ?? '' }),
})
const payment = definePlan({ id: 'payment', version: '1', params, states: [total, release, send], output: send })

test('an approval asks its question, made from what it needs', async () => {
  const engine = testEngine()

  const outcome = await engine.start(payment, { cents: 5 }, { runId: 'r' })

  expect(outcome).toMatchObject({ status: 'blocked', blockedOn: [{ kind: 'interrupt', key: 'release:ask' }] })
  const { items } = await engine.kernel.listInterrupts()
  expect(items).toMatchObject([{ runId: 'r', key: 'release:ask', value: { total: 10, cents: 5 } }])
})

test('a yes lets the plan go on, with who said so and why', async () => {
  const engine = testEngine()
  await engine.start(payment, { cents: 5 }, { runId: 'r' })

  const outcome = await engine.approve('r', release, { approved: true, by: 'ann', comment: 'fine' })

  expect(outcome).toMatchObject({ status: 'completed', output: { by: 'ann', comment: 'fine' } })
  expect(await engine.output('r', release)).toEqual({ by: 'ann', comment: 'fine' })
})

test('a no fails the state, names who and why, and blocks what needs it', async () => {
  const engine = testEngine()
  await engine.start(payment, { cents: 5 }, { runId: 'r' })

  const outcome = await engine.approve('r', 'release', { approved: false, by: 'bob', comment: 'too much' })

  expect(outcome).toMatchObject({
    status: 'failed',
    error: { code: 'APPROVAL_REFUSED', message: expect.stringContaining('was refused by bob: too much') as string },
  })
  expect((await engine.status('r')).states.map(({ status }) => status)).toEqual(['completed', 'failed', 'blocked'])
})

test('an answer that comes too late finds the state failed', async () => {
  const clock = virtualClock()
  const engine = testEngine({ store: memoryStore({ now: clock.now }), clock })
  const plan = planOf([approvalState({ id: 'ok', expiresInMs: 60_000 }), namedState('after', ['ok'])])
  const blocked = await engine.start(plan, undefined as never, { runId: 'r' })
  clock.advance(60_001)

  const outcome = await engine.run('r')

  expect(blocked).toMatchObject({ status: 'blocked', wakeAt: 1_700_000_060_000 })
  expect(outcome).toMatchObject({ status: 'failed', error: { code: 'APPROVAL_EXPIRED' } })
})

test('the same answer again changes nothing, another one is refused', async () => {
  const engine = testEngine()
  await engine.start(payment, { cents: 5 }, { runId: 'r' })
  const first = await engine.approve('r', release, { approved: true, by: 'ann', comment: 'fine' })

  const again = await engine.approve('r', release, { approved: true, by: 'ann', comment: 'fine' })

  expect(again).toEqual(first)
  await expect(engine.approve('r', release, { approved: false })).rejects.toThrow()
  expect(await engine.run('r')).toEqual(first)
})

test('an answer to a state that is none to be answered is refused', async () => {
  const engine = testEngine()
  await engine.start(payment, { cents: 5 }, { runId: 'r' })

  for (const state of ['total', 'gone']) {
    await expect(engine.approve('r', state, { approved: true })).rejects.toMatchObject(planError('STATE_NOT_FOUND'))
  }
  await expect(engine.approve('r', release, { approved: 'yes' } as never)).rejects.toMatchObject({
    code: 'INVALID_INPUT',
  })
})

test('an approval waits beside states that run, and takes no room from them', async () => {
  const engine = testEngine({ config: { maxConcurrency: 1 } })
  const plan = planOf([approvalState({ id: 'ok' }), namedState('a'), namedState('b', ['a'])])

  const outcome = await engine.start(plan, undefined as never, { runId: 'r' })

  expect(outcome.status).toBe('blocked')
  const { states, done } = await engine.status('r')
  expect(states.map(({ id, status }) => `${id} ${status}`)).toEqual(['ok waiting', 'a completed', 'b completed'])
  expect(done).toBe(2)
})

test('a question that throws fails its state', async () => {
  const ok = approvalState({
    id: 'ok',
    question: () => {
      throw new Error('no words')
    },
  })

  expect(await testEngine().start(planOf([ok]), undefined as never)).toMatchObject({
    status: 'failed',
    error: { message: 'state ok failed: no words' },
  })
})

test('more approvals than a turn of the kernel asks for are asked for all the same', async () => {
  const questions = Array.from({ length: 1100 }, (_, n) => approvalState({ id: `a${n}`, question: () => ({}) }))
  const engine = testEngine()

  await engine.start(planOf(questions), undefined as never, { runId: 'r' })

  const asked = (await Array.fromAsync(engine.kernel.events('r'))).filter(({ type }) => type === 'Interrupted')
  expect(asked).toHaveLength(1100)
  expect(await engine.approve('r', 'a1099', { approved: true })).toMatchObject({ status: 'blocked' })
})
