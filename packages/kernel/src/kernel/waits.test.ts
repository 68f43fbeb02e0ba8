import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError } from '../testing/expected-errors.ts'
import type { LooseNext } from '../testing/loose-step.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, readLog, typesOf } from '../testing/sealed-log.ts'
import type { Decision, Requests } from '../workflow/decision.ts'
import { defineWorkflow, type StepContext, type Workflow } from '../workflow/define-workflow.ts'
import type { ResultsState } from '../workflow/results-state.ts'
import { createKernel } from './kernel.ts'
import type { KernelOptions } from './options.ts'

/** `next` with the names of this workflow. */
interface WaitingNext extends LooseNext {
  readonly sleep: (ms: number, options?: { key?: string }) => Requests
  readonly waitFor: (signal: string, options?: { key?: string; timeoutMs?: number }) => Requests
  readonly interrupt: (kind: string, ask: unknown, options?: { key?: string; expiresInMs?: number }) => Requests
}

type Step = (state: ResultsState, next: WaitingNext, ctx: StepContext) => unknown

function workflowOf(step: Step): Workflow<null> {
  return defineWorkflow(
    {
      ...{ name: 'waiting', version: '1', input: z.null() },
      signals: { paid: z.object({ cents: z.number().int() }), noted: z.string().trim() },
      interrupts: { ask: { ask: z.null(), answer: z.string() } },
      actions: { call: { run: () => 'called' } },
    },
    { step: step as unknown as () => Decision },
  )
}

/** Asks for one thing and completes with all results. */
const once = (request: (next: WaitingNext) => Requests): Step => {
  return ({ results }, next) => {
    const asked = request(next)
    const done = asked.of.every((item) => 'key' in item && results[item.key] !== undefined)
    return done ? next.complete({ ...results }) : asked
  }
}

function setup(step: Step, options: Partial<KernelOptions> = {}) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const workflow = workflowOf(step)
  const another = (more: Partial<KernelOptions> = {}) =>
    createKernel({ store, workflows: [workflow], clock, onWarning: () => undefined, ...options, ...more })
  const kernel = another()
  return { clock, store, workflow, kernel, another, start: () => kernel.start(workflow, null, { runId: 'r' }) }
}

const HOUR = 3_600_000

