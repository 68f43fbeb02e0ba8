import { expect, test } from 'vitest'
import { z } from 'zod'
import { mapState } from '../definition/map-state.ts'
import { defineState } from '../definition/state.ts'
import { definePlan } from '../definition/plan.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { StateView } from '../view/plan-status.ts'

/** A map of which some items fail for good, some at first, and what needs it. */
function mapped(failing: ReadonlySet<number>, cache: boolean) {
  const map = mapState({
    id: 'map',
    items: () => Array.from({ length: 8 }, (_, n) => n),
    key: (n) => `n${n}`,
    output: z.int(),
    cache,
    retry: { maxAttempts: 2, baseMs: 0 },
    run: ({ item }) => {
      if (failing.has(item)) throw Object.assign(new Error('never'), { kind: 'transient' })
      return item
    },
  })
  const sum = defineState({ id: 'sum', needs: { map }, output: z.int(), run: ({ needs }) => needs.map.length })
  return definePlan({ id: 'p', version: '1', states: [map, sum] })
}

test.each([
  ['whose items all succeed', new Set<number>(), false],
  ['whose items are taken over', new Set<number>(), true],
  ['whose items fail in part', new Set([2, 5]), false],
])('the progress of a map %s comes to what its status says', async (_, failing, cache) => {
  const engine = testEngine({ config: { onFailure: 'keep-going', maxConcurrency: 3 } })
  const plan = mapped(failing, cache)
  await engine.start(plan, undefined, { runId: 'first' })
  await engine.start(plan, undefined, { runId: 'r' })
  const views = new Map<string, StateView>()
  const counts: number[] = []
  const left: number[] = []

  for await (const { changed } of engine.progress('r')) {
    for (const view of changed) {
      views.set(view.id, view)
      if (view.items === undefined) continue
      counts.push(view.items.done)
      left.push(view.items.total - view.items.done)
    }
  }

  expect([...views.values()]).toEqual((await engine.status('r')).states)
  expect(counts).toEqual(counts.toSorted((a, b) => a - b))
  expect(counts.at(-1)).toBe(8)
  expect([Math.max(...left), left.at(-1)]).toEqual([8, 0])
})
