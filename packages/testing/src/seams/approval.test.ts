import * as kernel from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { crashMatrix } from '../crash-matrix.ts'
import { approvalScenario, RUN_ID } from './approval.ts'
import { pairsOf, PATIENCE_MS } from './depth.ts'

const OUTCOME = { status: 'completed', runId: RUN_ID, output: { sum: 3, approved: true } }
const NEVER = Number.POSITIVE_INFINITY

test('a process may die anywhere without losing or repeating an answer', async () => {
  const { runs, effects, points } = await crashMatrix(approvalScenario(kernel, memoryStore), { pairs: 'none' })

  expect(runs.get(RUN_ID)).toMatchObject({ outcome: OUTCOME })
  expect([...effects.values()]).toEqual([1, 1, 1, 1])
  expect(points.length).toBeGreaterThan(50)
})

describe('a run with an approval comes to the same wherever its process dies or loses an answer, also twice', () => {
  test.for([
    { title: 'in memory, without posts', postAt: NEVER, pairs: 'all', atLeast: 1500 },
    { title: 'in memory, with posts before the first append', postAt: 1, pairs: { sample: 500 }, atLeast: 550 },
    { title: 'in memory, with posts right after it', postAt: 3, pairs: { sample: 500 }, atLeast: 550 },
    { title: 'in memory, with posts in the midst of it', postAt: 6, pairs: { sample: 500 }, atLeast: 550 },
    { title: 'in memory, with posts towards its end', postAt: 10, pairs: { sample: 500 }, atLeast: 540 },
  ] as const)('$title', { timeout: PATIENCE_MS }, async ({ postAt, pairs, atLeast }) => {
    const { cases } = await crashMatrix(approvalScenario(kernel, memoryStore, postAt), { pairs: pairsOf(pairs) })

    expect(cases).toBeGreaterThanOrEqual(atLeast)
  })
})
