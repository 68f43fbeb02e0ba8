import { memoryStore } from '@varve/store-memory'
import { crashMatrix } from '@varve/testing'
import { expect, test } from 'vitest'
import { planScenario } from '../testing/plan-scenario.ts'

test.for([
  { mode: 'one state after the other', maxConcurrency: 1 },
  { mode: 'in parallel', maxConcurrency: 8 },
])('a plan comes to the same wherever a process dies, $mode', { timeout: 120_000 }, async ({ maxConcurrency }) => {
  const { cases, runs, effects } = await crashMatrix(planScenario(memoryStore, maxConcurrency))

  expect(cases).toBeGreaterThan(300)
  expect(runs.get('release-1')).toMatchObject({ status: 'completed' })
  expect([...effects.values()]).toEqual([1])
})
