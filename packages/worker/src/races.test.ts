import { createKernel, defineWorkflow } from '@varve/kernel'
import type { Kernel, KernelOptions, Reconciliation, Workflow } from '@varve/kernel'
import { StoreError, type Claim, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { interceptStore, virtualClock, type Interceptor, type VirtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { WorkerOptions } from './options.ts'
import { calling, inTurn, simple, waiter } from './testing/samples.ts'
import { until } from './testing/until.ts'
import { createWorker, type Worker } from './worker.ts'

interface Scene {
  readonly clock: VirtualClock
  /** Without what stands between the kernel and it. */
  readonly data: Store
  readonly kernel: Kernel
  readonly warnings: Error[]
  readonly work: (options?: Partial<WorkerOptions>) => Worker
}

function sceneOf(
  workflows: readonly Workflow[],
  intercept: Interceptor = (_, proceed) => proceed(),
  options: Partial<KernelOptions> = {},
): Scene {
  const clock = virtualClock()
  const data = memoryStore({ now: clock.now })
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  const kernel = createKernel({ clock, workflows, onWarning, ...options, store: interceptStore(data, intercept) })
  return {
    ...{ clock, data, kernel, warnings },
    work: (given = {}) => {
      const worker = createWorker({ kernel, signals: [], onWarning, ...given })
      worker.start()
      return worker
    },
  }
}

describe('a stop while a claim is under way', () => {
  test('begins no attempt after the first one that was under way already', async () => {
    const called: number[] = []
    const claiming = Promise.withResolvers<undefined>()
    const answer = Promise.withResolvers<undefined>()
    const counting = inTurn((n) => void called.push(n))
    const { data, kernel, work } = sceneOf([counting], async (call, proceed) => {
      const answered = await proceed()
      if (call.name !== 'runs.claim') return answered
      claiming.resolve(undefined)
      await answer.promise
      return answered
    })
    await kernel.start(counting, { n: 3 }, { runId: 'r', wait: false })
    const worker = work()
    await claiming.promise

    const stopping = worker.stop()
    answer.resolve(undefined)
    await stopping

    expect(called).toEqual([])
    const row = await data.runs.find('r')
    expect(row).toMatchObject({ status: 'running' })
    expect(row?.lease).toBeUndefined()
  })

  test('of the kernel is not over before what was claimed is given back', async () => {
    const claiming = Promise.withResolvers<undefined>()
    const answer = Promise.withResolvers<undefined>()
    const { data, kernel, work } = sceneOf([simple], async (call, proceed) => {
      const answered = await proceed()
      if (call.name !== 'runs.claim') return answered
      claiming.resolve(undefined)
      await answer.promise
      return answered
    })
    await kernel.start(simple, { n: 1 }, { runId: 'r', wait: false })
    const worker = work()
    await claiming.promise

    const closing = kernel[Symbol.asyncDispose]()
    answer.resolve(undefined)
    await closing

    expect((await data.runs.find('r'))?.lease).toBeUndefined()
    await worker.stopped
    expect(worker.health().status).toBe('stopped')
  })
})

describe('a second stop', () => {
  test('shortens the wait, and never lengthens it', async () => {
    const reasons: unknown[] = []
    const endless = calling(
      (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reasons.push(signal.reason)
            reject(signal.reason as Error)
          })
        }),
    )
    const { clock, data, kernel, work } = sceneOf([endless])
    await kernel.start(endless, { n: 1 }, { runId: 'r', wait: false })
    const worker = work({ graceMs: 60_000 })
    await until(async () => (await data.runs.find('r'))?.head === 2)

    const first = worker.stop({ graceMs: 1000 })
    const second = worker.stop()
    clock.advance(1000)
    await Promise.all([first, second])

    expect(reasons).toHaveLength(1)
  })
})

describe('a signal that comes just when the worker has given the run back', () => {
  test('is answered with what came of it', async () => {
    let signaling: Promise<unknown> | undefined
    const { kernel, work, data } = sceneOf([waiter], async (call, proceed) => {
      const answered = await proceed()
      // The run is blocked for everybody else; the drive has not heard of it yet.
      const [, , options] = call.args as Parameters<Store['events']['append']>
      if (call.name === 'events.append' && options.release === true && signaling === undefined) {
        signaling = kernel.signal('r', { name: 'go', value: 'x' })
        await until(async () => (await data.runs.find('r'))?.waiting === 1)
      }
      return answered
    })
    await kernel.start(waiter, null, { runId: 'r', wait: false })

    await using worker = work()
    await until(() => signaling !== undefined)

    expect(await signaling).toMatchObject({ status: 'completed', output: 'gone' })
    await worker.stop()
  })
})

describe('a worker that stood still for longer than its leases', () => {
  test('and claims a run that it still drives itself gives it back, and knows of both drives until they are over', async () => {
    const gate = Promise.withResolvers<undefined>()
    const slow = calling(() => gate.promise)
    const { clock, data, kernel, work } = sceneOf([slow])
    await kernel.start(slow, { n: 1 }, { runId: 'r', wait: false })
    const worker = work({ leaseMs: 1000, pollMs: 100 })
    await until(async () => (await data.runs.find('r'))?.head === 2)
    const { token } = (await data.runs.find('r'))!

    // All that is due since is called at once, as after a pause of the process.
    clock.advance(5000)
    const driving = worker.health().driving.length
    gate.resolve(undefined)
    await until(() => worker.health().driving.length === 0)
    clock.advance(100)
    await until(async () => (await data.runs.find('r'))?.status === 'completed')
    await worker.stop()

    expect(driving).toBe(1)
    expect(worker.health()).toMatchObject({ status: 'stopped', driving: [] })
    expect((await data.runs.find('r'))?.token).toBeGreaterThanOrEqual(token)
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })
})