describe('sleeping', () => {
  test('for up to 5 seconds is waited for in process', async () => {
    const { clock, kernel, store, start } = setup(once((next) => next.sleep(5000)))

    const starting = start()
    await settled()
    const during = await kernel.get('r')
    await clock.advance(4999)
    const before = await typesOf(store, 'r')
    await clock.advance(1)

    expect(during).toHaveProperty('lease')
    expect(before).toEqual(['RunStarted', 'TimerStarted'])
    expect(await starting).toMatchObject({ status: 'completed', output: { sleep: { status: 'fired' } } })
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('for longer blocks the run, which the kernel wakes when its time has come', async () => {
    const { clock, kernel, start } = setup(once((next) => next.sleep(5001, { key: 'nap' })))
    const wakeAt = clock.now() + 5001

    const outcome = await start()
    const row = await kernel.get('r')
    await clock.advance(5000)
    const before = await kernel.get('r')
    await clock.advance(1)

    const blockedOn = [{ kind: 'timer', key: 'nap', name: 'timer', until: wakeAt }]
    expect(outcome).toEqual({ status: 'blocked', runId: 'r', blockedOn, wakeAt })
    expect(row).toMatchObject({ status: 'blocked', blockedOn, wakeAt })
    expect(row).not.toHaveProperty('lease')
    expect(before.status).toBe('blocked')
    expect(await kernel.get('r')).toMatchObject({ status: 'completed' })
  })

  test('goes on after the process: recover keeps the timer, or drives what is due', async () => {
    const { clock, kernel, another, start } = setup(once((next) => next.sleep(HOUR)))
    await start()
    await kernel[Symbol.asyncDispose]()

    await using next = another()
    const early = await next.recover()
    await clock.advance(HOUR)

    expect(early).toEqual([])
    expect(await next.get('r')).toMatchObject({ status: 'completed' })
  })

  test('that was over while no process lived is over at once', async () => {
    const { clock, kernel, another, start } = setup(once((next) => next.sleep(HOUR)))
    await start()
    await kernel[Symbol.asyncDispose]()
    await clock.advance(2 * HOUR)

    await using next = another()
    const recovered = await next.recover()

    expect(recovered).toMatchObject([{ runId: 'r', outcome: { status: 'completed' } }])
  })

  test('no time fires in the next turn, and leaves no timer behind', async () => {
    const { clock, start } = setup(once((next) => next.sleep(0)))

    const starting = start()
    await settled()
    await clock.advance(0)

    expect(await starting).toMatchObject({ status: 'completed' })
    expect(clock.pending).toBe(0)
  })

  test('running it before its time appends nothing', async () => {
    const { clock, kernel, store, start } = setup(once((next) => next.sleep(HOUR)))
    const blocked = await start()
    const log = await readLog(store, 'r')
    await clock.advance(HOUR - 1)

    expect(await kernel.run('r')).toEqual(blocked)
    expect(await readLog(store, 'r')).toEqual(log)
  })

  test('the least of several times counts, and each fires by itself', async () => {
    const { clock, kernel, store, start } = setup(({ results }, next) => {
      if (results['a'] && results['b']) return next.complete('both')
      return next.all([next.sleep(2 * HOUR, { key: 'b' }), next.sleep(HOUR, { key: 'a' })])
    })
    const began = clock.now()

    const outcome = await start()
    await clock.advance(HOUR)
    const between = await kernel.get('r')
    await clock.advance(HOUR)

    expect(outcome).toMatchObject({ wakeAt: began + HOUR })
    expect(between).toMatchObject({ status: 'blocked', wakeAt: began + 2 * HOUR })
    expect(await dataOf(store, 'r', 'TimerFired')).toEqual([{ key: 'a' }, { key: 'b' }])
    expect(await kernel.get('r')).toMatchObject({ status: 'completed' })
  })

  test.for([-1, Number.NaN, Number.POSITIVE_INFINITY])('for %s ms is refused', async (ms) => {
    const { kernel, start } = setup(once((next) => next.sleep(ms)))

    await expect(start()).rejects.toMatchObject(kernelError('INVALID_STEP'))
    expect(await kernel.find('r')).toBeUndefined()
  })
})

describe('waiting for a signal', () => {
  test('blocks until it comes, and its value is what the schema makes of it', async () => {
    const { kernel, store, start } = setup(once((next) => next.waitFor('noted')))

    const blocked = await start()
    const outcome = await kernel.signal('r', { name: 'noted', value: ' hello ', id: 's', by: 'me' })

    expect(blocked).toEqual({
      ...{ status: 'blocked', runId: 'r', wakeAt: null },
      blockedOn: [{ kind: 'wait', key: 'noted', name: 'noted' }],
    })
    expect(outcome).toMatchObject({ output: { noted: { status: 'delivered', output: 'hello' } } })
    expect(await dataOf(store, 'r', 'SignalReceived')).toEqual([
      { signalId: 's', name: 'noted', value: 'hello', by: 'me' },
    ])
    expect(await dataOf(store, 'r', 'SignalDelivered')).toEqual([{ key: 'noted', signalId: 's', value: 'hello' }])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  const two: Step = ({ results }, next) => {
    if (results['ask'] === undefined) return next.interrupt('ask', null)
    const second = results['second']
    if (second?.status === 'delivered') return next.complete({ ...results })
    return results['first'] ? next.waitFor('paid', { key: 'second' }) : next.waitFor('paid', { key: 'first' })
  }

  test('takes one that came before, the earliest of its name first', async () => {
    const { kernel, store, start } = setup(two)
    await start()
    await kernel.signal('r', { name: 'noted', value: 'other', id: 'n' })
    await kernel.signal('r', { name: 'paid', value: { cents: 1 }, id: 'a' })
    const kept = await kernel.signal('r', { name: 'paid', value: { cents: 2 }, id: 'b' })

    const outcome = await kernel.resume('r', { key: 'ask', value: 'go' })

    expect(kept).toMatchObject({ status: 'blocked', blockedOn: [{ kind: 'interrupt' }] })
    expect(outcome).toMatchObject({
      output: { first: { output: { cents: 1 } }, second: { output: { cents: 2 } } },
    })
    expect(await dataOf(store, 'r', 'SignalDelivered')).toMatchObject([{ signalId: 'a' }, { signalId: 'b' }])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('kept signals survive a process that reads the run anew', async () => {
    const { kernel, another, start } = setup(two)
    await start()
    await kernel.signal('r', { name: 'paid', value: { cents: 1 } })
    await kernel[Symbol.asyncDispose]()

    await using second = another()
    await second.signal('r', { name: 'paid', value: { cents: 2 } })
    const outcome = await second.resume('r', { key: 'ask', value: 'go' })

    expect(outcome).toMatchObject({
      output: { first: { output: { cents: 1 } }, second: { output: { cents: 2 } } },
    })
  })

  test('a signal id counts once, whatever it says the second time', async () => {
    const { kernel, store, start } = setup(two)
    await start()

    await kernel.signal('r', { name: 'paid', value: { cents: 1 }, id: 'same' })
    await kernel.signal('r', { name: 'paid', value: { cents: 9 }, id: 'same' })

    expect(await dataOf(store, 'r', 'SignalReceived')).toMatchObject([{ value: { cents: 1 } }])
  })

  test.for<[what: string, name: string, value: unknown]>([
    ['that fails its schema', 'paid', { cents: 0.5 }],
    ['that the workflow does not declare', 'payed', { cents: 1 }],
    ['whose name is that of a method of all objects', 'constructor', 1],
  ])('one %s is refused, and nothing is written', async ([, name, value]) => {
    const { kernel, store, start } = setup(two)
    await start()
    const log = await readLog(store, 'r')

    await expect(kernel.signal('r', { name, value })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    expect(await readLog(store, 'r')).toEqual(log)
    expect(await kernel.get('r')).toMatchObject({ waiting: 0 })
  })

  test('a run that has ended takes none, but repeats its outcome for one that it took', async () => {
    const { kernel, start } = setup(once((next) => next.waitFor('noted')))
    await start()
    const outcome = await kernel.signal('r', { name: 'noted', value: 'x', id: 'taken' })

    const again = await kernel.signal('r', { name: 'noted', value: 'x', id: 'taken' })
    const another = kernel.signal('r', { name: 'noted', value: 'x', id: 'new' })

    await expect(another).rejects.toMatchObject(kernelError('RUN_TERMINAL'))
    expect(again).toEqual(outcome)
  })

  test('to no run at all is an error', async () => {
    const { kernel } = setup(two)

    const signaling = kernel.signal('nobody', { name: 'noted', value: 'x' })

    await expect(signaling).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })

  test('only so many are kept, and one that was refused may be sent again', async () => {
    const { kernel, start } = setup(two, { limits: { keptSignals: 2 } })
    await start()
    await kernel.signal('r', { name: 'paid', value: { cents: 1 } })
    await kernel.signal('r', { name: 'noted', value: 'x' })

    const refused = kernel.signal('r', { name: 'paid', value: { cents: 3 }, id: 'third' })

    await expect(refused).rejects.toMatchObject(kernelError('LIMIT_EXCEEDED'))
    await kernel.resume('r', { key: 'ask', value: 'go' })
    expect(await kernel.signal('r', { name: 'paid', value: { cents: 3 }, id: 'third' })).toMatchObject({
      ...{ status: 'completed' },
      output: { second: { output: { cents: 3 } } },
    })
  })

  test('those that come together count together', async () => {
    const { kernel, store, workflow } = setup(two, { limits: { keptSignals: 2 } })
    await kernel.start(workflow, null, { runId: 'r', wait: false })
    for (const id of ['a', 'b', 'c']) {
      const body = JSON.stringify({ signalId: id, name: 'noted', value: id })
      await store.inbox.post('r', { id, type: 'SignalReceived', body }, { maxWaiting: 10 })
    }

    await kernel.run('r')

    expect(await dataOf(store, 'r', 'SignalReceived')).toMatchObject([{ signalId: 'a' }, { signalId: 'b' }])
    expect((await store.inbox.rejected('r', { limit: 10 })).items).toMatchObject([{ id: 'c' }])
  })

  test('one that a wait is open for is taken however many others are kept', async () => {
    const { kernel, start } = setup(
      once((next) => next.waitFor('paid')),
      { limits: { keptSignals: 1 } },
    )
    await start()
    await kernel.signal('r', { name: 'noted', value: 'in the way' })

    const outcome = await kernel.signal('r', { name: 'paid', value: { cents: 1 } })

    expect(outcome).toMatchObject({ status: 'completed' })
  })
})

describe('a wait with a timeout', () => {
  const impatient = once((next) => next.waitFor('paid', { timeoutMs: HOUR }))

  test('closes without its signal when the time is over', async () => {
    const { clock, kernel, store, start } = setup(impatient)
    const wakeAt = clock.now() + HOUR

    const blocked = await start()
    await clock.advance(HOUR)

    const blockedOn = [{ kind: 'wait', key: 'paid', name: 'paid', until: wakeAt }]
    expect(blocked).toEqual({ status: 'blocked', runId: 'r', blockedOn, wakeAt })
    expect(await kernel.run('r')).toMatchObject({ output: { paid: { status: 'timed-out' } } })
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'WaitStarted', 'WaitTimedOut', 'Completed'])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('a signal that came in time beats the timeout, however late the run is driven', async () => {
    const { clock, kernel, store, another, start } = setup(impatient)
    await start()
    await kernel[Symbol.asyncDispose]()
    await clock.advance(HOUR - 1)
    const body = JSON.stringify({ signalId: 's', name: 'paid', value: { cents: 1 } })
    await store.inbox.post('r', { id: 's', type: 'SignalReceived', body }, { maxWaiting: 10 })
    await clock.advance(5 * HOUR)

    await using late = another()
    const recovered = await late.recover()

    expect(recovered).toMatchObject([{ outcome: { output: { paid: { status: 'delivered' } } } }])
    expect(await typesOf(store, 'r')).not.toContain('WaitTimedOut')
  })

  test('a signal that comes after the timeout is kept for the next wait', async () => {
    const { clock, kernel, start } = setup(({ results }, next) => {
      if (results['again']) return next.complete({ ...results })
      if (results['paid']) return next.waitFor('paid', { key: 'again' })
      return next.waitFor('paid', { timeoutMs: HOUR })
    })
    await start()
    await clock.advance(HOUR)

    const outcome = await kernel.signal('r', { name: 'paid', value: { cents: 1 } })

    expect(outcome).toMatchObject({ output: { paid: { status: 'timed-out' }, again: { status: 'delivered' } } })
  })

  test('a signal after that is too late, though nobody was there when the time was over', async () => {
    const { clock, kernel, store, another, start } = setup(({ results }, next) => {
      if (results['again']) return next.complete({ ...results })
      if (results['paid']) return next.waitFor('paid', { key: 'again' })
      return next.waitFor('paid', { timeoutMs: HOUR })
    })
    await start()
    await kernel[Symbol.asyncDispose]()
    await clock.advance(HOUR)

    await using later = another()
    const outcome = await later.signal('r', { name: 'paid', value: { cents: 1 } })

    expect(outcome).toMatchObject({ output: { paid: { status: 'timed-out' }, again: { status: 'delivered' } } })
    expect((await typesOf(store, 'r')).slice(2, 5)).toEqual(['WaitTimedOut', 'SignalReceived', 'WaitStarted'])
    expect(await later.verify('r')).toMatchObject({ ok: true })
  })

  test('two waits for one signal in time and one that came too late: the earlier takes the first, the other times out', async () => {
    const { clock, kernel, another, start } = setup(({ results }, next) => {
      if (results['a'] && results['b']) return next.complete({ ...results })
      return next.all([
        next.waitFor('paid', { key: 'a', timeoutMs: 2 * HOUR }),
        next.waitFor('paid', { key: 'b', timeoutMs: HOUR }),
      ])
    })
    await start()
    await kernel.signal('r', { name: 'paid', value: { cents: 1 }, wait: false })
    await kernel[Symbol.asyncDispose]()
    await clock.advance(HOUR)
    await using late = another()
    await late.signal('r', { name: 'paid', value: { cents: 2 }, wait: false })

    expect(await late.run('r')).toMatchObject({
      output: { a: { status: 'delivered', output: { cents: 1 } }, b: { status: 'timed-out' } },
    })
    expect(await late.verify('r')).toMatchObject({ ok: true })
  })

  test('a signal that came too late for one wait, and in time for the next, closes that one', async () => {
    const { clock, kernel, another, start } = setup(({ results }, next) => {
      if (results['a'] && results['b']) return next.complete({ ...results })
      return next.all([
        next.waitFor('paid', { key: 'a', timeoutMs: HOUR }),
        next.waitFor('paid', { key: 'b', timeoutMs: 3 * HOUR }),
      ])
    })
    await start()
    await kernel[Symbol.asyncDispose]()
    await clock.advance(2 * HOUR)
    await using late = another({ workflows: [] })
    await late.signal('r', { name: 'paid', value: { cents: 1 }, wait: false })
    await clock.advance(2 * HOUR)

    await using later = another()
    const outcome = await later.run('r')

    expect(outcome).toMatchObject({ output: { a: { status: 'timed-out' }, b: { status: 'delivered' } } })
    expect(await later.verify('r')).toMatchObject({ ok: true })
  })

  test('two waits for one late signal: the earlier takes it, the other times out', async () => {
    const { clock, kernel, store, another, start } = setup(({ results }, next) => {
      if (results['a'] && results['b']) return next.complete({ ...results })
      const wait = (key: string) => next.waitFor('paid', { key, timeoutMs: HOUR })
      return next.all([wait('a'), wait('b')])
    })
    await start()
    await kernel[Symbol.asyncDispose]()
    const body = JSON.stringify({ signalId: 's', name: 'paid', value: { cents: 1 } })
    await store.inbox.post('r', { id: 's', type: 'SignalReceived', body }, { maxWaiting: 10 })
    await clock.advance(2 * HOUR)

    await using late = another()
    const recovering = late.recover()
    await settled()
    await clock.advance(0)

    expect(await recovering).toMatchObject([
      { outcome: { output: { a: { status: 'delivered' }, b: { status: 'timed-out' } } } },
    ])
  })
})

describe('a question that expires', () => {
  const asking = once((next) => next.interrupt('ask', null, { expiresInMs: HOUR }))

  test('closes without its answer', async () => {
    const { clock, kernel, start } = setup(asking)
    const wakeAt = clock.now() + HOUR

    const blocked = await start()
    await clock.advance(HOUR)

    const blockedOn = [{ kind: 'interrupt', key: 'ask', name: 'ask', until: wakeAt }]
    expect(blocked).toMatchObject({ blockedOn, wakeAt })
    expect(await kernel.run('r')).toMatchObject({ output: { ask: { status: 'expired' } } })
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('an answer after that is to a question that is not open', async () => {
    const { clock, kernel, start } = setup(({ results }, next) =>
      results['ask'] ? next.waitFor('paid') : next.interrupt('ask', null, { expiresInMs: HOUR }),
    )
    await start()
    await clock.advance(HOUR)

    const answering = kernel.resume('r', { key: 'ask', value: 'late' })

    await expect(answering).rejects.toMatchObject(kernelError('NOT_OPEN'))
  })

  test('an answer after that is none, though nobody was there when it expired', async () => {
    const { clock, kernel, another, start } = setup(asking)
    await start()
    await kernel[Symbol.asyncDispose]()
    await clock.advance(HOUR)

    const later = another()
    const answering = later.resume('r', { key: 'ask', value: 'late' })

    await expect(answering).rejects.toMatchObject(kernelError('NOT_OPEN'))
    expect(await later.run('r')).toMatchObject({ output: { ask: { status: 'expired' } } })
  })

  test('an answer in time is taken, however late its run is driven', async () => {
    const { clock, kernel, another, start } = setup(asking)
    await start()
    await clock.advance(HOUR - 1)
    await kernel.resume('r', { key: 'ask', value: 'yes', wait: false })
    await kernel[Symbol.asyncDispose]()
    await clock.advance(HOUR)

    expect(await another().run('r')).toMatchObject({ output: { ask: { status: 'resumed', output: 'yes' } } })
  })

  test('an answer in time is taken, and its timer is forgotten', async () => {
    const { clock, kernel, start } = setup(asking)
    await start()

    const outcome = await kernel.resume('r', { key: 'ask', value: 'yes' })

    expect(outcome).toMatchObject({ output: { ask: { status: 'resumed', output: 'yes' } } })
    expect(clock.pending).toBe(0)
  })
})

describe('a key asked for something else', () => {
  type Asked = (next: WaitingNext) => Requests

  test.for<[what: string, before: Asked, after: Asked]>([
    ['another time', (next) => next.sleep(HOUR, { key: 'k' }), (next) => next.sleep(HOUR + 1, { key: 'k' })],
    ['a wait instead of a time', (next) => next.sleep(1, { key: 'k' }), (next) => next.waitFor('paid', { key: 'k' })],
    ['another signal', (next) => next.waitFor('paid', { key: 'k' }), (next) => next.waitFor('noted', { key: 'k' })],
    [
      'another timeout',
      (next) => next.waitFor('paid', { key: 'k', timeoutMs: HOUR }),
      (next) => next.waitFor('paid', { key: 'k' }),
    ],
    [
      'another expiry',
      (next) => next.interrupt('ask', null, { key: 'k', expiresInMs: HOUR }),
      (next) => next.interrupt('ask', null, { key: 'k', expiresInMs: HOUR + 1 }),
    ],
  ])('%s parks the run', async ([, before, after]) => {
    const { kernel, start } = setup(({ results }, next) =>
      results['call'] ? next.all([after(next)]) : next.all([before(next), next.run('call')]),
    )

    await expect(start()).rejects.toMatchObject(kernelError('KEY_REUSED'))
    expect(await kernel.get('r')).toMatchObject({ problem: { code: 'KEY_REUSED' } })
  })

  test('the same again, later, is the same item', async () => {
    const { clock, store, start } = setup(({ results }, next) => {
      if (results['nap']) return next.complete('rested')
      const nap = next.sleep(4000, { key: 'nap' })
      const both = [nap, next.sleep(1000, { key: 'short' }), next.waitFor('paid', { timeoutMs: 9000 })]
      return next.all(both)
    })

    const starting = start()
    await settled()
    await clock.advance(1000)
    await clock.advance(3000)

    expect(await starting).toMatchObject({ status: 'completed' })
    expect(await dataOf(store, 'r', 'TimerStarted')).toHaveLength(2)
  })
})
