import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { budget } from '../policy/budget.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, readLog, runStarted, typesOf, writeLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { verifyEvidence } from '../evidence/verify-evidence.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'
import type { KernelOptions } from './options.ts'

const HOUR = 3_600_000

/** Greets, and takes the signals that it was sent before. */
function greetingOf(asked: number[] = [], version = '1') {
  return defineWorkflow(
    {
      ...{ name: 'greeting', version, input: z.string() },
      signals: { from: z.string() },
      actions: { greet: { run: (text: string) => `hello ${text}` }, tidy: { run: () => null } },
    },
    {
      step: ({ input, results }, next, { now }) => {
        asked.push(now)
        const from = results['from']
        if (from === undefined) return next.waitFor('from', { timeoutMs: 1000 })
        const who = from.status === 'delivered' ? ` from ${from.output as string}` : ''
        const greeted = results['greet']
        return greeted?.status === 'succeeded' ? next.complete(greeted.output) : next.run('greet', `${input}${who}`)
      },
      cancel: (_, next) => next.run('tidy'),
    },
  )
}

function setup(options: Partial<KernelOptions> = {}) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const asked: number[] = []
  const greeting = greetingOf(asked)
  const another = (more: Partial<KernelOptions> = {}) =>
    createKernel({ store, workflows: [greeting], clock, ...options, ...more })
  const startAt = clock.now() + HOUR
  const waiting = {
    ...{ status: 'blocked', wakeAt: startAt },
    blockedOn: [{ kind: 'timer', key: '\nstart', name: 'start', until: startAt }],
  }
  return { clock, store, asked, greeting, kernel: another(), another, startAt, waiting }
}

