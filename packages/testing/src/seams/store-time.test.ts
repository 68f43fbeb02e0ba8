import { ActionError, createKernel, defineWorkflow, type Clock, type Kernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { virtualClock, type VirtualClock } from '../virtual-clock.ts'
import { openSqlite, type OpenStore } from './stores.ts'

/*
 * A worker whose clock is wrong writes no wrong times: whatever a log and a row say is by the clock of the store.
 */

const stores: readonly (readonly [name: string, open: OpenStore])[] = [
  ['in memory', (options) => Promise.resolve(memoryStore(options))],
  ['SQLite', openSqlite],
]

const skews = [60_000, -60_000, 0]

const cases = stores.flatMap(([name, open]) => skews.map((skewMs) => ({ name, open, skewMs })))

/** Waits in each of the ways there are, told by its input. */
const waiting = defineWorkflow(
  {
    ...{ name: 'waiting', version: '1', input: z.enum(['sleep', 'retry', 'ask', 'wait']) },
    actions: {
      flaky: {
        retry: { maxAttempts: 2, baseMs: 8000, jitter: 'none' },
        run: (_: null, { attempt }): string => {
          if (attempt < 2) throw new ActionError('transient', 'busy')
          return 'ok'
        },
      },
    },
    interrupts: { ask: { ask: z.null(), answer: z.null() } },
    signals: { go: z.null() },
  },
  {
    step: ({ input, results }, next) => {
      if (Object.keys(results).length > 0) return next.complete(null)
      if (input === 'sleep') return next.sleep(5000)
      if (input === 'retry') return next.run('flaky')
      return input === 'ask' ? next.interrupt('ask', null, { expiresInMs: 9000 }) : next.waitFor('go')
    },
  },
)

/** Waits for what is done, and lets time go on when there is nothing else to wait for. */
async function finish<T>(time: VirtualClock, work: Promise<T>): Promise<T> {
  let over = false as boolean
  const done = work.finally(() => (over = true))
  for (let idle = 1; !over; idle++) {
    await new Promise((resolve) => setImmediate(resolve))
    if (idle % 20 === 0) time.skip()
  }
  return done
}

/** A store by one clock, and a process on it by another. */
async function setup(open: OpenStore, skewMs: number) {
  const time = virtualClock()
  const store = await open({ now: time.now })
  let setByMs = skewMs
  const clock: Clock = { ...time, now: () => time.now() + setByMs }
  const kernel = createKernel({ store, clock, workflows: [waiting] })
  return { time, store, clock, kernel, set: (ms: number) => void (setByMs += ms) }
}

/** A process on it that has just begun, and whose clock is off. */
function another(store: Store, time: VirtualClock, skewMs: number): Kernel {
  const clock: Clock = { ...time, now: () => time.now() + skewMs }
  return createKernel({ store, clock, workflows: [waiting] })
}

async function eventsOf(store: Store): Promise<{ type: string; at: number; data: Record<string, unknown> }[]> {
  const events = []
  for await (const { type, at, body } of store.events.read('r')) {
    events.push({ type, at, data: JSON.parse(body) as Record<string, unknown> })
  }
  return events
}

/** Whole milliseconds leave one of them open. */
function expectAbout(instant: unknown, expected: number): void {
  expect(Math.abs((instant as number) - expected)).toBeLessThanOrEqual(1)
}

describe.for(cases)('on a store $name, of a process whose clock is $skewMs ms off', ({ open, skewMs }) => {
  test('a sleep is over when the store says so, and every event has the time of the store', async () => {
    const { time, store, kernel } = await setup(open, skewMs)
    const began = time.now()

    await finish(time, kernel.start(waiting, 'sleep', { runId: 'r' }))

    const events = await eventsOf(store)
    expect(events.map(({ type }) => type)).toEqual(['RunStarted', 'TimerStarted', 'TimerFired', 'Completed'])
    for (const [i, { at }] of events.entries()) expectAbout(at, i < 2 ? began : began + 5000)
    expectAbout(events[1]?.data['fireAt'], began + 5000)
    expectAbout(time.now(), began + 5000)
    await store[Symbol.asyncDispose]()
  })

  test.for([
    ['retry', 8000, {}],
    ['ask', 9000, {}],
    ['wait', 7000, { deadlineMs: 7000 }],
    ['wait', 7000, { deadlineMs: 7000, wait: false }],
  ] as const)('what it waits for, %s, is due after %d ms', async ([input, ms, options]) => {
    const { time, store, kernel } = await setup(open, skewMs)
    const began = time.now()
    await finish(time, kernel.start(waiting, input, { runId: 'r', ...options }))

    const outcome = await finish(time, kernel.run('r'))

    expect(outcome).toMatchObject({ status: 'blocked' })
    expectAbout((await store.runs.find('r'))?.wakeAt, began + ms)
    await store[Symbol.asyncDispose]()
  })

  test('a process that has claimed a run knows the time from that', async () => {
    const { time, store, kernel } = await setup(open, 0)
    await finish(time, kernel.start(waiting, 'ask', { runId: 'r', wait: false }))
    const began = time.now()

    await finish(time, another(store, time, skewMs).run('r'))

    expectAbout((await store.runs.find('r'))?.wakeAt, began + 9000)
    await store[Symbol.asyncDispose]()
  })

  test.for(['recover', 'run'] as const)('%s takes up a run that is due, and none that is not', async (verb) => {
    const { time, store, kernel } = await setup(open, 0)
    await finish(time, kernel.start(waiting, 'ask', { runId: 'r' }))
    await kernel[Symbol.asyncDispose]()
    const takeUp = async () => {
      await using fresh = another(store, time, skewMs)
      await finish<unknown>(time, verb === 'run' ? fresh.run('r') : fresh.recover())
      return (await store.runs.find('r'))?.status
    }
    time.advance(8000)

    const early = await takeUp()
    const atOnce = time.now()
    time.advance(1001)
    const late = await takeUp()

    expect([early, late]).toEqual(['blocked', 'completed'])
    expect(time.now()).toBe(atOnce + 1001)
    await store[Symbol.asyncDispose]()
  })

  test('the time for a clean-up is counted from when the store was asked to cancel', async () => {
    const { time, store, kernel } = await setup(open, 0)
    await finish(time, kernel.start(waiting, 'wait', { runId: 'r' }))
    time.advance(100_000)
    const asked = time.now()

    await finish(time, another(store, time, skewMs).cancel('r', { reason: 'enough', graceMs: 3000 }))

    const request = (await eventsOf(store)).find(({ type }) => type === 'CancelRequested')
    expectAbout(request?.data['graceUntil'], asked + 3000)
    await store[Symbol.asyncDispose]()
  })

  test('a fork is taken when the store says', async () => {
    const { time, store, kernel } = await setup(open, 0)
    await finish(time, kernel.start(waiting, 'wait', { runId: 'original' }))
    time.advance(100_000)
    const asked = time.now()

    await finish(time, another(store, time, skewMs).fork('original', { at: 1, as: 'r', wait: false }))

    expectAbout((await eventsOf(store)).find(({ type }) => type === 'RunForked')?.at, asked)
    await store[Symbol.asyncDispose]()
  })
})

/** Sets the clock of its machine, and sleeps then. */
const setting = (set: () => void) =>
  defineWorkflow(
    { name: 'setting', version: '1', input: z.null(), actions: { set: { run: set } } },
    {
      step: ({ results }, next) => {
        if (results['set'] === undefined) return next.run('set')
        return results['sleep'] === undefined ? next.sleep(5000) : next.complete(null)
      },
    },
  )

describe.for(stores)('on a store %s', ([, open]) => {
  test.for([3_600_000, -3_600_000])(
    'a machine whose clock is set by %d ms while a run is driven moves none of its times',
    async (ms) => {
      const { time, store, clock, set } = await setup(open, 0)
      const workflow = setting(() => {
        set(ms)
      })
      const kernel = createKernel({ store, clock, workflows: [workflow] })
      const began = time.now()

      await finish(time, kernel.start(workflow, null, { runId: 'r' }))

      const events = await eventsOf(store)
      const slept = events.findIndex(({ type }) => type === 'TimerFired')
      expectAbout(events[slept - 1]?.data['fireAt'], began + 5000)
      for (const [i, { at }] of events.entries()) expectAbout(at, i < slept ? began : began + 5000)
      await store[Symbol.asyncDispose]()
    },
  )
})