describe('verbs of the kernel on a run that its worker drives', () => {
  test('follow it, move it to another version and cancel it', async () => {
    const { kernel, work, data } = sceneOf([waiter])
    await kernel.start(waiter, null, { runId: 'followed', wait: false })
    await kernel.start(waiter, null, { runId: 'canceled', wait: false })
    await using worker = work()

    const outcomes = await Promise.all([kernel.run('followed'), kernel.run('canceled')])
    const signaled = await kernel.signal('followed', { name: 'go', value: 'x' })
    const canceled = await kernel.cancel('canceled', { reason: 'no more' })

    expect(outcomes).toMatchObject([{ status: 'blocked' }, { status: 'blocked' }])
    expect(signaled).toMatchObject({ status: 'completed', output: 'gone' })
    expect(canceled).toMatchObject({ status: 'canceled' })
    await worker.stop()
    for (const runId of ['followed', 'canceled']) expect((await data.runs.find(runId))?.lease).toBeUndefined()
  })
})

test('an inquiry whose process dies is made again by the next one', async () => {
  const clock = virtualClock()
  const data = memoryStore({ now: clock.now })
  const asking = (reconcile: () => Promise<Reconciliation>): Workflow =>
    defineWorkflow(
      {
        ...{ name: 'asking', version: '1', input: z.null() },
        actions: {
          pay: { effect: 'at-most-once', run: () => Promise.reject(new Error('no answer')), reconcile },
        },
      },
      { step: ({ results }, next) => (results['pay'] ? next.complete('paid') : next.run('pay')) },
    )
  const asked = Promise.withResolvers<undefined>()
  const first = asking(() => {
    asked.resolve(undefined)
    return new Promise(() => undefined)
  })
  let isDead = false
  const dying = interceptStore(data, (_, proceed) => (isDead ? new Promise(() => undefined) : proceed()))
  const kernel = createKernel({ store: dying, clock, workflows: [first], leaseMs: 1000 })
  void kernel.start(first, null as never, { runId: 'r' }).catch(() => undefined)
  await asked.promise
  isDead = true
  const next = asking(async () => ({ status: 'succeeded', output: null }))

  clock.advance(1000)
  const worker = createWorker({ kernel: createKernel({ store: data, clock, workflows: [next] }), signals: [] })
  worker.start()

  await until(async () => (await data.runs.find('r'))?.status === 'completed')
  await worker.stop()
})

describe('what goes wrong outside', () => {
  test('a listener for warnings that throws does not end the worker', async () => {
    let claims = 0
    const { clock, data, kernel, work } = sceneOf([simple], async (call, proceed) => {
      if (call.name === 'runs.claim' && claims++ === 0)
        throw new StoreError('STORE_UNREACHABLE', 'gone', { retryable: true })
      return proceed()
    })
    await kernel.start(simple, { n: 1 }, { runId: 'r', wait: false })

    await using worker = work({
      onWarning: () => {
        throw new Error('the log is full')
      },
    })
    await until(() => worker.health().trouble !== undefined)
    clock.advance(250)

    await until(async () => (await data.runs.find('r'))?.status === 'completed')
    await worker.stop()
  })

  test('runs with damaged logs do not keep a worker from the others', async () => {
    const damaged = new Set(['d1', 'd2', 'd3', 'd4', 'd5'])
    const { clock, data, kernel, warnings, work } = sceneOf([simple], async (call, proceed) => {
      const answer = await proceed()
      if (call.name !== 'runs.claim') return answer
      const claims = (answer as readonly Claim[]).map((claim) => {
        const { runId, first } = claim
        // A bit has flipped.
        return first && damaged.has(runId) ? { ...claim, first: { ...first, at: first.at + 1 } } : claim
      })
      return claims as typeof answer
    })
    for (const runId of damaged) await kernel.start(simple, { n: 1 }, { runId, wait: false })
    const worker = work({ concurrency: 1 })
    await until(() => warnings.length === damaged.size)
    await kernel.start(simple, { n: 1 }, { runId: 'sound', wait: false })

    // A run is counted behind its end.
    await until(() => worker.health().counts.ended === 1)

    expect((await data.runs.find('sound'))?.status).toBe('completed')
    expect(clock.now()).toBe(1_700_000_000_000)
    expect(worker.health()).toMatchObject({ ok: true, counts: { ended: 1, givenUp: damaged.size } })
    await worker.stop()
  })

  test('a store that was closed under a worker shows in its health, and does not keep it from stopping', async () => {
    const { data, work } = sceneOf([simple])
    const worker = work()
    await data[Symbol.asyncDispose]()
    await until(() => worker.health().status === 'working')

    await worker.stop()

    expect(worker.health().status).toBe('stopped')
  })
})
