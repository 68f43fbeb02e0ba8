import { StoreError } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { recordCalls, type BeforeCall } from '../testing/store-calls.ts'
import type { ActionContext, AnyAction } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

const LEASE_MS = 12_000

/** A run with one action, which computes. */
function computing(
  compute: (ctx: ActionContext, clock: ReturnType<typeof manualClock>) => unknown,
  { before, ...action }: Partial<AnyAction> & { readonly before?: BeforeCall } = {},
) {
  const clock = manualClock()
  const data = memoryStore({ now: clock.now })
  const calls: string[] = []
  const workflow = defineWorkflow(
    {
      ...{ name: 'computing', version: '1', input: z.null() },
      actions: { compute: { ...action, run: (_: null, ctx: ActionContext) => compute(ctx, clock) } },
    },
    { step: ({ results }, next) => (results['compute'] ? next.complete(results['compute']) : next.run('compute')) },
  )
  const store = recordCalls(data, calls, before)
  const kernel = createKernel({ store, workflows: [workflow], clock, leaseMs: LEASE_MS })
  const start = () => kernel.start(workflow, null, { runId: 'r' })
  return { clock, data, calls, kernel, start }
}

const renewals = (calls: readonly string[]): number => calls.filter((name) => name === 'runs.renew').length

describe('a heartbeat that is waited for', () => {
  test('keeps the lease of a handler that computes for longer than it', async () => {
    const left: number[] = []
    const { data, start } = computing(async (ctx, clock) => {
      for (let i = 0; i < 40; i++) {
        clock.block(LEASE_MS / 4)
        await ctx.heartbeat()
        left.push((await data.runs.find('r'))!.lease!.until - clock.now())
      }
      return ctx.fencingToken
    })

    expect(await start()).toMatchObject({ output: { status: 'succeeded', output: 1 } })
    expect(Math.min(...left)).toBeGreaterThan(LEASE_MS / 2)
  })

  test('asks the store no more often than at every third of the lease', async () => {
    const { calls, start } = computing(async (ctx, clock) => {
      for (let i = 0; i < 300; i++) {
        clock.block(LEASE_MS / 100)
        await ctx.heartbeat()
      }
    })

    await start()

    expect(renewals(calls)).toBeGreaterThanOrEqual(8)
    expect(renewals(calls)).toBeLessThanOrEqual(9)
  })

  test('asks a store that fails no more often than the lease does itself', async () => {
    const { calls, start } = computing(
      async (ctx, clock) => {
        clock.block(LEASE_MS / 3)
        for (let i = 0; i < 20; i++) {
          clock.block(LEASE_MS / 100)
          await ctx.heartbeat()
        }
      },
      { before: (name) => (name === 'runs.renew' ? Promise.reject(new Error('hiccup')) : undefined) },
    )

    await start()

    expect(renewals(calls)).toBeLessThanOrEqual(3)
  })

  test('lets timers and I/O of the process run', async () => {
    const ran: string[] = []
    const { start } = computing(async (ctx) => {
      setTimeout(() => ran.push('timer'), 0)
      const until = performance.now() + 5
      while (performance.now() < until);
      for (let i = 0; i < 2; i++) await ctx.heartbeat()
      return ran.length
    })

    expect(await start()).toMatchObject({ output: { output: 1 } })
  })

  test('takes the posts that a renewal finds, and rejects when one of them has canceled the run', async () => {
    const caught: unknown[] = []
    const { data, start } = computing(async (ctx, clock) => {
      const body = '{"reason":"enough"}'
      await data.inbox.post('r', { id: 'c', type: 'CancelRequested', body }, { maxWaiting: 9 })
      for (let i = 0; i < 20; i++) {
        clock.block(LEASE_MS / 4)
        await ctx.heartbeat().catch((error: unknown) => {
          caught.push(error === ctx.signal.reason)
          throw error
        })
      }
    })

    expect(await start()).toMatchObject({ status: 'canceled' })
    await settled()
    expect(caught).toEqual([true])
  })

  test('rejects when the lease is lost', async () => {
    const caught = Promise.withResolvers<unknown>()
    const lost = new StoreError('FENCED', 'another token')
    const { start } = computing(
      async (ctx, clock) => {
        for (;;) {
          clock.block(LEASE_MS)
          await ctx.heartbeat().catch((error: unknown) => {
            caught.resolve(error)
            throw error
          })
        }
      },
      { before: (name) => (name === 'runs.renew' ? Promise.reject(lost) : undefined) },
    )
    start().catch(() => undefined)

    expect(await caught.promise).toMatchObject(kernelError('LEASE_LOST'))
  })

  test('rejects when the attempt has computed for longer than its timeout', async () => {
    const { start } = computing(
      async (ctx, clock) => {
        clock.block(1000)
        await ctx.heartbeat()
        return 'too late'
      },
      { timeoutMs: 1000 },
    )

    expect(await start()).toMatchObject({ output: { status: 'failed', error: { code: 'TIMEOUT' } } })
  })

  test('lets an attempt compute for long as long as each part is done within the timeout', async () => {
    const { start } = computing(
      async (ctx, clock) => {
        for (let i = 0; i < 10; i++) {
          clock.block(999)
          await ctx.heartbeat()
        }
        return 'done'
      },
      { timeoutMs: 1000 },
    )

    expect(await start()).toMatchObject({ output: { status: 'succeeded', output: 'done' } })
  })
})

test('a heartbeat that is not waited for brings no process down when the attempt was aborted', async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown) => unhandled.push(error)
  process.on('unhandledRejection', note)
  const { kernel, start } = computing(async (ctx) => {
    void kernel.cancel('r', { reason: 'enough' })
    await new Promise<void>((resolve) => {
      ctx.signal.addEventListener('abort', () => resolve())
    })
    void ctx.heartbeat()
  })

  const outcome = await start()
  await settled()
  process.off('unhandledRejection', note)

  expect(outcome).toMatchObject({ status: 'canceled' })
  expect(unhandled).toEqual([])
})
