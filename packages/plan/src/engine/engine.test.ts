import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState, bytes, childState, createEngine, definePlan, defineState, mapState } from '../index.ts'

const numbers = defineState({
  id: 'numbers',
  params: z.object({ upTo: z.int() }),
  output: z.array(z.int()),
  cache: true,
  run: ({ params }) => Array.from({ length: params.upTo }, (_, i) => i + 1),
})
const squares = mapState({
  id: 'squares',
  needs: { numbers },
  items: ({ needs }) => needs.numbers,
  key: (n) => `n${n}`,
  output: z.int(),
  cache: true,
  run: ({ item }) => item * item,
})
const total = defineState({
  id: 'total',
  needs: { squares },
  output: z.int(),
  cache: true,
  run: ({ needs }) => needs.squares.reduce((sum, { value }) => sum + value, 0),
})
const release = approvalState({ id: 'release', needs: { total }, question: ({ needs }) => ({ total: needs.total }) })
const file = defineState({
  id: 'file',
  needs: { total, release },
  output: bytes({ mediaType: 'text/plain' }),
  run: ({ needs }) => new TextEncoder().encode(`total ${needs.total}, ${needs.release.by}`),
})
const sum = definePlan({
  id: 'sum',
  version: '1',
  params: z.object({ upTo: z.int() }),
  states: [numbers, squares, total, release, file],
  output: file,
})

test('a plan runs to its approval, and on to its end', async () => {
  await using engine = createEngine({ store: memoryStore(), plans: [sum] })
  const blocked = await engine.start(sum, { upTo: 4 }, { runId: 'r1' })
  expect(blocked.status).toBe('blocked')
  const done = await engine.approve('r1', release, { approved: true, by: 'ann' })
  expect(done).toMatchObject({ status: 'completed' })
  expect(new TextDecoder().decode(await (await engine.output('r1', file)).bytes())).toBe('total 30, ann')
  expect(await engine.verify('r1')).toMatchObject({ ok: true })
  expect(await engine.replay('r1')).toMatchObject({ ok: true })
})

test('a child plan', async () => {
  const inner = defineState({ id: 'inner', output: z.int(), run: () => 3 })
  const child = definePlan({ id: 'child', version: '1', states: [inner], output: inner })
  const outer = childState({ id: 'outer', plan: child, childParams: () => undefined })
  const plan = definePlan({ id: 'parent', version: '1', states: [outer], output: outer })
  await using engine = createEngine({ store: memoryStore(), plans: [plan] })
  expect(await engine.start(plan, undefined)).toMatchObject({ status: 'completed', output: 3 })
})
