import { AsyncLocalStorage } from 'node:async_hooks'
import { createKernel, defineWorkflow, type KernelOptions, type Workflow } from '@varve/kernel'
import type { AppendOptions } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { interceptStore, virtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { WorkerOptions } from './options.ts'
import { calling, simple, sleeper } from './testing/samples.ts'
import { until } from './testing/until.ts'
import { createWorker } from './worker.ts'

/** Its first decision fails. */
const broken = defineWorkflow(
  { name: 'broken', version: '1', input: z.null() },
  {
    step: () => {
      throw new Error('no decision')
    },
  },
)

/** A worker that waits for runs, what is asked of its store from then on, and which runs are leased as they are created. */
async function idleWorker(
  workflows: readonly Workflow[],
  options: Partial<WorkerOptions> = {},
  more: Partial<KernelOptions> = {},
) {
  const clock = virtualClock()
  const calls: string[] = []
  const leased: string[] = []
  const store = interceptStore(memoryStore({ now: clock.now }), ({ name, args }, proceed) => {
    calls.push(name)
    if (name === 'events.append' && (args[2] as AppendOptions).run.create?.lease) leased.push(args[0] as string)
    return proceed()
  })
  const kernel = createKernel({ store, clock, workflows, ...more })
  const worker = createWorker({ kernel, signals: [], onWarning: () => undefined, ...options })
  worker.start()
  await until(() => clock.timers > 0)
  calls.length = 0
  const isIdle = (): boolean => worker.health().driving.length === 0 && clock.timers > 0
  return { kernel, worker, calls, leased, isIdle }
}

describe('a run that is started where a worker has nothing to do', () => {
  test('is driven from its first append on: no claim and no read come before its first action', async () => {
    const before: string[] = []
    const workflow = calling(() => before.push(...calls))
    const { kernel, worker, calls, isIdle } = await idleWorker([workflow])

    const started = await kernel.start(workflow, { n: 1 }, { runId: 'r', wait: false })
    await until(() => worker.health().counts.ended === 1 && isIdle())

    expect(started).toEqual({ status: 'running', runId: 'r' })
    // The time is asked for once a minute.
    expect(before.filter((call) => call !== 'store.now')).toEqual(['events.append'])
    expect(worker.health().counts).toEqual({ claimed: 1, blocked: 0, ended: 1, givenUp: 0 })
    expect(calls).not.toContain('runs.claim')
    await worker.stop()
  })

  test('is claimed when all places are taken', async () => {
    const held = Promise.withResolvers<undefined>()
    const workflow = calling(async () => held.promise)
    const { kernel, worker, leased } = await idleWorker([workflow], { concurrency: 2 })

    for (const runId of ['a', 'b', 'c']) await kernel.start(workflow, { n: 1 }, { runId, wait: false })

    expect(worker.health().driving.map(({ runId }) => runId)).toEqual(['a', 'b'])
    held.resolve(undefined)
    await until(() => worker.health().counts.ended === 3)
    expect(leased).toEqual(['a', 'b'])
    await worker.stop()
  })

  test('takes a place while it is being created', async () => {
    const workflow = calling((n) => n)
    const { kernel, worker, leased } = await idleWorker([workflow], { concurrency: 1 })

    await Promise.all(['a', 'b', 'c'].map((runId) => kernel.start(workflow, { n: 1 }, { runId, wait: false })))

    expect(leased).toEqual(['a'])
    await until(() => worker.health().counts.ended === 3)
    await worker.stop()
  })

  test.for([
    ['of a queue with limits', { queues: [{ name: 'default', concurrency: 5 }] }],
    ['of a queue with a rate', { queues: [{ name: 'default', rate: { limit: 5, periodMs: 1000 } }] }],
    ['of a queue that is not the worker’s', { queues: ['other'] }],
    ['of a workflow that is not the worker’s', { workflows: ['sleeper'] }],
  ] as const)('is left to a claim when it is %s', async ([, options]) => {
    const { kernel, worker, leased } = await idleWorker([simple, sleeper], options)

    await kernel.start(simple, { n: 1 }, { runId: 'r', wait: false })

    expect(leased).toEqual([])
    await worker.stop()
  })

  test('is only recorded when it is delayed', async () => {
    const { kernel, worker, leased } = await idleWorker([simple])

    await kernel.start(simple, { n: 1 }, { runId: 'r', delayMs: 1000, wait: false })

    expect(leased).toEqual([])
    await worker.stop()
  })

  test('is recorded and parked when its first decision fails', async () => {
    const { kernel, worker } = await idleWorker([broken])

    const started = await kernel.start(broken, null, { runId: 'r', wait: false })
    await until(async () => (await kernel.get('r')).problem !== undefined)

    expect(started).toEqual({ status: 'running', runId: 'r' })
    expect((await kernel.get('r')).problem).toMatchObject({ code: 'STEP_FAILED' })
    await worker.stop()
  })

  test('is the same run when it is started again, and another input is refused', async () => {
    const { kernel, worker } = await idleWorker([simple])
    const start = (n: number) => kernel.start(simple, { n }, { runId: 'r', wait: false })
    await start(1)
    await until(() => worker.health().counts.ended === 1)

    const again = await start(1)
    const other = start(2)

    expect(again).toEqual({ status: 'running', runId: 'r' })
    await expect(other).rejects.toMatchObject({ code: 'RUN_EXISTS' })
    expect(worker.health().counts).toEqual({ claimed: 1, blocked: 0, ended: 1, givenUp: 0 })
    await worker.stop()
  })

  test('is left to others when the worker was stopped', async () => {
    const { kernel, worker, leased } = await idleWorker([simple])
    await worker.stop()

    await kernel.start(simple, { n: 1 }, { runId: 'r', wait: false })

    expect(leased).toEqual([])
    expect(await kernel.get('r')).toMatchObject({ status: 'running', head: 1 })
  })

  test('and blocks at once, is left free by a worker that is stopped while it is being created', async () => {
    const clock = virtualClock()
    const memory = memoryStore({ now: clock.now })
    const underWay = Promise.withResolvers<undefined>()
    const held = Promise.withResolvers<undefined>()
    const store = interceptStore(memory, async ({ name }, proceed) => {
      if (name !== 'events.append') return proceed()
      underWay.resolve(undefined)
      await held.promise
      return proceed()
    })
    const kernel = createKernel({ store, clock, workflows: [sleeper] })
    const worker = createWorker({ kernel, signals: [] })
    worker.start()
    await until(() => clock.timers > 0)

    const started = kernel.start(sleeper, null, { runId: 'r', wait: false })
    await underWay.promise
    const stopped = worker.stop()
    held.resolve(undefined)
    await Promise.all([started, stopped])

    expect(worker.health().counts).toMatchObject({ claimed: 1, blocked: 1 })
    expect((await kernel.get('r')).lease).toBeUndefined()
  })

  test('does not see what surrounds the call that started it', async () => {
    const surroundings = new AsyncLocalStorage<string>()
    const seen: (string | undefined)[] = []
    const workflow = calling(() => seen.push(surroundings.getStore()))
    const { kernel, worker } = await idleWorker([workflow])

    await surroundings.run('a request', () => kernel.start(workflow, { n: 1 }, { wait: false }))
    await until(() => worker.health().counts.ended === 1)

    expect(seen).toEqual([undefined])
    await worker.stop()
  })
})
