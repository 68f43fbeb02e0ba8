import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

/** Its input is text that its schema may make something of that is no JSON. */
const counted = defineWorkflow(
  { name: 'counted', version: '1', input: z.string().transform(Number) },
  { step: ({ input }, next) => next.complete(input) },
)

describe('a child whose input its schema turns into no JSON', () => {
  const fine = defineWorkflow(
    { name: 'fine', version: '1', input: z.string() },
    { step: ({ input }, next) => next.complete(input) },
  )

  test('is a child that failed, and keeps no other from being started', async () => {
    const parent = defineWorkflow(
      { name: 'parent', version: '1', input: z.null() },
      {
        step: ({ results }, next) =>
          results['counted'] && results['fine']
            ? next.complete([results['counted'].status, results['fine'].status])
            : next.all([next.child(counted, 'many'), next.child(fine, 'x')]),
      },
    )
    await using kernel = createKernel({ store: memoryStore(), workflows: [parent, counted, fine] })
    await kernel.start(parent, null, { runId: 'p' })
    await settled()

    expect(await kernel.run('p')).toMatchObject({ status: 'completed', output: ['failed', 'succeeded'] })
  })

  test('is no successor that a run ends for', async () => {
    const counting = defineWorkflow(
      { name: 'counting', version: '1', input: z.string().transform(Number) },
      { step: ({ input }, next) => (input === 0 ? next.continueAsNew('many') : next.complete(input)) },
    )
    await using kernel = createKernel({ store: memoryStore(), workflows: [counting] })

    const starting = kernel.start(counting, '0', { runId: 'r' })

    await expect(starting).rejects.toMatchObject({ code: 'NOT_JSON' })
    expect((await kernel.find('r'))?.status).not.toBe('continued')
  })
})

describe('a parent whose child has continued as a version that is not there', () => {
  const child = defineWorkflow(
    { name: 'child', version: '1', input: z.number(), signals: { go: z.null() } },
    { step: ({ input }, next) => (input === 0 ? next.continueAsNew(1, { version: '2' }) : next.waitFor('go')) },
  )
  const newer = defineWorkflow(
    { name: 'child', version: '2', input: z.number(), signals: { go: z.null() } },
    { step: (_, next) => next.waitFor('go') },
  )
  const parent = defineWorkflow(
    { name: 'parent', version: '1', input: z.null(), signals: { done: z.null() } },
    {
      step: ({ results }, next) =>
        results['done'] ? next.complete('well') : next.all([next.child(child, 0), next.waitFor('done')]),
    },
  )

  async function begun() {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    const kernel = createKernel({ store, clock, workflows: [parent, child], onWarning: () => undefined })
    await kernel.start(parent, null, { runId: 'p' })
    await settled()
    return { clock, store, kernel }
  }

  test('can be canceled, and owes nothing', async () => {
    const { store, kernel } = await begun()

    expect(await kernel.cancel('p', { reason: 'enough' })).toMatchObject({ status: 'canceled' })
    expect(await store.runs.find('p')).toMatchObject({ status: 'canceled', owes: [] })
  })

  test('can complete, and the successor that is started when its version is there is canceled', async () => {
    const { clock, store, kernel } = await begun()

    const outcome = await kernel.signal('p', { name: 'done', value: null })
    kernel.register(newer)
    await clock.advance(120_000)
    await kernel.recover()
    await settled()

    expect(outcome).toMatchObject({ status: 'completed', output: 'well' })
    const { items } = await store.runs.list({ workflow: 'child' }, { limit: 10 })
    expect(items.map(({ status, owes }) => [status, owes])).toEqual([
      ['canceled', []],
      ['continued', []],
    ])
  })
})

test('what a child is started with has a name for its workflow', async () => {
  const nameless = defineWorkflow(
    { name: 'nameless', version: '1', input: z.null() },
    { step: (_, next) => next.child({ name: 5 } as never, null, { key: 'k' }) },
  )
  const kernel = createKernel({ store: memoryStore(), workflows: [nameless] })

  await expect(kernel.start(nameless, null, { runId: 'r' })).rejects.toMatchObject({ code: 'INVALID_STEP' })
  expect(await kernel.find('r')).toBeUndefined()
})
