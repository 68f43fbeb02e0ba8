import * as kernel from '@varve/kernel'
import { describe, expect, test } from 'vitest'
import { crashMatrix } from '../crash-matrix.ts'
import { approvalScenario } from './approval.ts'
import { isLong, pairsOf, PATIENCE_MS } from './depth.ts'
import { familyScenario, type Story } from './family.ts'
import type { OpenStore } from './stores.ts'

const stories: readonly Story[] = ['completes', 'is canceled', 'continues']

/** Every boundary once, and 200 pairs in all: of the first story and of an approval, in the long form of all of them. */
export function survivesOn(name: string, open: OpenStore): void {
  describe(`on ${name}`, () => {
    test.for(isLong ? stories : stories.slice(0, 1))(
      'a family of runs that %s comes to the same',
      { timeout: PATIENCE_MS },
      async (story) => {
        const pairs = pairsOf({ sample: 120 })

        const { cases, points } = await crashMatrix(familyScenario(kernel, story, open), { pairs })

        expect(points.length).toBeGreaterThan(150)
        expect(cases).toBeGreaterThanOrEqual(points.length + 120)
      },
    )

    test('a run with an approval, posted to by others, comes to the same', { timeout: PATIENCE_MS }, async () => {
      const pairs = pairsOf({ sample: 80 })

      const { cases, points } = await crashMatrix(approvalScenario(kernel, open, 6), { pairs })

      expect(points.length).toBeGreaterThan(40)
      expect(cases).toBeGreaterThanOrEqual(points.length + 80)
    })
  })
}
