import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { typesOf } from '../testing/sealed-log.ts'
import type { Effect } from '../workflow/action.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'

const LARGE = 'x'.repeat(900_000)
const MORE_THAN_A_PAGE = 10

const waiting = {
  ...{ version: '1', input: z.null() },
  signals: { noise: z.string() },
}

/** Asks, and waits for ten seconds; cleans up when it is canceled. */
const asking = defineWorkflow(
  {
    ...waiting,
    name: 'asking',
    interrupts: { ask: { ask: z.null(), answer: z.number() } },
    actions: { undo: { run: () => null } },
  },
  {
    step: ({ results: { ask } }, next) =>
      ask === undefined ? next.interrupt('ask', null, { expiresInMs: 10_000 }) : next.complete(ask.status),
    cancel: ({ results: { undo } }, next) => (undo === undefined ? next.run('undo', null) : undefined),
  },
)

/** Pays, with a handler that ends when its gate opens. */
function paying(effect: Effect) {
  const gate = Promise.withResolvers<string>()
  const calls = { run: 0, reconcile: 0 }
  const workflow = defineWorkflow(
    {
      ...waiting,
      name: 'paying',
      actions: {
        pay: {
          effect,
          run: () => {
            calls.run++
            return gate.promise
          },
          ...(effect === 'at-most-once' && {
            reconcile: () => {
              calls.reconcile++
              return { status: 'unknown' as const }
            },
          }),
        },
      },
    },
    { step: ({ results: { pay } }, next) => (pay === undefined ? next.run('pay', null) : next.complete(pay.status)) },
  )
  return { workflow, gate, calls }
}

const paid = { ...waiting, signals: { ...waiting.signals, paid: z.string() } }

/** Waits for ten seconds. */
const listening = defineWorkflow(
  { ...paid, name: 'listening' },
  {
    step: ({ results: { paid } }, next) =>
      paid === undefined ? next.waitFor('paid', { timeoutMs: 10_000 }) : next.complete(paid.status),
  },
)

/** Pays, with a handler that ends when its gate opens, and waits beside that; its code fails on the outcome. */
function failing(gate: Promise<string>) {
  return defineWorkflow(
    { ...paid, name: 'failing', initialState: () => null, actions: { pay: { run: () => gate } } },
    {
      reduce: (state, { type }) => {
        if (type === 'ActionSucceeded') throw new Error('no outcome is expected')
        return state
      },
      step: (_, next) => next.all([next.run('pay', null), next.waitFor('paid')]),
    },
  )
}

function setup(workflow: Workflow<null>) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const kernelOf = () => createKernel({ store, clock, workflows: [workflow] })
  const kernel = kernelOf()
  const makeNoise = async (from = kernel): Promise<void> => {
    for (let n = 0; n < MORE_THAN_A_PAGE; n++) {
      await from.signal('r', { name: 'noise', value: LARGE, wait: false })
    }
  }
  return { clock, store, kernel, kernelOf, makeNoise }
}

describe('what waits behind more than a page of other posts', () => {
  test('is an answer that came in time, however late its run is driven', async () => {
    const { clock, kernel, makeNoise } = setup(asking)
    await kernel.start(asking, null, { runId: 'r' })
    await makeNoise()
    await kernel.resume('r', { key: 'ask', value: 1, wait: false })
    clock.block(20_000)

    expect(await kernel.run('r')).toMatchObject({ status: 'completed', output: 'resumed' })
  })

  test('is not needed to know that a signal before it came too late', async () => {
    const { clock, store, kernel, makeNoise } = setup(listening)
    await kernel.start(listening, null, { runId: 'r' })
    clock.block(20_000)
    await kernel.signal('r', { name: 'paid', value: 'late', wait: false })
    await makeNoise()

    expect(await kernel.run('r')).toMatchObject({ status: 'completed', output: 'timed-out' })
    expect(await typesOf(store, 'r')).not.toContain('SignalDelivered')
  })

  test('is left there where the code fails on an outcome before it, of which nothing else is told', async () => {
    const gate = Promise.withResolvers<string>()
    const workflow = failing(gate.promise)
    const { kernel, kernelOf, makeNoise } = setup(workflow)
    void kernel.start(workflow, null, { runId: 'r' }).catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()
    gate.resolve('paid')
    await settled()
    const another = kernelOf()
    await makeNoise(another)

    await expect(another.run('r')).rejects.toMatchObject(kernelError('REDUCER_FAILED'))

    expect(await another.get('r')).toMatchObject({ status: 'running', problem: { code: 'REDUCER_FAILED' } })
  })

  test('is no second request to cancel where the deadline has passed meanwhile', async () => {
    const { clock, store, kernel, makeNoise } = setup(asking)
    await kernel.start(asking, null, { runId: 'r', deadlineMs: 10_000 })
    await makeNoise()
    await kernel.cancel('r', { reason: 'enough', wait: false })
    clock.block(20_000)

    expect(await kernel.run('r')).toMatchObject({ status: 'canceled' })
    expect(await typesOf(store, 'r')).toContain('ActionSucceeded')
  })

  test.for(['idempotent', 'at-most-once'] as const)(
    'is the outcome of an attempt, which is neither begun anew nor asked about: %s',
    async (effect) => {
      const { workflow, gate, calls } = paying(effect)
      const { store, kernel, kernelOf, makeNoise } = setup(workflow)
      void kernel.start(workflow, null, { runId: 'r' }).catch(() => undefined)
      await settled()
      await kernel[Symbol.asyncDispose]()
      const another = kernelOf()
      await makeNoise(another)
      gate.resolve('paid')
      await settled()

      expect(await another.run('r')).toMatchObject({ status: 'completed', output: 'succeeded' })

      expect(calls).toEqual({ run: 1, reconcile: 0 })
      const types = await typesOf(store, 'r')
      expect(types.filter((type) => type !== 'SignalReceived')).toEqual([
        ...['RunStarted', 'ActionRequested', 'ActionSucceeded', 'Completed'],
      ])
    },
  )
})
