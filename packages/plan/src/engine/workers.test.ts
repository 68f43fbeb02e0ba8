import { memoryStore } from '@varve/store-memory'
import { createWorker } from '@varve/worker'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { childState } from '../definition/child-state.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { createEngine } from './engine.ts'

const params = z.object({ n: z.int() })
const double = defineState({ id: 'double', params, output: z.int(), run: ({ params: { n } }) => n * 2 })
const doubling = definePlan({ id: 'doubling', version: '1', params, states: [double], output: double })
const child = childState({ id: 'child', params, plan: doubling, childParams: ({ params: { n } }) => ({ n: n + 1 }) })
const parent = definePlan({ id: 'parent', version: '1', params, states: [child], output: child })

test('plans that were enqueued are driven by workers of another engine, children and all', async () => {
  const store = memoryStore()
  await using front = createEngine({ store, plans: [parent] })
  await using back = createEngine({ store, plans: [parent, doubling] })
  for (let n = 0; n < 5; n++) await front.start(parent, { n }, { runId: `r${n}`, wait: false })

  await using worker = createWorker({ kernel: back.kernel, concurrency: 2, signals: [] })
  worker.start()
  const outputs = []
  for (let n = 0; n < 5; n++) outputs.push(await front.follow(`r${n}`))

  expect(outputs).toMatchObject([2, 4, 6, 8, 10].map((output) => ({ status: 'completed', output })))
  expect(worker.health().counts.claimed).toBeGreaterThan(5)
  expect(await back.verify('r4')).toMatchObject({ ok: true })
})
