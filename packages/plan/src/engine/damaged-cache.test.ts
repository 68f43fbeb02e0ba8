import type { Json, Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { testEngine } from '../testing/test-engine.ts'

/** Puts something else into all that the cache keeps. */
async function spoil({ cache }: Store, body: Json): Promise<void> {
  const { items } = await cache.list({}, { limit: 100 })
  for (const entry of items) {
    await cache.delete(entry.key)
    await cache.putIfAbsent({ ...entry, body })
  }
}

test.for<[what: string, body: Json]>([
  ['null', null],
  ['an object of something else', { given: 'x' }],
  ['an output without its artifact', { artifact: null, runId: 'r1', key: 'one', parts: {} }],
  ['an output without the run that made it', { artifact: { $artifact: 'sha256:0' }, key: 'one', parts: {} }],
])('an entry of the cache that was damaged to %s counts for nothing, and is made anew', async ([, body]) => {
  const store = memoryStore()
  const engine = testEngine({ store })
  let runs = 0
  const one = defineState({ id: 'one', output: z.int(), cache: true, run: () => (runs++, 7) })
  const plan = definePlan({ id: 'p', version: '1', states: [one], output: one })
  await engine.start(plan, undefined, { runId: 'r1' })
  await spoil(store, body)

  const outcomes = [
    await engine.start(plan, undefined, { runId: 'r2' }),
    await engine.start(plan, undefined, { runId: 'r3' }),
  ]

  expect(outcomes).toMatchObject([
    { status: 'completed', output: 7 },
    { status: 'completed', output: 7 },
  ])
  expect(runs).toBe(2)
  expect(await engine.explain('r3', one)).toMatchObject([{ reason: 'equal to one of run r2' }])
  await spoil(store, body)
  expect(await engine.explain('r2', one)).toMatchObject([{ reason: 'no run has kept an output of it before' }])
})
