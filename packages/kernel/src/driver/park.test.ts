import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

/** Fails until it has got a signal. */
const stubborn = defineWorkflow(
  {
    ...{ name: 'stubborn', version: '1', input: z.null(), signals: { mend: z.null() } },
    actions: { call: { run: () => null } },
  },
  {
    step: ({ results }, next) => {
      if (!results['call']) return next.run('call')
      if (!results['mend']) return next.waitFor('mend')
      return next.complete('mended')
    },
  },
)

const REQUEST = { queues: [{ name: 'default' }], limit: 1, leaseMs: 30_000 }

/** @param moment - a call of the store; before the first one a signal is sent, and the step fails until then. */
async function failingAt(moment: string) {
  const clock = manualClock()
  const data = memoryStore({ now: clock.now })
  const sent = { yet: false }
  const send = async (): Promise<void> => {
    sent.yet = true
    const body = JSON.stringify({ name: 'mend', signalId: 's', value: null })
    await data.inbox.post('r', { id: 's', type: 'SignalReceived', body }, { maxWaiting: 9 })
  }
  const failing = defineWorkflow(
    { name: 'stubborn', version: '1', input: z.null(), signals: { mend: z.null() } },
    {
      step: ({ results }, next) => {
        if (!sent.yet) throw new Error('not yet')
        return results['mend'] ? next.complete('mended') : next.waitFor('mend')
      },
    },
  )
  const store = recordCalls(data, [], (name) => (name === moment && !sent.yet ? send() : undefined))
  const kernel = createKernel({ store, clock, workflows: [failing], onWarning: () => undefined })
  await kernel.start(failing, null, { runId: 'r', wait: false }).catch(() => undefined)
  return { data, kernel }
}

test('a post that comes while its run is being parked has the run tried again at once', async () => {
  const { data, kernel } = await failingAt('runs.release')
  const [failed] = await kernel.dispatcher.claim(REQUEST)
  await expect(failed?.outcome).rejects.toMatchObject(kernelError('STEP_FAILED'))

  const [again] = await kernel.dispatcher.claim(REQUEST)

  expect(await again?.outcome).toMatchObject({ status: 'completed', output: 'mended' })
  expect(await data.runs.find('r')).toMatchObject({ waiting: 0, recoveries: 0 })
})

test('a parked run whose posts cannot be taken, because its log cannot be read, stays parked', async () => {
  const data = memoryStore()
  const kernel = createKernel({ store: data, workflows: [stubborn] })
  await kernel.start(stubborn, null, { runId: 'r' })
  await kernel.signal('r', { name: 'mend', value: null, wait: false })
  const read: Store['events']['read'] = async function* (...args) {
    for await (const event of data.events.read(...args)) yield { ...event, hash: 'f'.repeat(64) }
  }
  const store = { ...data, events: { ...data.events, read } }
  const broken = createKernel({ store, workflows: [stubborn], onWarning: () => undefined })

  const [run] = await broken.dispatcher.claim(REQUEST)

  await expect(run?.outcome).rejects.toMatchObject({ code: 'CORRUPT_LOG' })
  expect(await data.runs.find('r')).toMatchObject({ waiting: 1, problem: { code: 'CORRUPT_LOG' } })
  expect(await broken.dispatcher.claim(REQUEST)).toEqual([])
})
