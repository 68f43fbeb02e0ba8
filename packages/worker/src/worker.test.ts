import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { ActionError, createKernel, processOwner, type Kernel, type KernelOptions, type Workflow } from '@varve/kernel'
import type { Owner, Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { faultyStore, interceptStore, virtualClock, type VirtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import type { WorkerOptions } from './options.ts'
import { asker, calling, napper, parent, simple, sleeper, waiter } from './testing/samples.ts'
import { until } from './testing/until.ts'
import { createWorker, type Worker } from './worker.ts'

interface Scene {
  readonly clock: VirtualClock
  readonly store: Store
  readonly kernel: Kernel
  /** A worker that is started. */
  readonly work: (options?: Partial<WorkerOptions>) => Worker
  readonly status: (runId: string) => Promise<string | undefined>
}

function sceneOf(workflows: readonly Workflow[], options: Partial<KernelOptions> = {}): Scene {
  const clock = virtualClock()
  const store = options.store ?? memoryStore({ now: clock.now })
  const kernel = createKernel({ clock, workflows, onWarning: () => undefined, ...options, store })
  return {
    ...{ clock, store, kernel },
    work: (given = {}) => {
      const worker = createWorker({ kernel, signals: [], onWarning: () => undefined, ...given })
      worker.start()
      return worker
    },
    status: async (runId) => (await kernel.find(runId))?.status,
  }
}

/** A process of this machine that has ended, as an owner of leases. */
async function deadOwner(): Promise<Owner> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return { ...processOwner(), pid: child.pid!, startedAt: '1' }
}

describe('a worker', () => {
  test('drives runs that were enqueued before it came and after', async () => {
    const { kernel, work, status } = sceneOf([simple])
    await kernel.start(simple, { n: 1 }, { runId: 'before', wait: false })

    await using worker = work()
    await until(async () => (await status('before')) === 'completed')
    await kernel.start(simple, { n: 2 }, { runId: 'after', wait: false })
    await until(() => worker.health().counts.ended === 2)

    expect(await status('after')).toBe('completed')
    expect(worker.health().counts).toEqual({ claimed: 2, blocked: 0, ended: 2, givenUp: 0 })
  })

  test('drives a hundred runs at once unless it is told otherwise', async () => {
    const held = Promise.withResolvers<undefined>()
    const holding = calling(async () => held.promise)
    const { kernel, work } = sceneOf([holding])
    for (let n = 0; n < 101; n++) await kernel.start(holding, { n }, { wait: false })

    await using worker = work()
    await until(() => worker.health().driving.length === 100)
    held.resolve(undefined)

    await until(() => worker.health().counts.ended === 101)
    expect(worker.health().concurrency).toBe(100)
  })

  test('wakes a sleeping run when its time has come, and not before', async () => {
    const { clock, kernel, work, status } = sceneOf([sleeper])
    await kernel.start(sleeper, null, { runId: 'r', wait: false })
    await using worker = work()
    await until(() => worker.health().counts.blocked === 1)

    clock.advance(59_999)
    await until(() => worker.health().driving.length === 0)
    expect(await status('r')).toBe('blocked')
    clock.advance(1)

    await until(async () => (await status('r')) === 'completed')
  })

  test('learns of a timer that another process has set by looking', async () => {
    const { clock, store, kernel, work, status } = sceneOf([sleeper])
    await using worker = work({ pollMs: 1000 })
    await until(() => clock.timers > 0)
    const other = createKernel({ store, clock, workflows: [sleeper] })
    await other.start(sleeper, null, { runId: 'r' })
    await other[Symbol.asyncDispose]()

    for (let second = 0; second < 60; second++) {
      clock.advance(1000)
      await until(() => worker.health().driving.length === 0 && clock.timers > 0)
    }

    await until(async () => (await kernel.find('r'))?.status === 'completed')
    expect(await status('r')).toBe('completed')
  })

  test('is in time for a run that was delayed while it asked what comes next', async () => {
    const clock = virtualClock()
    const memory = memoryStore({ now: clock.now })
    const other = createKernel({ store: memory, clock, workflows: [simple] })
    const store = interceptStore(memory, async (call, proceed) => {
      const answer = await proceed()
      if (call.name === 'runs.dueIn') await other.start(simple, { n: 1 }, { runId: 'r', delayMs: 1000, wait: false })
      return answer
    })
    const kernel = createKernel({
      store: { ...store, notifications: memory.notifications! },
      clock,
      workflows: [simple],
    })
    await using worker = createWorker({ kernel, signals: [] })
    worker.start()
    await until(() => clock.timers > 0)

    clock.advance(1000)

    await until(() => worker.health().counts.ended === 1)
  })

  test('wakes a run in time whose sleep is shorter than the time between two looks', async () => {
    const { clock, kernel, work, status } = sceneOf([napper])
    await using worker = work()
    await kernel.start(napper, null, { runId: 'r', wait: false })
    await until(() => worker.health().counts.blocked === 1)

    clock.advance(300)

    await until(async () => (await status('r')) === 'completed')
  })

  test('ends what has met its deadline, and moves on where nobody answered in time', async () => {
    const { clock, kernel, work, status } = sceneOf([asker, waiter])
    await kernel.start(asker, null, { runId: 'asks', wait: false })
    await kernel.start(waiter, null, { runId: 'waits', deadlineMs: 60_000, wait: false })
    await using worker = work()
    await until(() => worker.health().counts.blocked === 2)

    clock.advance(59_999)
    await until(() => worker.health().driving.length === 0)
    expect([await status('asks'), await status('waits')]).toEqual(['blocked', 'blocked'])
    clock.advance(1)

    await until(() => worker.health().counts.ended === 2)
    expect([await status('asks'), await status('waits')]).toEqual(['completed', 'failed'])
  })

  test('drives on what a signal moves', async () => {
    const { store, clock, kernel, work, status } = sceneOf([waiter])
    await kernel.start(waiter, null, { runId: 'r', wait: false })
    await using worker = work()
    await until(() => worker.health().counts.blocked === 1)
    const poster = createKernel({ store, clock, workflows: [] })

    await poster.signal('r', { name: 'go', value: 'x' }).catch(() => undefined)

    await until(async () => (await status('r')) === 'completed')
  })

  test('drives children by their own turn: one place is enough for a family', async () => {
    const { kernel, work, status } = sceneOf([parent, simple])
    await kernel.start(parent, null, { runId: 'p', wait: false })

    await using worker = work({ concurrency: 1 })

    await until(async () => (await status('p')) === 'completed')
    expect(worker.health().counts.claimed).toBe(3)
  })

  test('tries an action again when its time has come', async () => {
    let calls = 0
    const flaky = calling(() => {
      if (calls++ === 0) throw new ActionError('transient', 'not yet')
    })
    const { clock, kernel, work, status } = sceneOf([flaky])
    await kernel.start(flaky, { n: 1 }, { runId: 'r', wait: false })
    await using worker = work()
    await until(() => worker.health().counts.blocked === 1)

    clock.advance(60_000)

    await until(async () => (await status('r')) === 'completed')
    expect(calls).toBe(2)
  })

  test('drives no more runs at once than it has places', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<undefined>()
    const counts = { now: 0, most: 0 }
    const slow = calling(async () => {
      counts.most = Math.max(counts.most, ++counts.now)
      await gate
      counts.now--
    })
    const { kernel, work } = sceneOf([slow])
    for (let n = 0; n < 20; n++) await kernel.start(slow, { n }, { runId: `r${n}`, wait: false })

    await using worker = work({ concurrency: 3 })
    await until(() => counts.now === 3)
    open(undefined)

    await until(() => worker.health().counts.ended === 20)
    expect(counts.most).toBe(3)
  })

  test('fills places that become free together by one claim', async () => {
    let claims = 0
    const clock = virtualClock()
    const store = interceptStore(memoryStore({ now: clock.now }), async (call, proceed) => {
      if (call.name === 'runs.claim') claims++
      return proceed()
    })
    // One after the other, all in one turn of the event loop.
    const staggered = calling(async (n) => {
      for (let hop = 0; hop < 100 * (n % 8); hop++) await Promise.resolve()
    })
    const { kernel, work } = sceneOf([staggered], { store, clock })
    for (let n = 0; n < 40; n++) await kernel.start(staggered, { n }, { wait: false })

    await using worker = work({ concurrency: 8 })
    await until(() => worker.health().counts.ended === 40)

    // Five times eight, and once more to find nothing left.
    expect(claims).toBeLessThanOrEqual(6)
  })

  test('leaves workflows and queues alone that it is not there for', async () => {
    const { kernel, work, status } = sceneOf([simple, waiter])
    await kernel.start(simple, { n: 1 }, { runId: 'other-queue', queue: 'mail', wait: false })
    await kernel.start(waiter, null, { runId: 'other-workflow', wait: false })
    await kernel.start(simple, { n: 2 }, { runId: 'own', wait: false })

    await using worker = work({ workflows: ['simple'] })
    await until(async () => (await status('own')) === 'completed')

    expect(worker.health().counts.claimed).toBe(1)
  })

  test('drives a workflow that is registered later', async () => {
    const { kernel, work, status } = sceneOf([])
    await using worker = work()
    kernel.register(simple)

    await kernel.start(simple, { n: 1 }, { runId: 'r', wait: false })

    await until(async () => (await status('r')) === 'completed')
    expect(worker.health().ok).toBe(true)
  })
})

