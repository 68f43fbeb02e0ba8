import { memoryStore } from '@varve/store-memory'
import type { Store } from '@varve/store'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

/** Waits for a signal while an action is under way that ends with `ends`. */
function patient(ends: Promise<void>) {
  return defineWorkflow(
    {
      ...{ name: 'patient', version: '1', input: z.null() },
      actions: { hold: { run: async () => ends } },
      signals: { go: z.null() },
    },
    {
      step: ({ results }, next) =>
        results['go'] ? next.complete('gone') : next.all([next.run('hold', null), next.waitFor('go')]),
    },
  )
}

/** Counts who listens. */
function counted(store: Store, counts: { listening: number }): Store {
  const { notifications } = store
  return {
    ...store,
    notifications: {
      subscribe: (listener) => {
        counts.listening += 1
        return notifications!.subscribe(listener)
      },
    },
  }
}

test('a program whose drives are over soon listens to nobody', async () => {
  const clock = manualClock()
  const counts = { listening: 0 }
  const store = counted(memoryStore({ now: clock.now }), counts)
  const workflow = patient(Promise.resolve())
  await using kernel = createKernel({ store, clock, workflows: [workflow] })

  const { status } = await kernel.start(workflow, null, { runId: 'r' })
  await kernel.signal('r', { name: 'go', value: null })
  await clock.advance(60_000)

  expect({ status, ...counts }).toEqual({ status: 'blocked', listening: 0 })
})

test('a drive that lasts finds what was posted before it listened, and hears of what is posted then', async () => {
  const clock = manualClock()
  const counts = { listening: 0 }
  const shared = memoryStore({ now: clock.now })
  const { promise: ends, resolve: end } = Promise.withResolvers<undefined>()
  const workflow = patient(ends)
  await using kernel = createKernel({ store: counted(shared, counts), clock, workflows: [workflow] })
  await using elsewhere = createKernel({ store: shared, clock, workflows: [] })
  const over: string[] = []
  for (const runId of ['early', 'late'])
    void kernel.start(workflow, null, { runId }).then(({ status }) => over.push(`${runId} ${status}`))
  await settled()

  await elsewhere.signal('early', { name: 'go', value: null, wait: false })
  await settled()
  expect(over).toEqual([])
  await clock.advance(20)
  expect(over).toEqual(['early completed'])
  await elsewhere.signal('late', { name: 'go', value: null, wait: false })
  await settled()

  expect({ over, ...counts }).toEqual({ over: ['early completed', 'late completed'], listening: 1 })
  end(undefined)
})
