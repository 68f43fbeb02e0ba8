import { defineWorkflow, type Outcome } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { crashMatrix } from '../crash-matrix.ts'
import { isTestingError, type TestingError } from '../errors.ts'
import { faultsOfEnding } from './endings.ts'
import type { CrashScenario } from './scenario.ts'

/** Pays, and fails when that fails; what it does instead is up to the test. */
function order(pay: () => Promise<unknown>) {
  return defineWorkflow(
    { name: 'order', version: '1', input: z.null(), actions: { pay: { run: pay } } },
    {
      step: ({ results }, next) => {
        const paid = results['pay']
        if (paid === undefined) return next.run('pay', null)
        return paid.status === 'failed'
          ? next.fail(new Error(`not paid: ${paid.error.message}`))
          : next.complete('paid')
      },
    },
  )
}

type OrderScenario = CrashScenario<{ order: ReturnType<typeof order> }, { dead: number }>

function scenarioOf(pay: (world: { dead: number }) => Promise<unknown>, more: Partial<OrderScenario> = {}) {
  const scenario: OrderScenario = {
    open: memoryStore,
    outside: () => ({ dead: 0 }),
    workflows: (_, world) => ({ order: order(() => pay(world)) }),
    begin: ({ kernel, workflows }) => kernel.start(workflows.order, null, { runId: 'order-1' }),
    ...more,
  }
  return scenario
}

const slips = async (): Promise<never> => Promise.reject(new TypeError('amount.toFixed is not a function'))
const pays = async (): Promise<null> => null

async function failureOf(scenario: OrderScenario): Promise<TestingError> {
  const error: unknown = await crashMatrix(scenario, { pairs: 'none' }).catch((thrown: unknown) => thrown)
  if (isTestingError(error)) return error
  throw new Error('the matrix passed', { cause: error })
}

describe('a run that fails in every case', () => {
  test('proves nothing, and the matrix says why it failed', async () => {
    const { code, message } = await failureOf(scenarioOf(slips))

    expect(code).toBe('INVALID_SCENARIO')
    expect(message).toContain('run order-1 (order) failed: not paid: amount.toFixed is not a function')
    expect(message).toContain('say with `ends` that it has to')
  })

  test('passes when the scenario says so', async () => {
    const asked: unknown[] = []
    const scenario = scenarioOf(slips, {
      ends: (run) => {
        asked.push(run)
        return 'failed'
      },
    })

    const { cases, points } = await crashMatrix(scenario, { pairs: 'none' })

    expect(cases).toBe(points.length)
    expect(asked[0]).toEqual({ runId: 'order-1', workflow: 'order' })
  })
})

test('a run that comes through where it has to fail is told', async () => {
  const { code, message } = await failureOf(scenarioOf(pays, { ends: () => 'failed' }))

  expect(code).toBe('INVALID_SCENARIO')
  expect(message).toContain('run order-1 (order) ended as completed; it has to end as failed, says `ends`')
})

test('a run that fails only after a crash is told also where nothing of it is compared', async () => {
  const once = async (world: { dead: number }): Promise<null> => {
    if (world.dead++ > 0) throw new Error('the card was charged before')
    return null
  }

  const { code, failures } = await failureOf(scenarioOf(once, { compare: () => null }))

  expect(code).toBe('NOT_CRASH_PROOF')
  expect(failures[0]).toMatchObject({
    crashes: 'action:1:after',
    faults: [expect.stringContaining('failed: not paid: the card was charged before') as unknown],
  })
  await crashMatrix(scenarioOf(once, { compare: () => null, ends: () => undefined }), { pairs: 'none' })
})

test('an end that there is not is refused', async () => {
  const { code, message } = await failureOf(scenarioOf(pays, { ends: () => 'done' as never }))

  expect(code).toBe('INVALID_SCENARIO')
  expect(message).toContain('ends must answer completed, failed, canceled, continued or undefined, got "done"')
})

test.for<Outcome>([
  { status: 'completed', runId: 'r', output: null },
  { status: 'canceled', runId: 'r', reason: 'enough' },
  { status: 'continued', runId: 'r', newRunId: 's' },
])('nothing is wrong with a run that was $status', (outcome) => {
  expect(faultsOfEnding({ runId: 'r', workflow: 'w', outcome, state: null }, {})).toEqual([])
})
