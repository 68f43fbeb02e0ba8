import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createEngine, definePlan, defineState, isPlanError } from '../index.ts'
import type { InquiryAnswer } from '../definition/inquiry.ts'

const amount = defineState({ id: 'amount', output: z.int(), run: () => 42 })

type Answer = InquiryAnswer<z.ZodString>

type Reconcile = (context: { readonly needs: { readonly amount: number } }) => Answer

/** A plan that pays once, whose first attempt ends without anybody knowing how. */
function paying(reconcile: Reconcile | undefined, fenced = false) {
  const calls: number[] = []
  const pay = defineState({
    id: 'pay',
    needs: { amount },
    output: z.string(),
    effect: 'at-most-once',
    fenced,
    ...(reconcile && { reconcile }),
    run: ({ needs, attempt }) => {
      calls.push(attempt)
      if (calls.length === 1) throw new Error('the line went dead')
      return `paid ${needs.amount}`
    },
  })
  const plan = definePlan({ id: 'paying', version: '1', states: [amount, pay], output: pay })
  return { calls, plan, engine: createEngine({ store: memoryStore(), plans: [plan] }) }
}

test('an attempt in doubt that the other side knows of becomes the output of its state, and never runs again', async () => {
  const { calls, plan, engine } = paying(({ needs }) => ({ status: 'succeeded', output: `they have ${needs.amount}` }))

  const outcome = await engine.start(plan, undefined, { runId: 'r' })

  expect(outcome).toMatchObject({ status: 'completed', output: 'they have 42' })
  expect(calls).toEqual([1])
  expect(await engine.verify('r')).toMatchObject({ ok: true, damaged: [] })
})

test('an attempt that the other side has barred is followed by another one', async () => {
  const { calls, plan, engine } = paying(() => ({ status: 'not-executed' }), true)

  const outcome = await engine.start(plan, undefined)

  expect(outcome).toMatchObject({ status: 'completed', output: 'paid 42' })
  expect(calls).toEqual([1, 2])
})

test.for<readonly [what: string, reconcile: Reconcile | undefined]>([
  ['nobody can be asked', undefined],
  ['nobody knows', () => ({ status: 'unknown' })],
  ['nothing was executed, but may be later', () => ({ status: 'not-executed' })],
])('an attempt in doubt waits for a person when %s', async ([, reconcile]) => {
  const { calls, plan, engine } = paying(reconcile)

  const outcome = await engine.start(plan, undefined)

  expect(outcome).toMatchObject({ status: 'blocked', blockedOn: [{ key: 'pay' }] })
  expect(calls).toEqual([1])
})

test('an answer that does not fit the output of the state is none', async () => {
  const { plan, engine } = paying(() => ({ status: 'succeeded', output: 42 as never }))

  expect(await engine.start(plan, undefined)).toMatchObject({ status: 'blocked' })
})

test('a state that may run twice has nothing to ask for', () => {
  const define = (): unknown =>
    defineState({ id: 'a', output: z.int(), reconcile: () => ({ status: 'unknown' }), run: () => 1 })

  expect(define).toThrow(expect.toSatisfy((error: unknown) => isPlanError(error, 'INVALID_DEFINITION')))
})
