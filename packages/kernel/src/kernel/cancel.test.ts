import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, readLog, typesOf } from '../testing/sealed-log.ts'
import type { Decision } from '../workflow/decision.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import type { Next } from '../workflow/next.ts'
import type { WorkflowTypes } from '../workflow/reduce-event.ts'
import type { ResultsState } from '../workflow/results-state.ts'
import { createKernel } from './kernel.ts'
import type { KernelOptions } from './options.ts'

const HOUR = 3_600_000

type CleanUp = (state: ResultsState, next: Next<WorkflowTypes>) => unknown

/** Charges, which takes as long as the test wants, and meanwhile asks, sleeps and waits. */
function setup(cancel?: CleanUp, options: Partial<KernelOptions> = {}) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const aborted: string[] = []
  const charged = Promise.withResolvers<string>()
  const refunded = Promise.withResolvers<string>()
  const calls: string[] = []
  const workflow = defineWorkflow(
    {
      ...{ name: 'paying', version: '1', input: z.null() },
      interrupts: { ask: { ask: z.null(), answer: z.null() } },
      signals: { paid: z.null() },
      events: { cleaned: z.null() },
      actions: {
        charge: {
          run: async (_: null, { signal }) => {
            signal.addEventListener('abort', () => aborted.push('charge'))
            return charged.promise
          },
        },
        refund: { run: async () => (calls.push('refund'), refunded.promise) },
        fail: {
          run: (): string => {
            throw new Error('no refund')
          },
        },
      },
    },
    {
      step: ({ results }, next) => {
        if (results['charge']?.status === 'succeeded') return next.complete('charged')
        const idle = [next.interrupt('ask', null), next.sleep(HOUR), next.waitFor('paid')]
        return next.all([next.run('charge'), ...idle])
      },
      ...(cancel && { cancel: cancel as () => ReturnType<Next<WorkflowTypes>['emit']> }),
    },
  )
  const another = () => createKernel({ store, workflows: [workflow], clock, onWarning: () => undefined, ...options })
  const kernel = another()
  /** Starts the run and returns while it charges. */
  const started = async (deadlineMs?: number) => {
    const starting = kernel.start(workflow, null, { runId: 'r', ...(deadlineMs !== undefined && { deadlineMs }) })
    // Tests that dispose of the kernel do not look at it.
    starting.catch(() => undefined)
    await settled()
    return { starting }
  }
  return { clock, store, kernel, another, workflow, aborted, charged, refunded, calls, started }
}

const refund: CleanUp = (_, next) => next.run('refund')

describe('canceling a run', () => {
  test('drops what is open, aborts its handlers, and ends it', async () => {
    const { store, kernel, aborted, started } = setup()
    const { starting } = await started()

    const outcome = await kernel.cancel('r', { reason: 'not needed', by: 'me' })

    expect(outcome).toEqual({ status: 'canceled', runId: 'r', reason: 'not needed' })
    expect(await starting).toEqual(outcome)
    expect(aborted).toEqual(['charge'])
    expect(await dataOf(store, 'r', 'CancelRequested')).toEqual([{ reason: 'not needed', by: 'me' }])
    expect(await dataOf(store, 'r', 'ItemDropped')).toEqual([
      { key: 'charge', outcome: 'unknown' },
      { key: 'ask', outcome: 'not started' },
      { key: 'sleep', outcome: 'not started' },
      { key: 'paid', outcome: 'not started' },
    ])
    expect((await typesOf(store, 'r')).at(-1)).toBe('Canceled')
    expect(await kernel.get('r')).toMatchObject({ status: 'canceled', blockedOn: [], wakeAt: null })
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('a handler that answers although it was aborted is not heard', async () => {
    const { store, kernel, charged, started } = setup()
    await started()

    await kernel.cancel('r', { reason: 'no' })
    charged.resolve('too late')
    await settled()

    expect(await typesOf(store, 'r')).not.toContain('ActionSucceeded')
    expect(await kernel.get('r')).toMatchObject({ waiting: 0 })
  })

  test('that has ended is refused, and nothing is written', async () => {
    const { store, kernel, charged, started } = setup()
    const { starting } = await started()
    charged.resolve('paid')
    await starting
    const log = await readLog(store, 'r')

    await expect(kernel.cancel('r', { reason: 'no' })).rejects.toMatchObject(kernelError('RUN_TERMINAL'))
    expect(await readLog(store, 'r')).toEqual(log)
  })

  test('that is not there is refused', async () => {
    const { kernel } = setup()

    await expect(kernel.cancel('nobody', { reason: 'no' })).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })

  test('before it was ever driven ends it without its step', async () => {
    const { store, kernel, workflow } = setup()
    await kernel.start(workflow, null, { runId: 'r', wait: false })

    const outcome = await kernel.cancel('r', { reason: 'never mind' })

    expect(outcome).toMatchObject({ status: 'canceled' })
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'CancelRequested', 'Canceled'])
  })
})