describe('what a process has left that died', () => {
  test('is driven on at once where the process can be seen to be dead', async () => {
    const { store, kernel, work, status } = sceneOf([simple])
    await kernel.start(simple, { n: 1 }, { runId: 'r', wait: false })
    await store.runs.acquire('r', { owner: await deadOwner(), leaseMs: 600_000 })

    await using worker = work()

    await until(() => worker.health().counts.ended === 1)
    expect(await status('r')).toBe('completed')
    expect(worker.health().counts.claimed).toBe(1)
  })

  test.for<[string, string, number]>([
    ['is looked for', 'runs.list', 0],
    ['has been taken over in part', 'runs.acquire', 1],
  ])('is driven on when the store is there again that failed when it %s', async ([, name, nth]) => {
    const clock = virtualClock()
    const data = memoryStore({ now: clock.now })
    let calls = 0
    const store = interceptStore(data, async (call, proceed) => {
      if (call.name === name && calls++ === nth) throw new Error('the server is gone')
      return proceed()
    })
    const { kernel, work, status } = sceneOf([simple], { store, clock })
    const owner = await deadOwner()
    for (const runId of ['r1', 'r2']) {
      await kernel.start(simple, { n: 1 }, { runId, wait: false })
      await data.runs.acquire(runId, { owner, leaseMs: 600_000 })
    }

    await using worker = work({ pollMs: 1000 })
    await until(() => calls > nth && clock.timers > 0)
    clock.advance(1000)

    await until(() => worker.health().counts.ended === 2)
    expect([await status('r1'), await status('r2')]).toEqual(['completed', 'completed'])
    expect(worker.health()).toMatchObject({ ok: true, counts: { claimed: 2 } })
  })

  test('is left to its lease where it was taken over three times and nothing came of it', async () => {
    const { store, kernel, work, clock, status } = sceneOf([simple])
    const owner = await deadOwner()
    const deaths = { thrice: 3, 'four times': 4 }
    for (const [runId, times] of Object.entries(deaths)) {
      await kernel.start(simple, { n: 1 }, { runId, wait: false })
      for (let n = 1; n <= times; n++) {
        const { token: takeover } = (await store.runs.find(runId))!
        await store.runs.acquire(runId, { owner: { ...owner, id: `dead-${n}` }, leaseMs: 10_000, takeover })
      }
    }

    await using worker = work()
    await until(async () => (await status('thrice')) === 'completed' && clock.timers > 0)
    expect(worker.health().counts.claimed).toBe(1)
    expect(await store.runs.find('four times')).toMatchObject({ recoveries: 3, lease: { owner: { id: 'dead-4' } } })
    clock.advance(10_000)

    await until(async () => (await status('four times')) === 'completed')
  })

  test("is left to its lease where it may be alive, and where it is not the worker's", async () => {
    const { store, kernel, work, clock, status } = sceneOf([simple, waiter])
    for (const [runId, queue] of [
      ['alive', 'default'],
      ['elsewhere', 'default'],
      ['other', 'mail'],
    ] as const) {
      await kernel.start(simple, { n: 1 }, { runId, queue, wait: false })
    }
    const dead = await deadOwner()
    await store.runs.acquire('alive', { owner: { ...processOwner(), id: 'sibling' }, leaseMs: 10_000 })
    await store.runs.acquire('elsewhere', { owner: { ...dead, boot: 'another machine' }, leaseMs: 10_000 })
    await store.runs.acquire('other', { owner: dead, leaseMs: 10_000 })

    await using worker = work()
    await until(() => clock.timers > 0)
    expect(worker.health().counts.claimed).toBe(0)
    clock.advance(10_000)

    await until(async () => (await status('alive')) === 'completed' && (await status('elsewhere')) === 'completed')
    expect(await status('other')).toBe('running')
  })
})

