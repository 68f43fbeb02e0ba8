import { expect, test } from 'vitest'
import { z } from 'zod'
import { mapState } from '../definition/map-state.ts'
import { definePlan } from '../definition/plan.ts'
import { testEngine } from '../testing/test-engine.ts'

test('equal items under different keys are not taken for each other, since the code sees the key', async () => {
  const rows = mapState({
    id: 'rows',
    items: () => ['same', 'same'],
    key: (_, i) => `row${i}`,
    output: z.string(),
    cache: true,
    run: ({ item, key }) => `${key}: ${item}`,
  })
  const plan = definePlan({ id: 'p', version: '1', states: [rows], output: rows })
  const engine = testEngine({ config: { maxConcurrency: 1 } })

  const outcome = await engine.start(plan, undefined, { runId: 'r' })

  expect(outcome).toMatchObject({
    output: [
      { key: 'row0', value: 'row0: same' },
      { key: 'row1', value: 'row1: same' },
    ],
  })
})

test('an item is compared with what was kept of it, however many items there are', async () => {
  const versioned = (version: string) => {
    const items = Array.from({ length: 60 }, (_, n) => n)
    const all = mapState({
      id: 'all',
      version,
      items: () => items,
      key: (n) => `n${n}`,
      output: z.int(),
      cache: true,
      run: ({ item }) => item,
    })
    return definePlan({ id: 'p', version, states: [all] })
  }
  const engine = testEngine()
  await engine.start(versioned('1'), undefined, { runId: 'first' })
  await engine.start(versioned('2'), undefined, { runId: 'second' })

  const explanations = await engine.explain('second', 'all')

  expect(explanations.find(({ key }) => key === 'all:item:n3')).toMatchObject({
    reason: 'changed: version',
    comparedWith: { runId: 'first', key: 'all:item:n3' },
  })
})
