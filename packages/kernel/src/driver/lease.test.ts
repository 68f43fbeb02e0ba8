import { StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { processOwner } from '../owner.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { typesOf } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import type { ActionContext } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

const LEASE_MS = 12_000

/** One action that ends when its gate opens. */
function slowRun(wrap: (store: Store) => Store = (store) => store) {
  const clock = manualClock()
  const data = memoryStore({ now: clock.now })
  const gate = Promise.withResolvers<string>()
  const contexts: ActionContext[] = []
  const workflow = defineWorkflow(
    {
      ...{ name: 'slow', version: '1', input: z.null() },
      actions: {
        slow: {
          run: (_: null, ctx: ActionContext) => {
            contexts.push(ctx)
            return contexts.length === 1 ? gate.promise : 'second'
          },
        },
      },
    },
    { step: ({ results }, next) => (results['slow'] ? next.complete(results['slow']) : next.run('slow', null)) },
  )
  const kernel = createKernel({ store: wrap(data), workflows: [workflow], clock, leaseMs: LEASE_MS })
  const start = () => kernel.start(workflow, null, { runId: 'r' })
  return { clock, data, gate, contexts, workflow, kernel, start }
}

describe('a lease', () => {
  test('is renewed at every third of its length while an action is under way', async () => {
    const calls: string[] = []
    const { clock, data, gate, start } = slowRun((store) => recordCalls(store, calls))
    const starting = start()
    await settled()

    for (let i = 0; i < 10; i++) await clock.advance(LEASE_MS)
    const lease = (await data.runs.find('r'))?.lease
    gate.resolve('done')

    expect(await starting).toMatchObject({ status: 'completed' })
    expect(lease?.until).toBeGreaterThan(clock.now())
    expect(calls.filter((name) => name === 'runs.renew')).toHaveLength(30)
  })

  test('is not renewed any more when the run has ended', async () => {
    const { clock, gate, start } = slowRun()
    gate.resolve('done')

    await start()

    expect(clock.pending).toBe(0)
  })

  test('that cannot be renewed stops the handler a quarter of it before its end', async () => {
    const { clock, contexts, start } = slowRun((store) =>
      recordCalls(store, [], (name) =>
        name === 'runs.renew'
          ? Promise.reject(new StoreError('STORE_UNREACHABLE', 'no network', { retryable: true }))
          : undefined,
      ),
    )
    const starting = start()
    starting.catch(() => undefined)
    await settled()

    await clock.advance(LEASE_MS * 0.75 - 1)
    const before = contexts[0]?.signal.aborted
    await clock.advance(1)

    expect(before).toBe(false)
    expect(contexts[0]?.signal.aborted).toBe(true)
  })

  test('is tried again after a failure, and kept when that succeeds', async () => {
    let failures = 0
    const { clock, gate, contexts, start } = slowRun((store) =>
      recordCalls(store, [], (name) =>
        name === 'runs.renew' && ++failures <= 3 ? Promise.reject(new Error('hiccup')) : undefined,
      ),
    )
    const starting = start()
    await settled()

    await clock.advance(LEASE_MS * 3)
    gate.resolve('done')

    expect(await starting).toMatchObject({ status: 'completed' })
    expect(contexts[0]?.signal.aborted).toBe(false)
  })

  test('that another process took makes this one stop and follow: it appends nothing, and hands in what it learned', async () => {
    const { clock, data, gate, contexts, workflow, start } = slowRun()
    const starting = start()
    await settled()
    const { token } = (await data.runs.find('r'))!
    const claim = await data.runs.acquire('r', { owner: processOwner(), leaseMs: LEASE_MS, takeover: token })

    await clock.advance(LEASE_MS / 3)
    const abortedAtRenewal = contexts[0]?.signal.aborted
    gate.resolve('too late')
    await settled()
    const typesMeanwhile = await typesOf(data, 'r')
    await data.runs.release(claim, { expectedHead: 2 })
    await createKernel({ store: data, workflows: [workflow], clock }).run('r')

    expect(abortedAtRenewal).toBe(true)
    expect(typesMeanwhile).toEqual(['RunStarted', 'ActionRequested'])
    // The other process was about to try again; the outcome that was handed in is better.
    expect(await starting).toMatchObject({ status: 'completed', output: { output: 'too late' } })
  })

  test('that was lost unnoticed is noticed by the append, which is fenced, and the outcome is handed in', async () => {
    const { data, gate, workflow, start, clock } = slowRun()
    const starting = start()
    await settled()
    const { token } = (await data.runs.find('r'))!
    const claim = await data.runs.acquire('r', { owner: processOwner(), leaseMs: LEASE_MS, takeover: token })

    gate.resolve('too late')
    await settled()
    const typesMeanwhile = await typesOf(data, 'r')
    await data.runs.release(claim, { expectedHead: 2 })
    await createKernel({ store: data, workflows: [workflow], clock }).run('r')

    expect(typesMeanwhile).toEqual(['RunStarted', 'ActionRequested'])
    expect(await starting).toMatchObject({ status: 'completed', output: { output: 'too late' } })
  })

  test('grows its token with every change of hands, which the handler is told', async () => {
    const { data, contexts, workflow, kernel, clock, start } = slowRun()
    start().catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()

    await createKernel({ store: data, workflows: [workflow], clock }).run('r')

    expect(contexts.map(({ fencingToken }) => fencingToken)).toEqual([1, 2])
  })
})

test('posts that a renewal finds are taken, also where the store does not notify', async () => {
  const clock = manualClock()
  const { notifications: _, ...rest } = memoryStore({ now: clock.now })
  const store: Store = { ...rest, capabilities: { durable: false, shared: false, notify: false } }
  const workflow = defineWorkflow(
    {
      ...{ name: 'both', version: '1', input: z.null() },
      interrupts: { ask: { ask: z.null(), answer: z.null() } },
      actions: { slow: { run: () => new Promise<null>(() => undefined) } },
    },
    {
      step: ({ results }, next) =>
        results['ask'] ? next.complete('answered') : next.all([next.interrupt('ask', null), next.run('slow')]),
    },
  )
  const kernel = createKernel({ store, workflows: [workflow], clock, leaseMs: LEASE_MS })
  const starting = kernel.start(workflow, null, { runId: 'r' })
  await settled()
  await store.inbox.post('r', { id: 'p', type: 'Resumed', body: '{"key":"ask","value":null}' }, { maxWaiting: 9 })

  await clock.advance(LEASE_MS / 3)

  expect(await starting).toMatchObject({ status: 'completed', output: 'answered' })
})