describe('a run that cannot be driven', () => {
  test('is parked, told of and not claimed again before its time', async () => {
    const broken = calling(() => undefined)
    const warnings: Error[] = []
    const { kernel, store, clock, work } = sceneOf([broken], {
      policy: {
        name: 'broken',
        authorize: () => {
          throw new Error('no such rule')
        },
      },
    })
    await kernel.start(broken, { n: 1 }, { runId: 'r', wait: false })

    await using worker = work({ onWarning: (warning) => warnings.push(warning) })
    await until(() => warnings.length === 1)
    clock.advance(30_000)
    await until(() => worker.health().driving.length === 0)

    expect((await store.runs.find('r'))?.problem?.code).toBe('POLICY_FAILED')
    expect(worker.health()).toMatchObject({ ok: true, counts: { claimed: 1, givenUp: 1 } })
  })
})

describe('a store that fails', () => {
  test('is asked again after a while, ever more seldom, until it answers', async () => {
    const clock = virtualClock()
    let claims = 0
    const store = interceptStore(memoryStore({ now: clock.now }), async (call, proceed) => {
      if (call.name !== 'runs.claim') return proceed()
      if (claims++ < 4) throw new Error('the server is gone')
      return proceed()
    })
    const { kernel, work, status } = sceneOf([simple], { store, clock })
    await kernel.start(simple, { n: 1 }, { runId: 'r', wait: false })

    await using worker = work()
    const waited: number[] = []
    for (const ms of [250, 500, 1000, 2000]) {
      await until(() => clock.timers > 0 && worker.health().trouble !== undefined)
      expect(worker.health()).toMatchObject({ ok: false, trouble: { error: { message: 'the server is gone' } } })
      clock.advance(ms)
      waited.push(claims)
      await until(() => claims === waited.length + 1)
    }

    await until(async () => (await status('r')) === 'completed')
    expect(worker.health()).toMatchObject({ ok: true })
  })

  test('that loses the answer of a claim costs the runs no more than a lease', async () => {
    const clock = virtualClock()
    const store = faultyStore(memoryStore({ now: clock.now }), [{ call: 'runs.claim', nth: 1, fault: 'answer-lost' }])
    const { kernel, work, status } = sceneOf([simple], { store, clock })
    await kernel.start(simple, { n: 1 }, { runId: 'r', wait: false })

    await using worker = work({ leaseMs: 1000 })
    await until(() => worker.health().trouble !== undefined)
    clock.advance(1000)
    await until(() => worker.health().trouble === undefined)
    clock.advance(5000)

    await until(async () => (await status('r')) === 'completed')
  })
})

