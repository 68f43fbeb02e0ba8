import { spawnSync } from 'node:child_process'
import { setImmediate } from 'node:timers/promises'
import { createKernel, type Kernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { interceptStore, virtualClock, type VirtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import type { WorkerOptions } from './options.ts'
import { calling } from './testing/samples.ts'
import { until } from './testing/until.ts'
import { createWorker, type Worker } from './worker.ts'

interface Place {
  readonly queue: string
  readonly concurrencyKey?: string
}

interface Scene {
  readonly clock: VirtualClock
  /** Starts runs whose action ends when it is told to; a run is called `n`. */
  readonly enqueue: (n: number, place: Place) => Promise<void>
  /** Drives one to its end in a process without a worker. */
  readonly drive: (n: number, place: Place) => Promise<void>
  readonly end: (n: number) => void
  /** The runs whose action was called, in that order. */
  readonly begun: readonly number[]
  /** Another process with a worker. */
  readonly work: (options: Partial<WorkerOptions>) => Worker
}

function sceneOf(): Scene {
  const clock = virtualClock()
  const store = memoryStore({ now: clock.now })
  const gates = new Map<number, PromiseWithResolvers<undefined>>()
  const gateOf = (n: number): PromiseWithResolvers<undefined> => {
    const gate = gates.get(n) ?? Promise.withResolvers<undefined>()
    gates.set(n, gate)
    return gate
  }
  const begun: number[] = []
  const held = calling((n) => {
    begun.push(n)
    return gateOf(n).promise
  })
  const kernelOf = (): Kernel => createKernel({ store, clock, workflows: [held] })
  const starter = kernelOf()
  return {
    ...{ clock, begun },
    end: (n) => {
      gateOf(n).resolve(undefined)
    },
    drive: async (n, place) => {
      await starter.start(held, { n }, { runId: `r${n}`, ...place })
    },
    enqueue: async (n, place) => {
      await starter.start(held, { n }, { runId: `r${n}`, wait: false, ...place })
    },
    work: (options) => {
      const worker = createWorker({ kernel: kernelOf(), signals: [], ...options })
      worker.start()
      return worker
    },
  }
}

/** Lets everything happen that waits for no clock. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await setImmediate()
}

/** Stops at once. */
async function abandon(clock: VirtualClock, ...workers: readonly Worker[]): Promise<void> {
  const stopping = workers.map((worker) => worker.stop({ graceMs: 0 }))
  clock.advance(0)
  await Promise.all(stopping)
}

describe('a queue that is full', () => {
  const queues = [{ name: 'mail', concurrency: 1 }]

  test('takes the next run at once when one has ended here', async () => {
    const { clock, enqueue, end, begun, work } = sceneOf()
    await enqueue(1, { queue: 'mail' })
    await enqueue(2, { queue: 'mail' })
    const worker = work({ queues })
    await until(() => begun.length === 1 && clock.timers > 0)

    end(1)
    await until(() => begun.length === 2)

    expect(clock.monotonic()).toBe(0)
    await abandon(clock, worker)
  })

  test('takes the next run at the next look when one has ended in another process', async () => {
    const { clock, drive, enqueue, end, begun, work } = sceneOf()
    const elsewhere = drive(1, { queue: 'mail' })
    await until(() => begun.length === 1)
    await enqueue(2, { queue: 'mail' })
    const worker = work({ queues, pollMs: 1000 })
    await settled()
    end(1)
    await elsewhere

    clock.advance(999)
    const early = begun.length
    clock.advance(1)
    await until(() => begun.length === 2)

    expect(early).toBe(1)
    expect(worker.health().driving).toMatchObject([{ runId: 'r2' }])
    await abandon(clock, worker)
  })

  test('lets runs of other keys through that are behind a hundred of the one that is full', async () => {
    const { clock, enqueue, begun, work } = sceneOf()
    for (let n = 0; n < 100; n++) await enqueue(n, { queue: 'mail', concurrencyKey: 'ada' })
    await enqueue(100, { queue: 'mail', concurrencyKey: 'bob' })
    await enqueue(101, { queue: 'mail' })

    const worker = work({ queues: [{ name: 'mail', concurrencyPerKey: 1 }] })
    await until(() => begun.length === 3)

    expect(begun.toSorted((a, b) => a - b)).toEqual([expect.any(Number), 100, 101])
    await abandon(clock, worker)
  })
})

test('a queue with a rate takes the next runs at the next look after its period', async () => {
  const { clock, enqueue, end, begun, work } = sceneOf()
  for (let n = 0; n < 5; n++) {
    end(n)
    await enqueue(n, { queue: 'mail' })
  }
  const worker = work({ queues: [{ name: 'mail', rate: { limit: 2, periodMs: 10_000 } }], pollMs: 1000 })
  const counts: number[] = []

  for (let second = 0; second < 25; second++) {
    await until(() => clock.timers > 0 && worker.health().driving.length === 0)
    await settled()
    counts.push(begun.length)
    clock.advance(1000)
  }

  expect(counts.slice(1, 10)).toEqual(Array.from({ length: 9 }, () => 2))
  expect(counts.at(12)).toBe(4)
  expect(counts.at(-1)).toBe(5)
  await abandon(clock, worker)
})

test('queues of a worker with one place take turns', async () => {
  const { clock, enqueue, end, begun, work } = sceneOf()
  for (let n = 0; n < 20; n++) {
    end(n)
    await enqueue(n, { queue: n < 17 ? 'bulk' : 'few' })
  }

  const worker = work({ queues: ['bulk', 'few'], concurrency: 1 })
  await until(() => begun.length === 20)

  expect(begun.slice(0, 7).filter((n) => n >= 17)).toHaveLength(3)
  await abandon(clock, worker)
})

describe('a worker with nothing to do', () => {
  test.for([
    { stores: 'that tell of changes', calls: 24, tells: true },
    { stores: 'that do not', calls: 240, tells: false },
  ])('makes two calls per look, which is $calls a minute on stores $stores', async ({ calls, tells }) => {
    const clock = virtualClock()
    const data = memoryStore({ now: clock.now })
    const made: string[] = []
    const counted = interceptStore(data, async (call, proceed) => {
      made.push(call.name)
      return proceed()
    })
    const { notifications: _, ...silent } = counted
    const store: Store = tells ? counted : { ...silent, capabilities: { ...silent.capabilities, notify: false } }
    const worker = createWorker({ kernel: createKernel({ store, clock, workflows: [] }), signals: [] })
    worker.start()
    await until(() => made.includes('runs.claim') && clock.timers > 0)
    made.length = 0

    for (let ms = 0; ms < 60_000; ms += 500) {
      clock.advance(500)
      await until(() => clock.timers > 0)
    }
    await until(() => made.length >= calls)

    expect(made.toSorted()).toEqual([
      ...Array.from({ length: calls / 2 }, () => 'runs.claim'),
      ...Array.from({ length: calls / 2 }, () => 'runs.dueIn'),
    ])
    await worker.stop()
  })
})

test('a run whose dead driver lost its lease to the clock does not pass over one of its key that was claimed since', async () => {
  const clock = virtualClock()
  const store = memoryStore({ now: clock.now })
  const called: number[] = []
  const paid = calling((n) => called.push(n))
  await using kernel = createKernel({ store, clock, workflows: [paid] })
  for (const n of [0, 1]) {
    await kernel.start(paid, { n }, { runId: `r${n}`, queue: 'mail', concurrencyKey: 'ada', wait: false })
  }
  const { owner } = kernel.dispatcher
  const dead = { ...owner, id: 'dead', pid: spawnSync('true').pid }
  const { token } = await store.runs.acquire('r0', { owner: dead, leaseMs: 1000 })
  clock.advance(1000)
  const other = await store.runs.acquire('r1', { owner: { ...owner, id: 'other' }, leaseMs: 600_000 })

  const queues = [{ name: 'mail', concurrencyPerKey: 1 }]
  await using worker = createWorker({ kernel, queues, signals: [] })
  worker.start()
  await until(() => clock.timers > 0)
  expect(await store.runs.find('r0')).toMatchObject({ token })
  expect(called).toEqual([])

  await store.runs.release(other, { expectedHead: 1 })
  clock.advance(5000)
  await until(() => worker.health().counts.ended === 2)
  expect(called.toSorted()).toEqual([0, 1])
})
