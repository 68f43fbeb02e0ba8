import { StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import type { LogEvent } from '../log/log-event.ts'
import { processOwner } from '../owner.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, typesOf } from '../testing/sealed-log.ts'
import { recordCalls, type BeforeCall } from '../testing/store-calls.ts'
import type { ActionContext } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

const LEASE_MS = 12_000

type Handler = (input: null, ctx: ActionContext) => unknown

/** Runs `first` and `second`, both asked for at once. */
function twoActions(first: Handler, second: Handler = () => null) {
  return defineWorkflow(
    {
      ...{ name: 'two', version: '1', input: z.null() },
      actions: { first: { effect: 'at-most-once', run: first }, second: { run: second } },
    },
    {
      step: ({ results }, next) =>
        results['first'] && results['second']
          ? next.complete(null)
          : next.all([next.run('first', null), next.run('second', null)]),
    },
  )
}

/** An action that ends when its gate opens, in a process whose event loop is blocked by hand. */
function slowRun(before: BeforeCall = () => undefined) {
  const clock = manualClock()
  const data = memoryStore({ now: clock.now })
  const calls: string[] = []
  const gate = Promise.withResolvers<null>()
  const contexts: ActionContext[] = []
  const workflow = twoActions((_, ctx) => {
    contexts.push(ctx)
    return gate.promise
  })
  const store = recordCalls(data, calls, before)
  const kernel = createKernel({ store, workflows: [workflow], clock, leaseMs: LEASE_MS })
  const start = () => kernel.start(workflow, null, { runId: 'r' })
  return { clock, data, calls, gate, contexts, kernel, start }
}

const unreachable = () => Promise.reject(new StoreError('STORE_UNREACHABLE', 'no network', { retryable: true }))
const isRenewal = (name: string): boolean => name === 'runs.renew'

describe('a lease that the event loop was blocked beyond', () => {
  test.each([0.76, 0.9, 1, 5, 1000])('for %d times its length is kept, as nobody took the run', async (times) => {
    const { clock, data, gate, contexts, start } = slowRun()
    const starting = start()
    await settled()

    clock.block(LEASE_MS * times)
    await clock.advance(0)
    const { lease, token } = (await data.runs.find('r'))!
    gate.resolve(null)

    expect(await starting).toMatchObject({ status: 'completed' })
    expect(lease?.until).toBe(clock.now() + LEASE_MS)
    expect(contexts.map(({ signal, fencingToken }) => [signal.aborted, fencingToken])).toEqual([[false, token]])
  })

  test('is lost when the store says that another process has the run, and the outcome is handed in', async () => {
    const { clock, data, gate, contexts, start } = slowRun()
    start().catch(() => undefined)
    await settled()
    clock.block(2 * LEASE_MS)
    const written = await typesOf(data, 'r')
    await data.runs.acquire('r', { owner: { ...processOwner(), id: 'other' }, leaseMs: 100 * LEASE_MS })

    await clock.advance(0)
    const aborted = contexts[0]?.signal.aborted
    gate.resolve(null)
    await settled()

    expect(aborted).toBe(true)
    expect(await typesOf(data, 'r')).toEqual(written)
    expect((await data.inbox.list('r', { limit: 9 })).items).toMatchObject([{ type: 'ActionSucceeded' }])
  })

  test('is lost when the one renewal fails that is asked for then', async () => {
    const { clock, calls, contexts, start } = slowRun((name) => (isRenewal(name) ? unreachable() : undefined))
    start().catch(() => undefined)
    await settled()

    clock.block(2 * LEASE_MS)
    await clock.advance(0)

    expect(contexts[0]?.signal.aborted).toBe(true)
    expect(calls.filter(isRenewal)).toHaveLength(1)
  })

  test('is lost a twelfth of it later when no renewal is answered', async () => {
    const silence = new Promise<void>(() => undefined)
    const { clock, contexts, start } = slowRun((name) => (isRenewal(name) ? silence : undefined))
    start().catch(() => undefined)
    await settled()
    clock.block(2 * LEASE_MS)

    await clock.advance(LEASE_MS / 12 - 1)
    const before = contexts[0]?.signal.aborted
    await clock.advance(1)

    expect(before).toBe(false)
    expect(contexts[0]?.signal.aborted).toBe(true)
  })

  test('is asked for anew when what was asked before the loop was blocked has failed', async () => {
    let renewals = 0
    const failed = Promise.withResolvers<never>()
    const { clock, gate, contexts, start } = slowRun((name) =>
      isRenewal(name) && ++renewals === 1 ? failed.promise : undefined,
    )
    const starting = start()
    await settled()
    await clock.advance(LEASE_MS / 3)
    clock.block(LEASE_MS)

    failed.reject(new Error('no answer in time'))
    await clock.advance(0)
    gate.resolve(null)

    expect(await starting).toMatchObject({ status: 'completed' })
    expect(contexts[0]?.signal.aborted).toBe(false)
    expect(renewals).toBe(2)
  })

  test('is given its twelfth anew when the loop is blocked again meanwhile', async () => {
    const answer = Promise.withResolvers<undefined>()
    const { clock, gate, contexts, start } = slowRun((name) => (isRenewal(name) ? answer.promise : undefined))
    const starting = start()
    await settled()

    for (let i = 0; i < 3; i++) {
      clock.block(LEASE_MS / 4 + (i === 0 ? LEASE_MS : 0))
      await clock.advance(0)
    }
    const aborted = contexts[0]?.signal.aborted
    answer.resolve(undefined)
    await settled()
    gate.resolve(null)

    expect(aborted).toBe(false)
    expect(await starting).toMatchObject({ status: 'completed' })
  })

  test('lets nothing be started until a renewal is answered', async () => {
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    const answer = Promise.withResolvers<undefined>()
    const started: string[] = []
    const workflow = twoActions(
      () => {
        started.push('first')
        clock.block(2 * LEASE_MS)
        return null
      },
      () => started.push('second'),
    )
    const store = recordCalls(data, started, (name) => (isRenewal(name) ? answer.promise : undefined))
    const kernel = createKernel({ store, workflows: [workflow], clock, leaseMs: LEASE_MS })
    const starting = kernel.start(workflow, null, { runId: 'r' })
    await settled()

    const before = started.filter((what) => !what.includes('.'))
    answer.resolve(undefined)

    expect(await starting).toMatchObject({ status: 'completed' })
    expect(before).toEqual(['first'])
    expect(started.filter((what) => what === 'first' || what === 'second' || isRenewal(what))).toEqual([
      ...['first', 'runs.renew', 'second'],
    ])
  })
})

const keyOf = ({ data }: LogEvent): string => ('key' in data ? data.key : '')

describe('a handler that keeps this very event loop busy for longer than the lease', () => {
  const busy = (ms: number): void => {
    const until = performance.now() + ms
    while (performance.now() < until);
  }

  test('completes its run under the token that it began with', async () => {
    const data = memoryStore()
    const seen: number[] = []
    const workflow = twoActions(
      async (_, ctx) => {
        // Not in the turn in which it was called: the timers of the lease are set by now.
        await new Promise(setImmediate)
        busy(1000)
        seen.push(ctx.fencingToken)
        return 'done'
      },
      (_, ctx) => {
        busy(400)
        return ctx.fencingToken
      },
    )
    const kernel = createKernel({ store: data, workflows: [workflow], leaseMs: 300 })

    const outcome = await kernel.start(workflow, null, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed' })
    expect(seen).toEqual([1])
    expect(await data.runs.find('r')).toMatchObject({ token: 1, recoveries: 0 })
    expect(await dataOf(data, 'r', 'ActionSucceeded')).toMatchObject([{ attempts: 1 }, { attempts: 1 }])
  })

  test('appends nothing when another process took the run, posts its outcome, and is not run twice', async () => {
    const data = memoryStore()
    const other = { ...processOwner(), id: 'other' }
    const committed: string[] = []
    let runs = 0
    const workflow = twoActions(async () => {
      runs++
      await new Promise(setImmediate)
      busy(1000)
      // In the moment in which the loop is free again, the other one is first.
      await data.runs.acquire('r', { owner: other, leaseMs: 60_000 })
      return 'done'
    })
    const posted = Promise.withResolvers<undefined>()
    const inbox: Store['inbox'] = {
      ...data.inbox,
      post: async (...args) => {
        const kept = await data.inbox.post(...args)
        posted.resolve(undefined)
        return kept
      },
    }
    await using blocked = createKernel({
      ...{ store: { ...data, inbox }, workflows: [workflow], leaseMs: 300 },
      onCommitted: (_, events) => committed.push(...events.map((event) => `${event.type} ${keyOf(event)}`)),
    })
    blocked.start(workflow, null, { runId: 'r' }).catch(() => undefined)

    await posted.promise
    const mine = [...committed]
    const outcome = await createKernel({ store: data, workflows: [workflow], owner: other }).run('r')

    expect(mine).toContain('ActionRequested first')
    expect(mine).not.toContain('ActionSucceeded first')
    expect(outcome).toMatchObject({ status: 'completed' })
    expect(runs).toBe(1)
    expect(committed).toEqual(mine)
  })
})
