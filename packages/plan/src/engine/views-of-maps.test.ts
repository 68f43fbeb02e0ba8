import { expect, test } from 'vitest'
import { z } from 'zod'
import { mapState } from '../definition/map-state.ts'
import { defineState } from '../definition/state.ts'
import { definePlan } from '../definition/plan.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { Progress } from './progress.ts'

/** A map over four items, the first of which fails, and what needs it. */
function failingFirst() {
  const map = mapState({
    id: 'map',
    items: () => [0, 1, 2, 3],
    key: (n) => `n${n}`,
    output: z.int(),
    concurrency: 1,
    run: ({ item }) => {
      if (item === 0) throw new Error('zero')
      return item
    },
  })
  const sum = defineState({ id: 'sum', needs: { map }, output: z.int(), run: ({ needs }) => needs.map.length })
  return definePlan({ id: 'p', version: '1', states: [map, sum] })
}

test('a map whose item has failed has failed when all others have closed, and not between two of them', async () => {
  const engine = testEngine({ config: { onFailure: 'keep-going' } })
  await engine.start(failingFirst(), undefined, { runId: 'r' })

  const steps: Progress[] = await Array.fromAsync(engine.progress('r'))

  const seen = steps.flatMap(({ changed }) => changed)
  const ends = seen.filter(({ id, status }) => id === 'map' && status === 'failed')
  expect(ends).toMatchObject([{ items: { done: 4, total: 4 } }])
  expect(seen.filter(({ id }) => id === 'sum').map(({ status }) => status)).toEqual(['pending', 'blocked'])
  const counts = steps.map(({ done }) => done)
  expect(counts).toEqual(counts.toSorted((a, b) => a - b))
})

test('the items of a map are known as soon as its list is there', async () => {
  const engine = testEngine({ config: { onFailure: 'keep-going' } })
  await engine.start(failingFirst(), undefined, { runId: 'r' })

  const views = (await Array.fromAsync(engine.progress('r'))).flatMap(({ changed }) => changed)

  const items = views.flatMap(({ items: counted }) => (counted === undefined ? [] : [counted]))
  expect([...new Set(items.map(({ done, total }) => `${done} of ${total}`))]).toEqual([
    ...['0 of 0', '0 of 4', '1 of 4', '2 of 4', '3 of 4', '4 of 4'],
  ])
})
