import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { isPlanError, type PlanErrorCode } from '../errors.ts'
import type { PlanInput } from '../schedule/plan-input.ts'
import { lose } from '../testing/damaged-store.ts'
import { namedState, planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'

const store = memoryStore()
const a = defineState({ id: 'a', params: z.json(), output: z.string(), run: () => 'a' })
const plan = definePlan({ id: 'p', version: '1', params: z.json(), states: [a, approvalState({ id: 'ok' })] })
const engine = testEngine({ store, plans: [plan] })

async function started(): Promise<void> {
  await engine.start(plan, { n: 1 }, { runId: 'r' })
}

const errors: readonly [code: PlanErrorCode, cause: () => unknown][] = [
  ['EMPTY_PLAN', () => planOf([])],
  ['DUPLICATE_STATE', () => planOf([namedState('a'), namedState('a')])],
  ['MISSING_STATE', () => planOf([namedState('a', ['gone'])])],
  ['CIRCULAR_DEPENDENCY', () => planOf([namedState('a', ['a'])])],
  ['INVALID_PARAMS', async () => testEngine().start(planOf([namedState('a')]), 5 as never)],
  ['SECRET_IN_MANIFEST', async () => engine.start(plan, { password: 'hunter2' })],
  ['INEXACT_NUMBER', async () => engine.start(plan, 1.5)],
  ['RUN_EXISTS', async () => engine.start(plan, { n: 2 }, { runId: 'r' })],
  ['RUN_NOT_FOUND', async () => engine.run('gone')],
  ['STATE_NOT_FOUND', async () => engine.output('r', 'gone')],
  ['STATE_NOT_FOUND', async () => engine.fork('r', { from: 'gone' })],
  ['STATE_NOT_FOUND', async () => engine.approve('r', 'a', { approved: true })],
  ['NO_OUTPUT', async () => engine.output('r', 'ok')],
  ['NO_OUTPUT', async () => engine.remake('r', 'ok')],
  ['NO_OUTPUT', async () => engine.pin('pin', [`sha256:${'0'.repeat(64)}`])],
  ['PLAN_MISSING', async () => testEngine({ store }).run('r')],
  ['PLAN_CHANGED', async () => testEngine({ store, plans: [planOf([namedState('b')])] }).run('r')],
  ['PLAN_CHANGED', async () => engine.fork('r', { plan: planOf([namedState('b')], 'q') })],
  [
    'MANIFEST_CORRUPT',
    async () => {
      await engine.start(plan, { n: 3 }, { runId: 'lost' })
      for await (const event of engine.kernel.events('lost')) {
        if (event.type !== 'RunStarted') continue
        const { manifest } = event.data.input as unknown as PlanInput
        await lose(store, manifest.$artifact)
      }
      return engine.run('lost')
    },
  ],
]

test.for(errors)('%s says what to do', async ([code, cause]) => {
  await started()
  const error: unknown = await (async () => cause())().catch((reason: unknown) => reason)

  expect(isPlanError(error, code)).toBe(true)
  // What is wrong; then what helps.
  expect((error as Error).message).toMatch(/^[A-Z_]+: .{10,}; [a-z]+ .{5,}$/s)
})
