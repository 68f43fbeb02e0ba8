import { memoryStore } from '@varve/store-memory'
import type { Notifications, Store, StoreChange } from '@varve/store'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { Changes } from './changes.ts'
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

test('a drive finds what was posted before it listened as soon as somebody waits for its run', async () => {
  const clock = manualClock()
  const shared = memoryStore({ now: clock.now })
  const { promise: ends, resolve: end } = Promise.withResolvers<undefined>()
  const workflow = patient(ends)
  await using kernel = createKernel({ store: shared, clock, workflows: [workflow] })
  await using elsewhere = createKernel({ store: shared, clock, workflows: [] })
  const driven = kernel.start(workflow, null, { runId: 'r' })
  await settled()
  await elsewhere.signal('r', { name: 'go', value: null, wait: false })

  const types: string[] = []
  for await (const { type } of kernel.watch('r')) types.push(type)

  expect(types).toContain('Completed')
  expect(await driven).toMatchObject({ status: 'completed' })
  end(undefined)
})

test('a drive that lasts longer than its store is told so by its own calls, and by nothing else', async () => {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const { promise: ends, resolve: end } = Promise.withResolvers<undefined>()
  const workflow = patient(ends)
  const warnings: string[] = []
  const onWarning = (error: Error): unknown => warnings.push(error.message)
  const kernel = createKernel({ store, clock, workflows: [workflow], onWarning })
  const driven = kernel.start(workflow, null, { runId: 'r' })
  driven.catch(() => undefined)
  await settled()

  await store[Symbol.asyncDispose]()
  await clock.advance(20)
  expect(warnings).toEqual([])
  end(undefined)

  await expect(driven).rejects.toMatchObject({ code: 'STORE_CLOSED' })
  await kernel[Symbol.asyncDispose]()
})

test('what is told while nobody is to listen any more sets no timer', async () => {
  const clock = manualClock()
  const anyPosted: StoreChange = { kind: 'posted', dueInMs: 0 }
  const subscribe: Notifications['subscribe'] = (listener) => ({
    [Symbol.asyncDispose]: async () => {
      listener(anyPosted)
    },
  })
  const store = { ...memoryStore({ now: clock.now }), notifications: { subscribe } }
  const changes = new Changes({ clock, store, warn: () => undefined }, () => true)
  changes.driving()
  await clock.advance(20)
  expect(clock.pending).toBe(1)

  await changes.close()

  expect(clock.pending).toBe(0)
})

test('a subscription that fails while nobody waits for it is told as a warning', async () => {
  const clock = manualClock()
  const shared = memoryStore({ now: clock.now })
  const subscribe = (): never => {
    throw new Error('nobody to listen to')
  }
  const { promise: ends, resolve: end } = Promise.withResolvers<undefined>()
  const workflow = patient(ends)
  const warnings: string[] = []
  const onWarning = (error: Error): unknown => warnings.push(error.message)
  const store = { ...shared, notifications: { subscribe } }
  await using kernel = createKernel({ store, clock, workflows: [workflow], onWarning })
  const driven = kernel.start(workflow, null, { runId: 'r' })
  await settled()

  await clock.advance(20)
  end(undefined)

  expect(await driven).toMatchObject({ status: 'blocked' })
  expect(warnings).toEqual(['nobody to listen to'])
})

/** An action for each of `ends`, one after the other, and then a signal. */
function steady(ends: readonly Promise<void>[]) {
  return defineWorkflow(
    {
      ...{ name: 'steady', version: '1', input: z.null() },
      actions: { hold: { run: async (at: number) => ends[at] } },
      signals: { go: z.null() },
    },
    {
      step: ({ results }, next) => {
        const at = Object.keys(results).length
        if (results['go'] !== undefined) return next.complete('gone')
        return at < ends.length ? next.run('hold', at, { key: `hold ${at}` }) : next.waitFor('go')
      },
    },
  )
}

/** Notes what is asked; appends are answered when `answered` is. */
function slowAppends(store: Store, calls: string[], slow: { answered?: Promise<void> }): Store {
  const recorded = recordCalls(store, calls)
  const append: Store['events']['append'] = async (...request) => {
    const appended = await store.events.append(...request)
    await slow.answered
    return appended
  }
  return { ...recorded, events: { ...recorded.events, append } }
}

