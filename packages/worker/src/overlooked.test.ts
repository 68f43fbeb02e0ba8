import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import {
  ActionError,
  createKernel,
  defineWorkflow,
  processOwner,
  type Clock,
  type Kernel,
  type Workflow,
} from '@varve/kernel'
import { StoreError, type Owner, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { interceptStore, virtualClock, type Interceptor, type VirtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { WorkerOptions } from './options.ts'
import { defineSchedule } from './schedules/schedule.ts'
import { calling, simple } from './testing/samples.ts'
import { until } from './testing/until.ts'
import { createWorker, type Worker } from './worker.ts'

interface Scene {
  readonly clock: VirtualClock
  /** Without what stands between the kernel and it. */
  readonly data: Store
  readonly kernel: Kernel
  /** What the kernel is to be called for at once. */
  readonly hurries: number[]
  readonly work: (options?: Partial<WorkerOptions>) => Worker
}

function sceneOf(workflows: readonly Workflow[], intercept: Interceptor = (_, proceed) => proceed()): Scene {
  const clock = virtualClock()
  const data = memoryStore({ now: clock.now })
  const hurries: number[] = []
  const observed: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    schedule: (ms, fn) => {
      if (ms === 0) hurries.push(clock.now())
      return clock.schedule(ms, fn)
    },
  }
  const store = interceptStore(data, intercept)
  const kernel = createKernel({ clock: observed, workflows, onWarning: () => undefined, store })
  return {
    ...{ clock, data, kernel, hurries },
    work: (given = {}) => {
      const worker = createWorker({ kernel, signals: [], onWarning: () => undefined, ...given })
      worker.start()
      return worker
    },
  }
}

/** A process of this machine that has ended, as an owner of leases. */
async function deadOwner(): Promise<Owner> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return { ...processOwner(), pid: child.pid!, startedAt: '1' }
}