describe('a run that is to begin later', () => {
  test('is recorded and blocked, and begins when its time has come', async () => {
    const { clock, store, asked, greeting, kernel, startAt, waiting } = setup()

    const outcome = await kernel.start(greeting, 'ada', { runId: 'r', startAt })
    const row = await kernel.get('r')
    await clock.advance(HOUR - 1)
    const before = [...asked]
    await clock.advance(1)
    const first = asked[0]
    await clock.advance(1000)

    expect(outcome).toEqual({ runId: 'r', ...waiting })
    expect(row).toMatchObject(waiting)
    expect(row).not.toHaveProperty('lease')
    expect(before).toEqual([])
    expect(first).toBe(startAt)
    expect(await kernel.run('r')).toMatchObject({ status: 'completed', output: 'hello ada' })
    expect(await typesOf(store, 'r')).toEqual([
      ...['RunStarted', 'WaitStarted', 'WaitTimedOut', 'ActionRequested', 'ActionSucceeded', 'Completed'],
    ])
    expect(await dataOf(store, 'r', 'RunStarted')).toMatchObject([{ startAt }])
  })

  test.for<[what: string, options: (now: number) => object]>([
    ['a date', (now) => ({ startAt: new Date(now + HOUR) })],
    ['Unix milliseconds', (now) => ({ startAt: now + HOUR })],
    ['a part of a millisecond', (now) => ({ startAt: now + HOUR - 0.5 })],
    ['a delay', () => ({ delayMs: HOUR })],
  ])('may be told its time as %s', async ([, options]) => {
    const { clock, greeting, kernel, waiting } = setup()

    expect(await kernel.start(greeting, 'ada', { runId: 'r', ...options(clock.now()) })).toMatchObject(waiting)
  })

  test.for<[what: string, options: object]>([
    ['both', { startAt: 5, delayMs: 5 }],
    ['an invalid date', { startAt: new Date(Number.NaN) }],
    ['a negative time', { startAt: -1 }],
    ['a negative delay', { delayMs: -1 }],
    ['an endless delay', { delayMs: Number.POSITIVE_INFINITY }],
    ['a time that is text', { startAt: '1700003600000' }],
    ['a delay that is text', { delayMs: '5' }],
  ])('is refused with %s', async ([, options]) => {
    const { greeting, kernel } = setup()

    const starting = kernel.start(greeting, 'ada', { runId: 'r', ...options })

    await expect(starting).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    expect(await kernel.find('r')).toBeUndefined()
  })

  test.for([0, -HOUR])('begins at once when its time is %d ms from now', async (ms) => {
    const { clock, asked, greeting, kernel } = setup()
    const began = clock.now()

    await Promise.race([kernel.start(greeting, 'ada', { startAt: began + ms }), settled()])

    expect(asked).toEqual([began])
  })

  test('is waited for in process when its time is near', async () => {
    const { clock, greeting, kernel } = setup()

    const starting = kernel.start(greeting, 'ada', { delayMs: 5000 })
    await settled()
    await clock.advance(5000)
    await clock.advance(1000)

    expect(await starting).toMatchObject({ status: 'completed' })
  })

  test('costs one commit when nobody waits for it, and is driven by whoever recovers it', async () => {
    const { clock, store, asked, greeting, another, waiting } = setup()
    const calls: string[] = []

    await another({ store: recordCalls(store, calls) }).start(greeting, 'ada', {
      ...{ runId: 'r', delayMs: HOUR, wait: false },
    })
    const row = await store.runs.find('r')
    const kernel = another()
    const early = await kernel.recover()
    await clock.advance(HOUR)

    expect(calls).toEqual(['store.now', 'events.append'])
    expect(row).toMatchObject(waiting)
    expect(early).toEqual([])
    expect(asked).toHaveLength(1)
  })

  test('is not claimed before its time', async () => {
    const { clock, store, greeting, kernel } = setup()
    await kernel.start(greeting, 'ada', { runId: 'r', delayMs: HOUR, wait: false })
    const claim = () =>
      store.runs.claim({
        ...{ owner: { id: 'o', boot: null, pidNamespace: null, pid: 1, startedAt: null }, limit: 1, leaseMs: 1000 },
        ...{ workflows: [{ name: 'greeting', versions: ['1'] }], queues: [{ name: 'default' }], formats: [1] },
      })

    const early = await claim()
    await clock.advance(HOUR)

    expect(early).toEqual([])
    expect(await claim()).toMatchObject([{ runId: 'r' }])
  })

  test('keeps the signals that come before, and takes them when it has begun', async () => {
    const { clock, asked, greeting, kernel, waiting } = setup()
    await kernel.start(greeting, 'ada', { runId: 'r', delayMs: HOUR })

    const outcome = await kernel.signal('r', { name: 'from', value: 'bob' })
    const askedBefore = asked.length
    await clock.advance(HOUR)

    expect(outcome).toMatchObject(waiting)
    expect(askedBefore).toBe(0)
    expect(await kernel.run('r')).toMatchObject({ output: 'hello ada from bob' })
  })

  test('ends when it is canceled before, and cleans nothing up', async () => {
    const { store, asked, greeting, kernel } = setup()
    await kernel.start(greeting, 'ada', { runId: 'r', delayMs: HOUR })

    const outcome = await kernel.cancel('r', { reason: 'changed my mind' })

    expect(outcome).toMatchObject({ status: 'canceled', reason: 'changed my mind' })
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'CancelRequested', 'Canceled'])
    expect(asked).toEqual([])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('fails at its deadline, which counts from when it was asked for', async () => {
    const { clock, greeting, kernel } = setup()

    const outcome = await kernel.start(greeting, 'ada', { runId: 'r', delayMs: HOUR, deadlineMs: 10_000 })
    await clock.advance(10_000)

    expect(outcome).toMatchObject({ status: 'blocked', wakeAt: clock.now() })
    expect(await kernel.run('r')).toMatchObject({ status: 'failed', error: { code: 'DEADLINE_EXCEEDED' } })
  })

  test('has its whole budget of time when it begins', async () => {
    const { clock, greeting, kernel } = setup({ policy: budget({ wallClockMs: 5000 }) })
    await kernel.start(greeting, 'ada', { runId: 'r', delayMs: HOUR })

    await clock.advance(HOUR + 1000)

    expect(await kernel.run('r')).toMatchObject({ output: 'hello ada' })
    expect(await kernel.timeline('r')).toMatchObject({ spent: { wallClockMs: 1000 } })
  })

  test('is returned as it is when it is started again, whatever is said of its time then', async () => {
    const { store, greeting, kernel, waiting } = setup()
    await kernel.start(greeting, 'ada', { runId: 'r', delayMs: HOUR })
    const log = await readLog(store, 'r')

    const again = await kernel.start(greeting, 'ada', { runId: 'r', priority: 5, queue: 'other' })

    expect(again).toMatchObject(waiting)
    expect(await readLog(store, 'r')).toEqual(log)
    expect(await kernel.get('r')).toMatchObject({ priority: 0, queue: 'default' })
  })

  test('may be taken up by a process that died right after it had begun to wait', async () => {
    const { clock, asked, greeting, kernel, another, startAt } = setup()
    await kernel.start(greeting, 'ada', { runId: 'r', startAt })
    await kernel[Symbol.asyncDispose]()
    await clock.advance(2 * HOUR)

    const recovering = another().recover()
    await settled()
    await clock.advance(1000)

    expect(await recovering).toMatchObject([{ runId: 'r', outcome: { status: 'completed' } }])
    expect(asked[0]).toBe(startAt + HOUR)
  })
})

