import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { typesOf } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

test('a drain does not turn in circles for a wait that is over, but whose signal the next driver delivers', async () => {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const ends = Promise.withResolvers<null>()
  const both = defineWorkflow(
    {
      ...{ name: 'both', version: '1', input: z.null(), signals: { go: z.null() } },
      actions: { call: { run: () => ends.promise } },
    },
    {
      step: ({ results }, next) =>
        results['call'] && results['go'] && results['sleep']
          ? next.complete(results['go'].status)
          : next.all([next.run('call'), next.waitFor('go', { timeoutMs: 1000 }), next.sleep(3000)]),
    },
  )
  await using kernel = createKernel({ store, clock, workflows: [both] })
  const claim = () => kernel.dispatcher.claim({ queues: [{ name: 'default' }], limit: 1, leaseMs: 30_000 })
  await kernel.start(both, null, { runId: 'run', wait: false })
  const [drained] = await claim()
  await settled()

  drained?.leave('drain')
  await kernel.signal('run', { name: 'go', value: null, wait: false })
  await clock.advance(2000)
  expect((await typesOf(store, 'run')).at(-1)).toBe('SignalReceived')
  await clock.advance(2000)
  expect((await typesOf(store, 'run')).at(-1)).toBe('TimerFired')
  ends.resolve(null)
  await drained?.outcome
  const [again] = await claim()

  expect(await again?.outcome).toMatchObject({ status: 'completed', output: 'delivered' })
})
