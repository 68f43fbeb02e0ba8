import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { processOwner } from '../owner.ts'
import { settled } from '../testing/manual-clock.ts'
import { inDoubt, payingRun } from '../testing/paying.ts'
import { dataOf, typesOf } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import type { ActionContext } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

/** Another process takes the run, and gives it back. */
async function takeAway(store: Store): Promise<void> {
  const { token, head } = (await store.runs.find('r'))!
  const claim = await store.runs.acquire('r', { owner: processOwner(), leaseMs: 1000, takeover: token })
  await store.runs.release(claim, { expectedHead: head })
}

/** A payment that ends when its gate opens, and can happen once. */
function gated() {
  const gate = Promise.withResolvers<string>()
  let calls = 0
  const run = payingRun(() => {
    calls++
    return gate.promise
  })
  return { ...run, gate, calls: () => calls }
}

describe('an outcome that comes late', () => {
  test('from a fenced driver is posted, and beats the doubt of the next one in the same turn', async () => {
    const { gate, start, store, another, calls } = gated()
    start().catch(() => undefined)
    await settled()
    await takeAway(store)
    gate.resolve('paid')
    await settled()

    const outcome = await another().run('r')

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid' } })
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested', 'ActionSucceeded', 'Completed'])
    expect(calls()).toBe(1)
  })

  test('from a disposed kernel is posted, and taken by the next one', async () => {
    const { gate, start, store, kernel, another } = gated()
    start().catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()
    gate.resolve('paid')
    await settled()

    const outcome = await another().run('r')

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid' } })
    expect(await dataOf(store, 'r', 'ActionInDoubt')).toEqual([])
  })

  test.for([0, 1, 2, 3, 4, 5, 8, 12])('%i ticks after its kernel began to be disposed is not lost', async (ticks) => {
    const { store, start, kernel, another } = payingRun(async (_, { signal }) => {
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve)
      })
      for (let i = 0; i < ticks; i++) await Promise.resolve()
      return 'paid after all'
    })
    start().catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()
    await settled()

    const outcome = await another().run('r')

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid after all' } })
    expect(await dataOf(store, 'r', 'ActionInDoubt')).toEqual([])
  })

  test('settles the doubt that was recorded meanwhile', async () => {
    const { gate, start, store, kernel, another } = gated()
    start().catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()
    const next = another()
    const doubtful = await next.run('r')
    gate.resolve('paid')
    await settled()

    const outcome = await next.run('r')

    expect(doubtful).toMatchObject(inDoubt)
    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid' } })
    expect((await store.runs.find('r'))?.waiting).toBe(0)
  })

  test('of something that is closed by now is set aside', async () => {
    const { gate, start, store, kernel, another } = gated()
    start().catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()
    const next = another()
    await next.run('r')
    const body = JSON.stringify({ key: 'pay', attempts: 1, output: 'late' })
    await store.inbox.post('r', { id: 'late', type: 'ActionSucceeded', body }, { maxWaiting: 9 })
    await store.inbox.post('r', { id: 'later', type: 'ActionSucceeded', body }, { maxWaiting: 9 })

    const outcome = await next.run('r')
    gate.resolve('paid')
    await settled()

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'late' } })
    expect((await store.inbox.rejected('r', { limit: 9 })).items.map(({ id }) => id)).toEqual(['later'])
  })

  test('of an attempt that has not begun is set aside', async () => {
    const { start, store, kernel } = payingRun(() => {
      throw new Error('hang up')
    })
    await start()
    const body = JSON.stringify({ key: 'pay', attempts: 2, output: 'from the future' })
    await store.inbox.post('r', { id: 'p', type: 'ActionSucceeded', body }, { maxWaiting: 9 })

    expect(await kernel.run('r')).toMatchObject(inDoubt)
    expect((await store.inbox.rejected('r', { limit: 9 })).items).toHaveLength(1)
  })

  test('together with the order to retry wins, and the order is refused', async () => {
    const { store, start, kernel } = payingRun((_, { attempt }) => {
      if (attempt > 1) expect.unreachable()
      throw new Error('hang up')
    })
    await start()
    const order = JSON.stringify({ key: 'pay', outcome: { status: 'retry' } })
    const late = JSON.stringify({ key: 'pay', attempts: 1, output: 'paid' })
    await store.inbox.post('r', { id: 'order', type: 'ActionSettled', body: order }, { maxWaiting: 9 })
    await store.inbox.post('r', { id: 'late', type: 'ActionSucceeded', body: late }, { maxWaiting: 9 })

    const outcome = await kernel.run('r')

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid' } })
    const { items } = await store.inbox.rejected('r', { limit: 9 })
    expect(items.map(({ id, error }) => ({ id, ...(JSON.parse(error) as object) }))).toEqual([
      { id: 'order', code: 'NOT_IN_DOUBT', message: expect.stringContaining('what became of pay in run r') as string },
    ])
  })

  test('of an earlier attempt is better than the failure of a later one in the same turn', async () => {
    const failing = Promise.withResolvers<never>()
    const { store, start } = payingRun(
      (_, { attempt }) => {
        if (attempt > 2) expect.unreachable()
        if (attempt === 2) return failing.promise
        throw Object.assign(new Error('busy'), { notExecuted: true, kind: 'transient' })
      },
      { retry: { maxAttempts: 5, baseMs: 0 } },
    )
    const starting = start()
    await settled()
    const late = JSON.stringify({ key: 'pay', attempts: 1, output: 'paid' })
    failing.reject(Object.assign(new Error('busy'), { notExecuted: true, kind: 'transient' }))
    await store.inbox.post('r', { id: 'late', type: 'ActionSucceeded', body: late }, { maxWaiting: 9 })

    const outcome = await starting

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid' } })
  })
})

