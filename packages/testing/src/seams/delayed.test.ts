import { defineWorkflow } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { crashMatrix } from '../crash-matrix.ts'
import type { Probe, CrashScenario } from '../matrix/scenario.ts'
import { pairsOf, PATIENCE_MS } from './depth.ts'
import { openSqlite } from './stores.ts'

/** Pays once a signal has said how much; with a child that does the work, and a successor. */
function workflowsOf({ effect }: Probe) {
  const payment = defineWorkflow(
    {
      ...{ name: 'payment', version: '1', input: z.number() },
      actions: { pay: { run: (cents: number, ctx) => effect(ctx.idempotencyKey, () => cents) } },
    },
    { step: ({ input, results }, next) => (results['pay'] ? next.complete(input) : next.run('pay', input)) },
  )
  const order = defineWorkflow(
    { name: 'order', version: '1', input: z.boolean(), signals: { cents: z.number() } },
    {
      step: ({ input, results }, next) => {
        if (input) return next.complete('followed')
        const cents = results['cents']
        if (cents?.status !== 'delivered') return next.waitFor('cents')
        return results['payment'] ? next.continueAsNew(true) : next.child(payment, cents.output as number)
      },
    },
  )
  return { payment, order }
}

const scenarioOn = (open: CrashScenario<never>['open']): CrashScenario<ReturnType<typeof workflowsOf>> => ({
  open,
  workflows: workflowsOf,
  begin: ({ kernel, workflows }) =>
    kernel.start(workflows.order, false, { runId: 'order', queue: 'orders', priority: 5, delayMs: 600_000 }),
  // Sent while the run has not begun.
  answer: ({ runId, blockedOn }, { kernel }) =>
    blockedOn.some(({ name }) => name === 'start')
      ? kernel.signal(runId, { name: 'cents', value: 500, id: 'once' })
      : undefined,
})

describe.for([
  ['in memory', memoryStore],
  ['on SQLite', openSqlite],
] as const)('%s', ([, open]) => {
  test('a run that begins later comes to the same wherever its process dies', { timeout: PATIENCE_MS }, async () => {
    const { runs, effects, points } = await crashMatrix(scenarioOn(open), { pairs: pairsOf({ sample: 30 }) })

    expect(runs.get('order')).toMatchObject({ outcome: { status: 'continued' } })
    expect([...effects.values()]).toEqual([1])
    expect(points.length).toBeGreaterThan(30)
  })
})