/** Lets everything happen that waits for no clock. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await setImmediate()
}

describe('a run that is told of while the worker asks when the next one is due', () => {
  test('is begun in time, although the answer does not know of it', async () => {
    let asked = 0
    const { clock, data, kernel, work } = sceneOf([simple], async (call, proceed) => {
      const answer = await proceed()
      if (call.name === 'runs.dueIn' && asked++ === 0) {
        const heard = Promise.withResolvers<undefined>()
        await using _ = data.notifications!.subscribe(() => {
          heard.resolve(undefined)
        })
        await kernel.start(simple, { n: 1 }, { runId: 'r', wait: false, delayMs: 300 })
        await heard.promise
      }
      return answer
    })

    await using worker = work({ pollMs: 5000 })
    await until(() => asked > 0 && clock.timers > 0)
    clock.advance(300)

    await until(() => worker.health().counts.ended === 1)
    expect((await data.runs.find('r'))?.status).toBe('completed')
  })
})

describe('a stop', () => {
  test('begins no attempt anew that another process has left', async () => {
    const called: string[] = []
    const left = calling(async (_, signal) => {
      called.push('begun')
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error)
        })
      })
    })
    const claiming = Promise.withResolvers<undefined>()
    const answer = Promise.withResolvers<undefined>()
    const { clock, data, kernel, work } = sceneOf([left], async (call, proceed) => {
      const answered = await proceed()
      if (call.name !== 'runs.claim') return answered
      claiming.resolve(undefined)
      await answer.promise
      return answered
    })
    // Its clock stands still: it renews nothing.
    const dying = createKernel({ clock: virtualClock(), workflows: [left], store: data, leaseMs: 1000 })
    void dying.start(left, { n: 1 }, { runId: 'r' }).catch(() => undefined)
    await until(() => called.length === 1)
    clock.advance(1000)
    const worker = work()
    await claiming.promise

    const stopping = worker.stop()
    answer.resolve(undefined)
    await stopping

    expect(called).toEqual(['begun'])
    expect((await data.runs.find('r'))?.lease).toBeUndefined()
    await dying[Symbol.asyncDispose]()
    await kernel[Symbol.asyncDispose]()
  })

  test('begins no further attempt of an action that failed, while another one is under way', async () => {
    const gate = Promise.withResolvers<undefined>()
    let tries = 0
    const both = defineWorkflow(
      {
        name: 'both',
        version: '1',
        input: z.null(),
        actions: {
          slow: { run: async (_: null) => gate.promise.then(() => null) },
          flaky: {
            retry: { maxAttempts: 50, baseMs: 1000, factor: 1, jitter: 'none' },
            run: async (_: null): Promise<null> => {
              tries++
              throw new ActionError('transient', 'not yet')
            },
          },
        },
      },
      {
        step: ({ results }, next) =>
          results['slow'] ? next.complete(null) : next.all([next.run('slow', null), next.run('flaky', null)]),
      },
    )
    const { clock, data, kernel, hurries, work } = sceneOf([both])
    await kernel.start(both, null, { runId: 'r', wait: false })
    const worker = work()
    await until(async () => (await data.runs.find('r'))?.head === 4)

    const stopping = worker.stop()
    // Its retry is due; however often the time is looked at, nobody waits for it.
    for (let look = 0; look < 5; look++) {
      clock.advance(500)
      await settled()
    }
    gate.resolve(undefined)
    await stopping

    expect(tries).toBe(1)
    expect(hurries).toEqual([])
    expect((await data.runs.find('r'))?.lease).toBeUndefined()
  })
})

describe('what was taken over from a dead process when the store fails', () => {
  test('is driven by the worker all the same, which leaves no lease of it behind', async () => {
    const begun = Promise.withResolvers<undefined>()
    const endless = calling(
      (_, signal) =>
        new Promise((_resolve, reject) => {
          begun.resolve(undefined)
          signal.addEventListener('abort', () => {
            reject(signal.reason as Error)
          })
        }),
    )
    let taken = 0
    const { clock, data, kernel, work } = sceneOf([endless], async (call, proceed) => {
      if (call.name === 'runs.acquire' && taken++ === 1) {
        await begun.promise
        throw new StoreError('STORE_UNREACHABLE', 'gone', { retryable: true })
      }
      return proceed()
    })
    const owner = await deadOwner()
    for (const runId of ['r1', 'r2']) {
      await kernel.start(endless, { n: 1 }, { runId, wait: false })
      await data.runs.acquire(runId, { owner, leaseMs: 600_000 })
    }
    const worker = work()
    await until(() => worker.health().trouble !== undefined || worker.health().driving.length > 0)

    expect(worker.health().driving).toHaveLength(1)
    const stopping = worker.stop({ graceMs: 0 })
    clock.advance(0)
    await stopping
    const rows = await Promise.all(['r1', 'r2'].map((runId) => data.runs.find(runId)))
    expect(rows.filter((row) => row?.lease?.owner.id === kernel.dispatcher.owner.id)).toEqual([])
  })

  test('is nothing any more once the kernel was disposed', async () => {
    const looking = Promise.withResolvers<undefined>()
    const answer = Promise.withResolvers<undefined>()
    const { data, kernel, work } = sceneOf([simple], async (call, proceed) => {
      const answered = await proceed()
      if (call.name !== 'runs.list') return answered
      looking.resolve(undefined)
      await answer.promise
      return answered
    })
    const owner = await deadOwner()
    await kernel.start(simple, { n: 1 }, { runId: 'r', wait: false })
    await data.runs.acquire('r', { owner, leaseMs: 600_000 })
    const { token } = (await data.runs.find('r'))!
    const worker = work()
    await looking.promise

    const closing = kernel[Symbol.asyncDispose]()
    answer.resolve(undefined)
    await closing
    const row = await data.runs.find('r')
    await worker.stopped

    expect(row?.lease?.owner.id ?? owner.id).toBe(owner.id)
    expect((await data.runs.find('r'))?.token).toBe(token)
  })
})

describe('a run of a dead process that cannot be driven', () => {
  test('is parked and told of, although others are still being taken over', async () => {
    const broken = defineWorkflow(
      { name: 'broken', version: '1', input: z.null(), actions: {} },
      {
        step: () => {
          throw new Error('no way on')
        },
      },
    )
    const parked = Promise.withResolvers<undefined>()
    const { data, kernel, work } = sceneOf([broken, simple], async (call, proceed) => {
      if (call.name === 'runs.acquire' && call.args[0] === 'r1') {
        await parked.promise
        await settled()
      }
      const answer = await proceed()
      if (call.name === 'runs.release') parked.resolve(undefined)
      return answer
    })
    const owner = await deadOwner()
    await kernel.start(simple, { n: 1 }, { runId: 'r1', wait: false })
    await kernel.start(broken, null, { runId: 'r2', wait: false })
    for (const runId of ['r1', 'r2']) await data.runs.acquire(runId, { owner, leaseMs: 600_000 })
    const warnings: Error[] = []
    const unhandled: unknown[] = []
    const note = (error: unknown): void => void unhandled.push(error)
    process.on('unhandledRejection', note)

    await using worker = work({ onWarning: (warning) => warnings.push(warning) })
    await until(() => worker.health().counts.ended + worker.health().counts.givenUp === 2)
    process.off('unhandledRejection', note)

    expect(unhandled).toEqual([])
    expect(warnings).toMatchObject([{ where: { runId: 'r2' } }])
    expect((await data.runs.find('r1'))?.status).toBe('completed')
    expect((await data.runs.find('r2'))?.problem).toMatchObject({ code: expect.any(String) as string })
  })
})

describe('a store that fails for a moment', () => {
  test.for(['events.read', 'events.append'])('of one run in %s keeps no other run waiting', async (call) => {
    let fails = false
    const { clock, data, kernel, work } = sceneOf([simple], async ({ name, args }, proceed) => {
      if (fails && name === call && args[0] === 'bad') throw new StoreError('STORE_FAILED', 'invalid page')
      const answer = await proceed()
      // The event of a new run comes with its claim: then nobody reads it.
      if (name === 'runs.claim') for (const claim of answer as { first?: unknown }[]) delete claim.first
      return answer
    })
    for (const runId of ['bad', 'a', 'b']) {
      await kernel.start(simple, { n: 1 }, { runId, wait: false })
      clock.advance(1)
    }
    fails = true
    await using worker = work({ concurrency: 1 })

    for (let ms = 0; ms < 10_000; ms += 250) {
      await settled()
      clock.advance(250)
    }

    const rows = await Promise.all(['bad', 'a', 'b'].map(async (runId) => data.runs.find(runId)))
    expect(rows).toMatchObject([
      { status: 'running', problem: { code: 'STORE_FAILED' } },
      { status: 'completed' },
      { status: 'completed' },
    ])
    // At once, after a moment, and then no more for long.
    expect(worker.health().counts).toMatchObject({ givenUp: 2, ended: 2 })
  })

  test('holds a worker up for a moment, however many runs it has failed', async () => {
    let fails = false
    const { clock, data, kernel, work } = sceneOf([simple], async (call, proceed) => {
      const isOfDrive = call.name === 'events.append' && fails
      if (isOfDrive) throw new StoreError('STORE_FAILED', 'no space')
      return proceed()
    })
    for (let n = 0; n < 10; n++) await kernel.start(simple, { n }, { runId: `r${n}`, wait: false })
    fails = true
    await using worker = work({ concurrency: 10 })
    await until(() => worker.health().counts.givenUp === 10)
    fails = false

    clock.advance(250)

    await until(() => worker.health().counts.ended === 10)
    expect((await data.runs.find('r9'))?.status).toBe('completed')
    expect(worker.health().ok).toBe(true)
  })
})

describe('a worker that could not be started', () => {
  test('can be stopped', async () => {
    const { data, kernel } = sceneOf([simple])
    await data[Symbol.asyncDispose]()
    const worker = createWorker({ kernel, signals: [] })
    expect(() => {
      worker.start()
    }).toThrow(expect.objectContaining({ code: 'STORE_CLOSED' }))

    let stopped = false
    void worker.stop().then(() => (stopped = true))

    await until(() => stopped)
  })
})

test('a worker is not made with two schedules of one id', () => {
  const { kernel } = sceneOf([simple])
  const [early, late] = ['0 3 * * *', '0 4 * * *'].map((cron) =>
    defineSchedule({ id: 'report', cron, workflow: simple, input: () => ({ n: 1 }) }),
  )

  expect(() => createWorker({ kernel, schedules: [early!, late!] })).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION' }),
  )
})

test('a worker is not made for more queues than a claim can name', () => {
  const { kernel } = sceneOf([simple])
  const queues = Array.from({ length: 1001 }, (_, i) => `q${i}`)

  expect(() => createWorker({ kernel, queues })).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
})

describe('a worker is not made', () => {
  const byHand = { id: 'report', cron: '0 3 * * *', workflow: simple, input: () => ({ n: 1 }) }

  test.for<[what: string, options: unknown]>([
    ['of nothing', undefined],
    ['of a text', 'mail'],
    ['without a kernel', {}],
    ['for a kernel that is none', { kernel: {} }],
    ['for one queue where a list is meant', { queues: 'mail' }],
    ['for a queue that is not there', { queues: [null] }],
    ['for a rate without numbers', { queues: [{ name: 'mail', rate: {} }] }],
    ['for a rate that is a number', { queues: [{ name: 'mail', rate: 5 }] }],
    ['for a rate without a period', { queues: [{ name: 'mail', rate: { limit: 5 } }] }],
    ['for a rate without a limit', { queues: [{ name: 'mail', rate: { periodMs: 1000 } }] }],
    ['for one workflow where a list is meant', { workflows: 'mailing' }],
    ['for workflows that are a number', { workflows: 5 }],
    ['for workflows that are an object', { workflows: {} }],
    ['for a workflow that is not there', { workflows: [undefined] }],
    ['for one signal where a list is meant', { signals: 'SIGTERM' }],
    ['for schedules that are a number', { schedules: 5 }],
    ['for a schedule that is not there', { schedules: [null] }],
    ['for a schedule that was put together by hand', { schedules: [byHand] }],
    ['with a misspelt option', { concurency: 2 }],
    ['for a queue with a misspelt limit', { queues: [{ name: 'mail', concurencyPerKey: 1 }] }],
    ['for a rate with a misspelt period', { queues: [{ name: 'mail', rate: { limit: 5, periodMs: 1, period: 9 } }] }],
    ['with a concurrency that no text can show', { concurrency: Symbol('many') }],
  ])('%s', ([, options]) => {
    const { kernel } = sceneOf([simple])
    const given =
      typeof options === 'object' && Object.keys(options ?? {}).length > 0 ? { kernel, ...options } : options

    expect(() => createWorker(given as WorkerOptions)).toThrow(
      expect.objectContaining({ name: 'WorkerError', code: 'INVALID_OPTION' }),
    )
  })
})

test('a worker goes on working when it is stopped with what are no options', async () => {
  const { kernel } = sceneOf([simple])
  const worker = createWorker({ kernel, signals: [] })
  worker.start()

  for (const options of [null, { graceMS: 5 }]) {
    const stopping = worker.stop(options as never)
    await expect(stopping).rejects.toMatchObject({ name: 'WorkerError', code: 'INVALID_OPTION' })
  }
  expect(worker.health().status).toBe('working')
  await worker.stop()
})
