import { createKernel, type Kernel } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import { virtualClock } from '@varve/testing'
import { describe, expect, inject, test } from 'vitest'
import type {} from '../../../test/postgres/global-setup.ts'
import { calling } from './testing/samples.ts'
import { until } from './testing/until.ts'
import { createWorker } from './worker.ts'

type Calling = ReturnType<typeof calling>

/** Starts runs `from` to `to`, without waiting for them. */
async function enqueue(
  kernel: Kernel,
  workflow: Calling,
  count: number,
  options: (n: number) => { readonly queue: string; readonly concurrencyKey?: string; readonly priority?: number },
): Promise<readonly string[]> {
  const ids = Array.from({ length: count }, (_, n) => `${options(n).queue}-${n}`)
  for (const [n, runId] of ids.entries()) await kernel.start(workflow, { n }, { runId, wait: false, ...options(n) })
  return ids
}

describe('queues of one worker', () => {
  test(
    'take turns: ten thousand runs in one keep ten in another waiting no longer than their share',
    { timeout: 60_000 },
    async () => {
      const calls: string[] = []
      const big = calling(() => calls.push('big'))
      const small = calling(() => calls.push('small'), 'small')
      await using store = await sqliteStore({ path: ':memory:' })
      await using kernel = createKernel({ store, workflows: [big, small] })
      await enqueue(kernel, big, 10_000, () => ({ queue: 'big' }))
      await enqueue(kernel, small, 10, () => ({ queue: 'small' }))

      const worker = createWorker({ kernel, queues: ['big', 'small'], concurrency: 2, signals: [] })
      worker.start()
      await until(() => calls.filter((name) => name === 'small').length === 10)
      await worker.stop()

      expect(calls.lastIndexOf('small')).toBeLessThan(30)
    },
  )

  test('give the highest priority first, then what has been due longest', async () => {
    const order: number[] = []
    const ranked = calling((n) => order.push(n))
    const clock = virtualClock()
    await using kernel = createKernel({ store: memoryStore({ now: clock.now }), clock, workflows: [ranked] })
    for (const n of [0, 1, 2, 3, 4, 5]) {
      await kernel.start(ranked, { n }, { wait: false, priority: [0, 5, -5, 5, 0, 100][n]! })
      clock.advance(1)
    }

    await using worker = createWorker({ kernel, concurrency: 1, signals: [] })
    worker.start()
    await until(() => order.length === 6)

    expect(order).toEqual([5, 1, 3, 0, 4, 2])
  })
})

/** How many were under way at once, at most: in all, and of one key. */
function gauge() {
  const now = new Map<string, number>()
  const most = { all: 0, ofKey: 0, calls: 0 }
  const enter = (key: string): (() => void) => {
    now.set(key, (now.get(key) ?? 0) + 1)
    most.calls++
    most.all = Math.max(
      most.all,
      [...now.values()].reduce((sum, count) => sum + count, 0),
    )
    most.ofKey = Math.max(most.ofKey, now.get(key)!)
    return () => now.set(key, now.get(key)! - 1)
  }
  return { most, enter }
}

describe('limits of a queue', () => {
  test('hold across workers with stores of their own, in all and for each key', { timeout: 60_000 }, async () => {
    const schema = `worker_limits_${crypto.randomUUID().replaceAll('-', '')}`
    const { most, enter } = gauge()
    const limited = calling(async (n) => {
      const leave = enter(`tenant-${n % 5}`)
      await new Promise((resolve) => setImmediate(resolve))
      leave()
    })
    const stores = []
    for (let i = 0; i < 3; i++) stores.push(await postgresStore({ url: inject('pgUrl'), poolSize: 4 }, { schema }))
    const kernels = stores.map((store) => createKernel({ store, workflows: [limited] }))
    const [first] = kernels as [Kernel]
    const ids = await enqueue(first, limited, 60, (n) => ({ queue: 'mail', concurrencyKey: `tenant-${n % 5}` }))
    const queues = [{ name: 'mail', concurrency: 4, concurrencyPerKey: 1 }]

    const workers = kernels.map((kernel) => createWorker({ kernel, queues, concurrency: 10, pollMs: 100, signals: [] }))
    for (const worker of workers) worker.start()
    const ends = await Promise.all(ids.map(async (runId) => first.follow(runId)))
    await Promise.all(workers.map((worker) => worker.stop()))
    await Promise.all(kernels.map((kernel) => kernel[Symbol.asyncDispose]()))
    await Promise.all(stores.map((store) => store[Symbol.asyncDispose]()))

    expect(ends.every(({ status }) => status === 'completed')).toBe(true)
    expect(most).toMatchObject({ ofKey: 1, calls: 60 })
    expect(most.all).toBeLessThanOrEqual(4)
  })

  test('of a rate let no more runs begin in any period, and all in the end', async () => {
    const begun: number[] = []
    const clock = virtualClock()
    const rated = calling(() => begun.push(clock.now()))
    await using kernel = createKernel({ store: memoryStore({ now: clock.now }), clock, workflows: [rated] })
    await enqueue(kernel, rated, 10, () => ({ queue: 'api' }))
    const queues = [{ name: 'api', rate: { limit: 3, periodMs: 10_000 } }]

    await using worker = createWorker({ kernel, queues, pollMs: 1000, signals: [] })
    worker.start()
    for (let second = 0; second <= 30; second++) {
      await until(() => worker.health().driving.length === 0 && clock.timers > 0)
      clock.advance(1000)
    }
    await until(() => begun.length === 10)

    const start = begun[0]!
    expect(begun.map((at) => Math.round((at - start) / 10_000))).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2, 3])
  })
})