describe('cleaning up', () => {
  test('asks for items until it wants nothing, and then the run ends', async () => {
    const { store, kernel, calls, refunded, started } = setup(refund)
    await started()

    const canceling = kernel.cancel('r', { reason: 'no' })
    await settled()
    const during = await kernel.get('r')
    refunded.resolve('back')

    expect(during.status).toBe('running')
    expect(await canceling).toMatchObject({ status: 'canceled', reason: 'no' })
    expect(calls).toEqual(['refund'])
    expect((await typesOf(store, 'r')).slice(-3)).toEqual(['ActionRequested', 'ActionSucceeded', 'Canceled'])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('sees what was dropped, and may emit events', async () => {
    const seen: unknown[] = []
    const { store, kernel, started } = setup(({ results }, next) => {
      if (seen.push(results['charge']) > 1) return undefined
      return next.emit({ type: 'DomainEvent', name: 'cleaned', payload: null } as never)
    })
    await started()

    await kernel.cancel('r', { reason: 'no' })

    expect(seen[0]).toEqual({ status: 'dropped', outcome: 'unknown' })
    expect(await dataOf(store, 'r', 'DomainEvent')).toEqual([{ name: 'cleaned', payload: null }])
  })

  test('may wait, and the run is blocked meanwhile', async () => {
    const { clock, kernel, started } = setup((_, next) => next.sleep(HOUR, { key: 'cool down' }))
    await started()

    const outcome = await kernel.cancel('r', { reason: 'no' })
    await clock.advance(HOUR)

    expect(outcome).toMatchObject({ status: 'blocked', blockedOn: [{ key: 'cool down' }] })
    expect(await kernel.get('r')).toMatchObject({ status: 'canceled' })
  })

  test('that fails is over: the run is canceled', async () => {
    const { kernel, started } = setup((_, next) => next.run('fail'))
    await started()

    expect(await kernel.cancel('r', { reason: 'no' })).toMatchObject({ status: 'canceled' })
  })

  test('goes on after a crash', async () => {
    const { clock, store, kernel, another, refunded, started } = setup(refund)
    await started()
    void kernel.cancel('r', { reason: 'no' }).catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()
    refunded.resolve('back')
    await clock.advance(HOUR)

    await using next = another()
    const outcome = await next.run('r')

    expect(outcome).toMatchObject({ status: 'canceled', reason: 'no' })
    expect(await dataOf(store, 'r', 'CancelRequested')).toHaveLength(1)
    expect(await dataOf(store, 'r', 'ActionSucceeded')).toMatchObject([{ key: 'refund' }])
  })

  test.for<[what: string, answer: (next: Next<WorkflowTypes>) => unknown]>([
    ['completes', (next) => next.complete(1)],
    ['fails', (next) => next.fail('no')],
    ['continues as new', (next) => next.continueAsNew(null)],
    ['answers something else', () => 'done'],
  ])('that %s is refused', async ([, answer]) => {
    const { kernel, started } = setup((_, next) => answer(next))
    await started()

    const canceling = kernel.cancel('r', { reason: 'no' })

    await expect(canceling).rejects.toMatchObject(kernelError('INVALID_STEP'))
    expect(await kernel.get('r')).toMatchObject({ problem: { code: 'INVALID_STEP' } })
  })
})

describe('a clean-up ends early', () => {
  test('when the run is canceled a second time', async () => {
    const { store, kernel, started } = setup(refund)
    await started()
    const first = kernel.cancel('r', { reason: 'no' })
    await settled()

    const second = await kernel.cancel('r', { reason: 'at once' })

    expect(second).toMatchObject({ status: 'canceled', reason: 'no' })
    expect(await first).toEqual(second)
    expect((await dataOf(store, 'r', 'ItemDropped')).at(-1)).toEqual({ key: 'refund', outcome: 'unknown' })
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('although it would go on asking for something new', async () => {
    const { kernel, started } = setup(({ results }, next) =>
      next.waitFor('paid', { key: `clean:${Object.keys(results).length}` }),
    )
    await started()
    const first = await kernel.cancel('r', { reason: 'no' })

    const second = await kernel.cancel('r', { reason: 'at once' })

    expect(first).toMatchObject({ status: 'blocked', blockedOn: [{ key: 'clean:4' }] })
    expect(second).toMatchObject({ status: 'canceled', reason: 'no' })
  })

  test('when its time is over', async () => {
    const { clock, kernel, started } = setup(refund)
    await started()

    const canceling = kernel.cancel('r', { reason: 'no', graceMs: 1000 })
    await settled()
    await clock.advance(999)
    const before = await kernel.get('r')
    await clock.advance(1)

    expect(before.status).toBe('running')
    expect(await canceling).toMatchObject({ status: 'canceled', reason: 'no' })
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('when its time is over, although it waits and no process lives', async () => {
    const { clock, kernel, another, started } = setup((_, next) => next.waitFor('paid', { key: 'clean' }))
    await started()
    const wakeAt = clock.now() + HOUR

    const outcome = await kernel.cancel('r', { reason: 'no', graceMs: HOUR })
    await kernel[Symbol.asyncDispose]()
    await clock.advance(2 * HOUR)
    await using next = another()
    const recovered = await next.recover()

    expect(outcome).toMatchObject({ status: 'blocked', wakeAt })
    expect(recovered).toMatchObject([{ outcome: { status: 'canceled' } }])
  })
})

describe('a deadline', () => {
  test('fails the run, and aborts its handlers', async () => {
    const { clock, store, kernel, aborted, started } = setup()
    const { starting } = await started(1000)

    await clock.advance(999)
    const before = await kernel.get('r')
    await clock.advance(1)

    expect(before.status).toBe('running')
    expect(await starting).toMatchObject({ status: 'failed', error: { code: 'DEADLINE_EXCEEDED' } })
    expect(aborted).toEqual(['charge'])
    expect((await typesOf(store, 'r')).at(-1)).toBe('Failed')
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('fails it after its clean-up', async () => {
    const { clock, kernel, calls, refunded, started } = setup(refund)
    const { starting } = await started(1000)

    await clock.advance(1000)
    const during = await kernel.get('r')
    refunded.resolve('back')

    expect(during.status).toBe('running')
    expect(await starting).toMatchObject({ status: 'failed', error: { code: 'DEADLINE_EXCEEDED' } })
    expect(calls).toEqual(['refund'])
  })

  test('wakes a run that waits for nothing else', async () => {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    const waiting = defineWorkflow(
      { name: 'waiting', version: '1', input: z.null(), signals: { go: z.null() } },
      { step: (_, next) => next.waitFor('go') as Decision },
    )
    const kernel = createKernel({ store, workflows: [waiting], clock })
    const wakeAt = clock.now() + HOUR

    const outcome = await kernel.start(waiting, null, { runId: 'r', deadlineMs: HOUR })
    await clock.advance(HOUR)

    expect(outcome).toMatchObject({ status: 'blocked', wakeAt })
    expect(await kernel.run('r')).toMatchObject({ status: 'failed', error: { code: 'DEADLINE_EXCEEDED' } })
  })

  test('that a run meets changes nothing', async () => {
    const { clock, store, charged, started } = setup()
    const { starting } = await started(HOUR)
    charged.resolve('paid')
    await starting

    await clock.advance(2 * HOUR)

    expect(await starting).toMatchObject({ status: 'completed' })
    expect(await typesOf(store, 'r')).not.toContain('CancelRequested')
  })

  test('that is over when the run is canceled leaves it its clean-up', async () => {
    const { clock, store, kernel, another, calls, refunded, started } = setup(refund)
    await started(HOUR)
    await kernel[Symbol.asyncDispose]()
    await clock.advance(2 * HOUR)
    refunded.resolve('back')

    await using next = another()
    const outcome = await next.cancel('r', { reason: 'no' })

    expect(outcome).toMatchObject({ status: 'canceled', reason: 'no' })
    expect(calls).toEqual(['refund'])
    expect(await dataOf(store, 'r', 'CancelRequested')).toHaveLength(1)
  })

  test.for([-1, Number.NaN, '5', 5n, Symbol('s'), null, 1e300])('of %o ms is refused', async (deadlineMs) => {
    const { kernel, workflow } = setup()

    const starting = kernel.start(workflow, null, { runId: 'r', deadlineMs: deadlineMs as number })

    await expect(starting).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  })
})

test.for([
  ['a reason that is no text', { reason: 7 }],
  ['a name that is too long', { reason: 'no', by: 'x'.repeat(1001) }],
  ['no reason', {}],
] as const)('a cancel with %s is refused, and not set aside when nobody looks', async ([, options]) => {
  const { kernel, store, started } = setup(refund)
  await started()

  const canceling = kernel.cancel('r', { ...options, wait: false } as never)

  await expect(canceling).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  expect((await store.runs.find('r'))?.waiting).toBe(0)
})

test.for([-1, -1e14, Number.NaN, Number.POSITIVE_INFINITY, 1e300, '5', true, null, [], 5n, Symbol('s')])(
  'a cancel with %o for the time of its clean-up is refused',
  async (graceMs) => {
    const { kernel, store, started } = setup(refund)
    await started()

    const canceling = kernel.cancel('r', { reason: 'no', graceMs: graceMs as number, wait: false })

    await expect(canceling).rejects.toMatchObject({
      ...kernelError('INVALID_INPUT'),
      message: expect.stringContaining('graceMs') as string,
    })
    expect((await store.runs.find('r'))?.waiting).toBe(0)
  },
)
