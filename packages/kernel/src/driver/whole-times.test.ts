import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { ActionError } from '../policy/action-error.ts'
import { allowAll } from '../policy/policy.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { dataOf, runStarted, writeLog } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

const calling = defineWorkflow(
  {
    ...{ name: 'calling', version: '1', input: z.null() },
    actions: {
      call: {
        run: () => {
          throw new ActionError('transient', 'busy')
        },
      },
    },
  },
  { step: ({ results }, next) => (results['call'] ? next.complete(null) : next.run('call')) },
)

const asking = defineWorkflow(
  { name: 'asking', version: '1', input: z.null(), interrupts: { ask: { ask: z.null(), answer: z.null() } } },
  {
    step: ({ results }, next) => (results['ask'] ? next.complete(null) : next.interrupt('ask', null)),
    cancel: (_, next) => next.interrupt('ask', null, { key: 'sure' }),
  },
)

const THIRD = 100_000 / 3

// Rows of databases keep whole milliseconds.
function setup() {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const policy = { ...allowAll, retryInMs: () => THIRD }
  const kernel = createKernel({ store, clock, policy, workflows: [calling, asking] })
  return { clock, store, kernel }
}

test('a retry after a part of a millisecond is recorded, and made in the next whole one', async () => {
  const { clock, store, kernel } = setup()

  const outcome = await kernel.start(calling, null, { runId: 'r' })

  expect(outcome).toMatchObject({ status: 'blocked', wakeAt: clock.now() + 33_334 })
  await clock.advance(33_333)
  expect(await dataOf(store, 'r', 'ActionAttemptStarted')).toHaveLength(0)
  await clock.advance(1)
  expect(await dataOf(store, 'r', 'ActionAttemptStarted')).toHaveLength(1)
})

test('a deadline of a part of a millisecond lets a run begin', async () => {
  const { clock, store, kernel } = setup()
  await kernel.start(asking, null, { runId: 'r', deadlineMs: THIRD, wait: false })

  const outcome = await kernel.run('r')

  expect(outcome).toMatchObject({ status: 'blocked', wakeAt: clock.now() + 33_334 })
  expect(await dataOf(store, 'r', 'RunStarted')).toMatchObject([{ deadlineAt: clock.now() + 33_334 }])
})

test('a clean-up may take a part of a millisecond', async () => {
  const { clock, store, kernel } = setup()
  await kernel.start(asking, null, { runId: 'r' })

  const outcome = await kernel.cancel('r', { reason: 'enough', graceMs: THIRD })

  expect(outcome).toMatchObject({ status: 'blocked', blockedOn: [{ key: 'sure' }], wakeAt: clock.now() + 33_334 })
  expect(await dataOf(store, 'r', 'CancelRequested')).toMatchObject([{ graceUntil: clock.now() + 33_334 }])
})

test('a log that holds a part of a millisecond is driven on', async () => {
  const { clock, store, kernel } = setup()
  const request = { key: 'call', action: 'call', input: null, effect: 'idempotent' }
  const failed = {
    key: 'call',
    attempt: 1,
    error: { message: 'busy', kind: 'transient' },
    retryAt: clock.now() + THIRD,
  }
  const drafts = [
    { type: 'ActionRequested', data: request },
    { type: 'ActionAttemptFailed', data: failed },
  ]
  await writeLog(store, 'r', [runStarted('calling'), ...drafts], { workflow: 'calling' })

  expect(await kernel.run('r')).toMatchObject({ status: 'blocked', wakeAt: clock.now() + 33_334 })
})