describe('stopping', () => {
  test('lets the attempt under way end, begins no other, and leaves the run to the next worker', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<undefined>()
    const called: number[] = []
    const slow = calling(async (n) => {
      called.push(n)
      await gate
    })
    const { kernel, store, work, status } = sceneOf([slow])
    await kernel.start(slow, { n: 1 }, { runId: 'r1', wait: false })
    const worker = work({ concurrency: 1 })
    await until(() => called.length === 1)
    await kernel.start(slow, { n: 2 }, { runId: 'r2', wait: false })

    const stopping = worker.stop()
    expect(worker.health().status).toBe('stopping')
    open(undefined)
    await stopping

    expect(worker.health()).toMatchObject({ status: 'stopped', ok: false, driving: [] })
    expect(called).toEqual([1])
    expect(await store.runs.find('r1')).toMatchObject({ status: 'running', head: 3 })
    expect((await store.runs.find('r1'))?.lease).toBeUndefined()
    await using next = work()
    await until(() => next.health().counts.ended === 2)
    expect([await status('r1'), await status('r2')]).toEqual(['completed', 'completed'])
    expect(called).toEqual([1, 2])
  })

  test('aborts what does not end in time', async () => {
    const aborted: unknown[] = []
    const endless = calling(
      (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted.push(signal.reason)
            reject(signal.reason as Error)
          })
        }),
    )
    const { clock, kernel, store, work } = sceneOf([endless])
    await kernel.start(endless, { n: 1 }, { runId: 'r', wait: false })
    const worker = work({ graceMs: 5000 })
    await until(() => worker.health().driving.length === 1)
    await until(async () => (await store.runs.find('r'))?.head === 2)

    const stopping = worker.stop()
    clock.advance(4999)
    expect(aborted).toEqual([])
    clock.advance(1)
    await stopping

    expect(aborted).toMatchObject([{ code: 'DRAINED' }])
    expect((await store.runs.find('r'))?.lease).toBeUndefined()
  })

  test('is over at once where nothing is under way, also before the start, and for good', async () => {
    const { work, kernel } = sceneOf([simple])
    const idle = work()
    await idle.stop()
    await idle.stop()
    const unused = createWorker({ kernel })
    await unused.stop()

    expect(unused.health().status).toBe('stopped')
    expect(() => {
      unused.start()
    }).toThrow(expect.objectContaining({ code: 'WORKER_STOPPED' }))
  })

  test('comes by itself when the kernel is disposed', async () => {
    const { kernel, work } = sceneOf([simple])
    const worker = work()

    await kernel[Symbol.asyncDispose]()
    await kernel.start(simple, { n: 1 }).catch(() => undefined)

    await worker.stop()
    expect(worker.health().status).toBe('stopped')
  })
})

test('two stops of a worker that was never started leave no timer behind', async () => {
  const clock = virtualClock()
  const kernel = createKernel({ store: memoryStore({ now: clock.now }), clock, workflows: [simple] })
  const worker = createWorker({ kernel, signals: [], onWarning: () => undefined })

  await Promise.all([worker.stop(), worker.stop()])

  expect(clock.timers).toBe(0)
  expect(worker.health().status).toBe('stopped')
})
