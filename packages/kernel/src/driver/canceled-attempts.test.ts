import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { ActionError } from '../policy/action-error.ts'
import { retryWithBackoff } from '../policy/retry.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { typesOf } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

// More than a turn drops at once, and few.
test.each([700, 3])('once a run is canceled none of its %i retries that are due is begun', async (count) => {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  let canceled = false
  let late = 0
  const keys = Array.from({ length: count }, (_, i) => `k${i}`)
  const flow = defineWorkflow(
    {
      ...{ name: 'flow', version: '1', input: z.null() },
      actions: {
        pay: {
          run: () => {
            if (canceled) late++
            throw new ActionError('transient', 'again')
          },
        },
      },
    },
    { step: (_, next) => next.all(keys.map((key) => next.run('pay', null, { key }))) },
  )
  // Beyond what a drive waits for: the run is blocked then.
  const policy = retryWithBackoff({ maxAttempts: 5, baseMs: 10_000, jitter: 'none' })
  const kernel = createKernel({ store, clock, workflows: [flow], policy })
  const started = kernel.start(flow, null, { runId: 'r' })
  for (let i = 0; i < 20; i++) await clock.advance(10)
  expect(await started).toMatchObject({ status: 'blocked' })

  clock.block(20_000)
  canceled = true
  const other = createKernel({ store, clock, workflows: [] })
  await other.cancel('r', { reason: 'stop', wait: false })
  const ended = kernel.run('r')
  for (let i = 0; i < 20; i++) await clock.advance(10)

  expect(await ended).toMatchObject({ status: 'canceled' })
  expect(late).toBe(0)
  const types = await typesOf(store, 'r')
  expect(types.slice(types.indexOf('CancelRequested'))).toEqual([
    'CancelRequested',
    ...keys.map(() => 'ItemDropped'),
    'Canceled',
  ])
})

test('once a run is canceled no attempt is begun that was permitted again at the same time, while the rest is dropped', async () => {
  const store = memoryStore()
  let canceled = false
  let late = 0
  // Ten more than a turn drops.
  const keys = Array.from({ length: 510 }, (_, i) => `k${i}`)
  const pay = (): never => {
    if (canceled) late++
    throw new Error('nobody knows')
  }
  const flow = defineWorkflow(
    { name: 'flow', version: '1', input: z.null(), actions: { pay: { effect: 'at-most-once', run: pay } } },
    { step: (_, next) => next.all(keys.map((key) => next.run('pay', null, { key }))) },
  )
  const kernel = createKernel({ store, workflows: [flow] })
  expect(await kernel.start(flow, null, { runId: 'r' })).toMatchObject({ status: 'blocked' })

  const other = createKernel({ store, workflows: [] })
  await other.cancel('r', { reason: 'stop', wait: false })
  canceled = true
  for (const key of keys) {
    const body = JSON.stringify({ key, outcome: { status: 'retry' } })
    await store.inbox.post('r', { id: key, type: 'ActionSettled', body }, { maxWaiting: 1000 })
  }

  expect(await kernel.run('r')).toMatchObject({ status: 'canceled' })
  expect(late).toBe(0)
})
