import * as kernel from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { crashMatrix } from '../crash-matrix.ts'
import { isDecisive, pairsOf, PATIENCE_MS } from './depth.ts'
import { familyScenario, type Story } from './family.ts'

const COMPLETED = { status: 'completed', output: ['succeeded', 'succeeded', 'timed-out', 'expired'] }

/** What each story comes to. */
const stories: readonly { story: Story; outcome: object; runs: number; effects: number }[] = [
  { story: 'completes', outcome: COMPLETED, runs: 3, effects: 3 },
  { story: 'continues', outcome: { status: 'continued' }, runs: 6, effects: 6 },
  { story: 'is canceled', outcome: { status: 'canceled', reason: 'enough' }, runs: 3, effects: 4 },
]

describe.for([...stories])('a family of runs that $story', ({ story, outcome, runs: count, effects: acts }) => {
  test('comes to its end and does everything once', async () => {
    const { runs, effects } = await crashMatrix(familyScenario(kernel, story, memoryStore), { only: 'none' })

    expect(runs.get('story')).toMatchObject({ outcome })
    expect(runs.size).toBe(count)
    expect([...effects.values()]).toEqual(Array.from({ length: acts }, () => 1))
  })

  test('comes to the same wherever a process dies or loses an answer', { timeout: PATIENCE_MS }, async () => {
    const { cases } = await crashMatrix(familyScenario(kernel, story, memoryStore), { pairs: pairsOf({ sample: 200 }) })

    expect(cases).toBeGreaterThan(350)
  })

  test(
    'comes to the same when a process dies at any append or action, and the next one too',
    { timeout: PATIENCE_MS },
    async () => {
      const scenario = familyScenario(kernel, story, memoryStore)

      const { cases } = await crashMatrix(scenario, { points: isDecisive, pairs: 'all' })

      expect(cases).toBeGreaterThan(400)
    },
  )
})