/** A run of three actions that end when the test says so, on a store whose appends are answered and which tells of changes likewise. */
async function slowRun() {
  const clock = manualClock()
  const calls: string[] = []
  const ends = [1, 2, 3].map(() => Promise.withResolvers<undefined>())
  const workflow = steady(ends.map(({ promise }) => promise))
  const slow: { answered?: Promise<void> } = {}
  const store = slowAppends(memoryStore({ now: clock.now }), calls, slow)
  let tell: (change: StoreChange) => void = () => undefined
  const notifications: Notifications = {
    subscribe: (listener) => {
      tell = listener
      return store.notifications!.subscribe(listener)
    },
  }
  const kernel = createKernel({ store: { ...store, notifications }, clock, workflows: [workflow] })
  const driven = kernel.start(workflow, null, { runId: 'r' })
  await settled()
  return {
    clock,
    /** Ends so many actions, from the first on. */
    end: (count: number) => {
      for (const { resolve } of ends.slice(0, count)) resolve(undefined)
    },
    /** From now on no append is answered. @returns what has those answered that were asked for since. */
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<undefined>()
      slow.answered = promise
      return resolve as () => void
    },
    tellOfAny: () => {
      tell({ kind: 'posted', dueInMs: 0 })
    },
    looks: () => calls.filter((name) => name === 'inbox.list').length,
    status: async () => {
      const { status } = await driven
      await kernel[Symbol.asyncDispose]()
      return status
    },
  }
}

test('a drive that appends when posts may have been missed, and then again, looks for none: its append tells', async () => {
  const { clock, end, hold, looks, status } = await slowRun()

  const answerBefore = hold()
  end(3)
  await settled()
  await clock.advance(200)
  const answerSince = hold()
  answerBefore()
  await settled()
  await clock.advance(200)
  answerSince()

  expect(await status()).toBe('blocked')
  expect(looks()).toBe(0)
})

test('an append is no look at what was missed while it was under way, as by a connection that was lost', async () => {
  const { clock, end, hold, tellOfAny, looks, status } = await slowRun()

  const answerBefore = hold()
  end(2)
  await settled()
  await clock.advance(20)
  const answerSince = hold()
  answerBefore()
  await settled()
  tellOfAny()
  answerSince()
  await settled()
  expect(looks()).toBe(0)
  await clock.advance(20)
  expect(looks()).toBe(1)

  end(3)
  expect(await status()).toBe('blocked')
})

test('an append that was asked for before posts may have been missed is no look at them', async () => {
  const { clock, end, hold, looks, status } = await slowRun()

  const answer = hold()
  end(1)
  await settled()
  await clock.advance(200)
  answer()
  await settled()
  expect(looks()).toBe(0)
  await clock.advance(20)
  expect(looks()).toBe(1)

  await clock.advance(1000)
  end(3)
  expect(await status()).toBe('blocked')
  expect(looks()).toBe(1)
})

test('a drive that lasts looks for no post where the store tells of none', async () => {
  const clock = manualClock()
  const calls: string[] = []
  const { notifications: _, ...silent } = recordCalls(memoryStore({ now: clock.now }), calls)
  const { promise: ends, resolve: end } = Promise.withResolvers<undefined>()
  const workflow = patient(ends)
  await using kernel = createKernel({ store: silent, clock, workflows: [workflow] })
  const driven = kernel.start(workflow, null, { runId: 'r' })
  await settled()
  const before = calls.length

  await clock.advance(20)

  expect(calls.slice(before)).toEqual([])
  end(undefined)
  expect(await driven).toMatchObject({ status: 'blocked' })
})

test('who waits for a run of another process misses no end of it between the look and the wait', async () => {
  const clock = manualClock()
  const shared = memoryStore({ now: clock.now })
  const { promise: ends, resolve: end } = Promise.withResolvers<undefined>()
  const held = defineWorkflow(
    { name: 'held', version: '1', input: z.null(), actions: { hold: { run: async () => ends } } },
    { step: ({ results }, next) => (results['hold'] ? next.complete('done') : next.run('hold', null)) },
  )
  await using driver = createKernel({ store: shared, clock, workflows: [held] })
  const driven = driver.start(held, null, { runId: 'r' })
  await settled()
  const acquire: Store['runs']['acquire'] = async (...request) => {
    try {
      return await shared.runs.acquire(...request)
    } finally {
      end(undefined)
      await driven
    }
  }
  const store = { ...shared, runs: { ...shared.runs, acquire } }
  await using waiter = createKernel({ store, clock, workflows: [held] })

  expect(await waiter.run('r')).toMatchObject({ status: 'completed', output: 'done' })
})