describe('the log of a run that began later', () => {
  async function begun() {
    const made = setup()
    const { clock, greeting, kernel } = made
    await kernel.start(greeting, 'ada', { runId: 'r', delayMs: HOUR })
    await kernel.signal('r', { name: 'from', value: 'bob' })
    await clock.advance(HOUR)
    return made
  }

  test('verifies, and shows the run as blocked before', async () => {
    const { kernel } = await begun()

    expect(await kernel.verify('r')).toMatchObject({ ok: true })
    expect(await kernel.stateAt('r', 2)).toMatchObject({ status: 'blocked', head: 2 })
    expect(await kernel.replay('r')).toMatchObject({ status: 'completed' })
    expect(await kernel.timeline('r')).toMatchObject({ status: 'completed' })
  })

  test.for([
    [1000, true],
    [1001, false],
  ] as const)('with a decision at 1000 and its start at %d is as the code decides: %s', async ([startAt, ok]) => {
    const { store, kernel } = setup()
    const { type, data } = runStarted('greeting', 'ada')
    const waited = { type: 'WaitStarted', data: { key: 'from', signal: 'from', fireAt: 2000 } }
    await writeLog(store, 'r', [{ type, data: { ...(data as object), startAt } }, waited], { workflow: 'greeting' })

    expect(await kernel.verify('r')).toMatchObject({ ok })
  })

  test('can be exported, and is proven offline', async () => {
    const { kernel } = await begun()
    const text: string[] = []
    for await (const line of kernel.exportEvidence('r')) text.push(line)

    expect(await verifyEvidence(text.join(''))).toMatchObject({ ok: true })
  })

  test('a fork of it waits for the same time, unless that has passed', async () => {
    const { clock, greeting, kernel, waiting } = setup()
    await kernel.start(greeting, 'ada', { runId: 'r', delayMs: HOUR, priority: 7, concurrencyKey: 'ada' })

    const before = await kernel.fork('r', { at: 1, as: 'before' })
    await clock.advance(HOUR)
    const after = kernel.fork('r', { at: 1, as: 'after' })
    await settled()
    await clock.advance(1000)

    expect(before).toMatchObject(waiting)
    expect(await after).toMatchObject({ status: 'completed' })
    expect(await kernel.run('before')).toMatchObject({ status: 'completed' })
    expect(await kernel.get('after')).toMatchObject({ priority: 7, concurrencyKey: 'ada' })
    expect(await kernel.verify('after')).toMatchObject({ ok: true })
  })

  test('a fork may be given another time', async () => {
    const { clock, greeting, kernel } = setup()
    await kernel.start(greeting, 'ada', { runId: 'r', delayMs: HOUR })

    const outcome = await kernel.fork('r', { at: 1, as: 'later', edit: { startAt: clock.now() + 2 * HOUR } })

    expect(outcome).toMatchObject({ status: 'blocked', wakeAt: clock.now() + 2 * HOUR })
  })

  test('a run that waits for its start may be moved to another version, and goes on waiting', async () => {
    const { clock, asked, greeting, another, waiting } = setup()
    const newer: number[] = []
    const kernel = another({ workflows: [greeting, greetingOf(newer, '2')] })
    const old = another()
    await old.start(greeting, 'ada', { runId: 'r', delayMs: HOUR, wait: false })

    const outcome = await kernel.migrate('r', { to: '2' })
    await clock.advance(HOUR)

    expect(outcome).toMatchObject(waiting)
    expect(asked).toEqual([])
    expect(newer).toHaveLength(1)
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })
})