describe('an outcome that no event can hold', () => {
  const limits = { bodyBytes: 2000 }

  async function postTooLarge(store: Store): Promise<void> {
    const body = JSON.stringify({ key: 'pay', attempts: 1, output: 'x'.repeat(3000) })
    await store.inbox.post('r', { id: 'large', type: 'ActionSucceeded', body }, { maxWaiting: 999 })
  }

  async function rejectedIds(store: Store): Promise<readonly string[]> {
    return (await store.inbox.rejected('r', { limit: 9 })).items.map(({ id }) => id)
  }

  test('is set aside, and what must not happen twice is in doubt and not called again', async () => {
    let calls = 0
    const hang = () => {
      calls++
      return new Promise<null>(() => undefined)
    }
    const { start, store, kernel, another } = payingRun(hang, {}, { limits })
    start().catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()
    await postTooLarge(store)

    const next = another().run('r')
    await settled()

    expect(calls).toBe(1)
    expect(await next).toMatchObject(inDoubt)
    expect(await rejectedIds(store)).toEqual(['large'])
  })

  test('does not stand for the doubt of the attempt under way', async () => {
    const failing = Promise.withResolvers<never>()
    const { start, store } = payingRun(() => failing.promise, {}, { limits })
    const starting = start()
    await settled()
    failing.reject(new Error('the line broke'))
    await postTooLarge(store)

    expect(await starting).toMatchObject(inDoubt)
    expect(await rejectedIds(store)).toEqual(['large'])
  })

  /** A payment that ends, or asks, while a turn is appended that has no room for all the posts that wait. */
  async function amidFullTurn(pay: (opened: Promise<void>, ctx: ActionContext) => Promise<unknown>) {
    const memory = memoryStore()
    const opened = Promise.withResolvers<undefined>()
    const appending = Promise.withResolvers<undefined>()
    const isFull = (args: readonly unknown[]): boolean => (args[1] as readonly unknown[]).length > 40
    const store = recordCalls(memory, [], (name, args) =>
      name === 'events.append' && isFull(args) ? appending.promise : undefined,
    )
    const workflow = defineWorkflow(
      {
        ...{ name: 'paying', version: '1', input: z.null(), signals: { note: z.int() } },
        actions: { pay: { run: (_: null, ctx) => pay(opened.promise, ctx) as Promise<null> } },
      },
      { step: ({ results }, next) => (results['pay'] ? next.complete(results['pay']) : next.run('pay', null)) },
    )
    const kernel = createKernel({ store, workflows: [workflow], limits: { ...limits, appendEvents: 544 } })
    const starting = kernel.start(workflow, null, { runId: 'r' })
    await settled()
    const post = async (n: number) => {
      const body = JSON.stringify({ signalId: `${n}`, name: 'note', value: n })
      await memory.inbox.post('r', { id: `note:${n}`, type: 'SignalReceived', body }, { maxWaiting: 999 })
    }
    await Promise.all([...Array.from({ length: 60 }, (_, n) => post(n)), postTooLarge(memory)])
    await settled()
    opened.resolve(undefined)
    await settled()
    appending.resolve(undefined)
    const outcome = await starting
    return { outcome, rejected: await rejectedIds(memory), signals: await dataOf(memory, 'r', 'SignalReceived') }
  }

  test('does not stand for the outcome of the attempt while it waits for room in the log', async () => {
    const { outcome, rejected, signals } = await amidFullTurn(async (opened) => {
      await opened
      return 'paid'
    })

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid' } })
    expect(rejected).toEqual(['large'])
    expect(signals).toHaveLength(60)
  })

  test('keeps no fact from being recorded while it waits for room in the log', async () => {
    const { outcome, rejected } = await amidFullTurn(async (opened, { fact }) => {
      await opened
      return fact('rate', () => 7)
    })

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 7 } })
    expect(rejected).toEqual(['large'])
  })
})
