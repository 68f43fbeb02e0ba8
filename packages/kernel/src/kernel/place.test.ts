import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { storeError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

const leaf = defineWorkflow(
  { name: 'leaf', version: '1', input: z.null() },
  { step: (_, next) => next.complete('done') },
)

/** Has a child, and then a successor that has none. */
const family = defineWorkflow(
  { name: 'family', version: '1', input: z.int() },
  {
    step: ({ input, results }, next) => {
      if (input === 0) return next.complete('last')
      return results['leaf'] ? next.continueAsNew(input - 1) : next.child(leaf, null)
    },
  },
)

const place = { queue: 'reports', priority: -3, concurrencyKey: 'customer-7' }

function setup() {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  return { clock, store, kernel: createKernel({ store, workflows: [leaf, family], clock }) }
}

describe('the queue, the priority and the concurrency key of a run', () => {
  test.for([true, false])('stand in its log and in its row (wait: %s)', async (wait) => {
    const { store, kernel } = setup()

    await kernel.start(leaf, null, { runId: 'r', ...place, wait })

    expect(await kernel.get('r')).toMatchObject(place)
    expect(await dataOf(store, 'r', 'RunStarted')).toMatchObject([place])
  })

  test('are not recorded when they are not given', async () => {
    const { store, kernel } = setup()

    await kernel.start(leaf, null, { runId: 'r' })

    const [started] = await dataOf(store, 'r', 'RunStarted')
    expect(started).not.toHaveProperty('priority')
    expect(started).not.toHaveProperty('concurrencyKey')
    expect(started).not.toHaveProperty('startAt')
    expect(await kernel.get('r')).toMatchObject({ queue: 'default', priority: 0 })
  })

  test.for<[what: string, options: object]>([
    ['a priority above 100', { priority: 101 }],
    ['a priority below -100', { priority: -101 }],
    ['half a priority', { priority: 0.5 }],
    ['an empty concurrency key', { concurrencyKey: '' }],
  ])('are refused with %s', async ([, options]) => {
    const { kernel } = setup()

    const starting = kernel.start(leaf, null, { runId: 'r', ...options })

    await expect(starting).rejects.toMatchObject(storeError('INVALID_ARGUMENT'))
    expect(await kernel.find('r')).toBeUndefined()
  })

  test('are those of its children and successors, too, but its start is not', async () => {
    const { clock, store, kernel } = setup()

    await kernel.start(family, 1, { runId: 'r', ...place, delayMs: 60_000 })
    await clock.advance(60_000)
    await settled()

    const { items } = await kernel.list()
    expect(items.map(({ workflow, status }) => [workflow, status]).sort()).toEqual([
      ['family', 'completed'],
      ['family', 'continued'],
      ['leaf', 'completed'],
    ])
    for (const row of items) {
      expect(row).toMatchObject(place)
      const [started] = await dataOf(store, row.runId, 'RunStarted')
      expect(started).toMatchObject(place)
      expect('startAt' in started!).toBe(row.runId === 'r')
      expect(await kernel.verify(row.runId)).toMatchObject({ ok: true })
    }
  })

  test('are those of a fork, as its log says', async () => {
    const { kernel } = setup()
    await kernel.start(leaf, null, { runId: 'r', ...place })

    await kernel.fork('r', { at: 1, as: 'same' })
    await kernel.fork('r', { at: 1, as: 'other', edit: { priority: 100, concurrencyKey: 'customer-8' } })

    expect(await kernel.get('same')).toMatchObject(place)
    expect(await kernel.get('other')).toMatchObject({ ...place, priority: 100, concurrencyKey: 'customer-8' })
  })
})
