import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Owner, Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { canRecognizeDead, processOwner } from '../owner.ts'
import { ActionError } from '../policy/action-error.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { runStarted, writeLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

const simple = defineWorkflow(
  { name: 'simple', version: '1', input: z.null(), actions: { call: { run: () => 'ok' } } },
  { step: ({ results }, next) => (results['call'] ? next.complete('done') : next.run('call')) },
)

const asking = defineWorkflow(
  { name: 'asking', version: '1', input: z.null(), interrupts: { ask: { ask: z.null(), answer: z.null() } } },
  { step: ({ results }, next) => (results['ask'] ? next.complete('answered') : next.interrupt('ask', null)) },
)

/** A process of this machine that has ended, as an owner of leases. */
async function deadOwner(): Promise<Owner> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return { ...processOwner(), pid: child.pid!, startedAt: '1' }
}

/** A run in the middle of its action, leased to somebody for 30 seconds. */
async function leasedRun(store: Store, runId: string, owner: Owner): Promise<void> {
  const request = { type: 'ActionRequested', data: { key: 'call', action: 'call', input: null, effect: 'idempotent' } }
  await writeLog(store, runId, [runStarted('simple'), request], { workflow: 'simple' })
  await store.runs.acquire(runId, { owner, leaseMs: 30_000 })
}

describe('recovering', () => {
  test('takes up what was recorded and never driven, and answers how far it came', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [simple] })
    await kernel.start(simple, null, { runId: 'a', wait: false })
    await kernel.start(simple, null, { runId: 'b', wait: false })

    const recovered = await kernel.recover()

    expect(recovered.map(({ runId }) => runId).sort()).toEqual(['a', 'b'])
    expect(recovered).toMatchObject([{ outcome: { status: 'completed' } }, { outcome: { status: 'completed' } }])
  })

  test('leaves alone what has ended and what only an answer moves', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [simple, asking] })
    await kernel.start(simple, null, { runId: 'a' })
    await kernel.start(asking, null, { runId: 'b' })

    expect(await kernel.recover()).toEqual([])
  })

  test('takes up a blocked run to which an answer was posted', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [asking] })
    await kernel.start(asking, null, { runId: 'r' })
    await store.inbox.post('r', { id: 'p', type: 'Resumed', body: '{"key":"ask","value":null}' }, { maxWaiting: 9 })

    expect(await kernel.recover()).toMatchObject([{ runId: 'r', outcome: { status: 'completed', output: 'answered' } }])
  })

  test('leaves alone the runs of workflows and versions that are not registered', async () => {
    const store = memoryStore()
    await createKernel({ store, workflows: [simple] }).start(simple, null, { runId: 'r', wait: false })

    expect(await createKernel({ store, workflows: [asking] }).recover()).toEqual([])
  })

  test('answers the error of a run that cannot be driven, and goes on with the others', async () => {
    const store = memoryStore()
    await writeLog(store, 'bad', [runStarted('simple'), { type: 'Unknown', data: null }], { workflow: 'simple' })
    const kernel = createKernel({ store, workflows: [simple] })
    await kernel.start(simple, null, { runId: 'good', wait: false })

    const recovered = await kernel.recover({ concurrency: 1 })

    expect(recovered).toContainEqual({
      runId: 'bad',
      error: expect.objectContaining({ code: 'NEWER_FORMAT' }) as Error,
    })
    expect(recovered).toContainEqual({ runId: 'good', outcome: { status: 'completed', runId: 'good', output: 'done' } })
  })

  test('leaves a parked run alone until a minute has passed, and then tries again by itself', async () => {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    await writeLog(store, 'bad', [runStarted('simple'), { type: 'Unknown', data: null }], { workflow: 'simple' })
    const warnings: Error[] = []
    const kernel = createKernel({ store, workflows: [simple], clock, onWarning: (warning) => warnings.push(warning) })
    await kernel.recover()

    const again = await kernel.recover()
    await clock.advance(59_000)
    const early = warnings.length
    await clock.advance(1000)

    expect(again).toEqual([])
    expect(early).toBe(0)
    expect(warnings).toMatchObject([{ code: 'NEWER_FORMAT' }])
  })

  test('reads as many pages of runs as there are', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [simple] })
    for (let n = 0; n < 250; n++) await kernel.start(simple, null, { runId: `r${n}`, wait: false })

    expect(await kernel.recover()).toHaveLength(250)
  })
})

describe.runIf(canRecognizeDead(processOwner()))('a lease', () => {
  test('of a process that is dead is broken at once', async () => {
    const store = memoryStore()
    await leasedRun(store, 'r', await deadOwner())

    const recovered = await createKernel({ store, workflows: [simple] }).recover()

    expect(recovered).toMatchObject([{ runId: 'r', outcome: { status: 'completed' } }])
  })

  test('of a process that lives is respected, and taken over when it has run out', async () => {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    await leasedRun(store, 'r', processOwner())
    const kernel = createKernel({ store, workflows: [simple], clock })

    const recovered = await kernel.recover()
    await clock.advance(29_999)
    const before = await kernel.get('r')
    await clock.advance(1)
    const after = await kernel.get('r')

    expect(recovered).toEqual([])
    expect(before).toMatchObject({ status: 'running', head: 2 })
    expect(after).toMatchObject({ status: 'completed' })
  })

  test('of a dead process does not keep run from driving, either', async () => {
    const store = memoryStore()
    await leasedRun(store, 'r', await deadOwner())

    const outcome = await createKernel({ store, workflows: [simple] }).run('r')

    expect(outcome).toMatchObject({ status: 'completed' })
  })

  test('of a living process makes run follow until it is over', async () => {
    const store = memoryStore()
    const owner = processOwner()
    await writeLog(store, 'r', [runStarted('simple')], { workflow: 'simple' })
    const claim = await store.runs.acquire('r', { owner, leaseMs: 30_000 })
    const kernel = createKernel({ store, workflows: [simple] })

    const running = kernel.run('r')
    await settled()
    const whileLeased = await kernel.get('r')
    await store.runs.release(claim, { expectedHead: 1 })

    expect(whileLeased.head).toBe(1)
    expect(await running).toMatchObject({ status: 'completed' })
  })
})

describe('timers', () => {
  function retrying() {
    const state = { calls: 0 }
    const workflow = defineWorkflow(
      {
        ...{ name: 'retrying', version: '1', input: z.null() },
        actions: {
          call: {
            retry: { maxAttempts: 2, baseMs: 60_000, jitter: 'none' },
            run: () => {
              if (++state.calls === 1) throw new ActionError('transient', 'busy')
              return 'ok'
            },
          },
        },
      },
      { step: ({ results }, next) => (results['call'] ? next.complete('done') : next.run('call')) },
    )
    return { state, workflow }
  }

  test('a run that another process left waiting for a time is woken at that time', async () => {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    const { state, workflow } = retrying()
    const first = createKernel({ store, workflows: [workflow], clock })
    await first.start(workflow, null, { runId: 'r' })
    await first[Symbol.asyncDispose]()
    const second = createKernel({ store, workflows: [workflow], clock })

    const recovered = await second.recover()
    await clock.advance(59_999)
    const callsBefore = state.calls
    await clock.advance(1)

    expect(recovered).toEqual([])
    expect(callsBefore).toBe(1)
    expect(await second.get('r')).toMatchObject({ status: 'completed' })
  })

  test('a run whose time came while nobody was there is taken up at once', async () => {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    const { workflow } = retrying()
    const first = createKernel({ store, workflows: [workflow], clock })
    await first.start(workflow, null, { runId: 'r' })
    await first[Symbol.asyncDispose]()
    await clock.advance(100_000)

    const recovered = await createKernel({ store, workflows: [workflow], clock }).recover()

    expect(recovered).toMatchObject([{ runId: 'r', outcome: { status: 'completed' } }])
  })
})

describe('disposing a kernel', () => {
  function hanging() {
    const signals: AbortSignal[] = []
    const workflow = defineWorkflow(
      {
        ...{ name: 'hanging', version: '1', input: z.null() },
        actions: {
          hang: {
            run: (_: null, { signal }: { readonly signal: AbortSignal }) => {
              signals.push(signal)
              return new Promise<null>(() => undefined)
            },
          },
        },
      },
      { step: (_, next) => next.run('hang', null) },
    )
    return { signals, workflow }
  }

  test('aborts handlers, releases leases, clears timers, and rejects who waits', async () => {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    const { signals, workflow } = hanging()
    const kernel = createKernel({ store, workflows: [workflow], clock })
    const starting = kernel.start(workflow, null, { runId: 'r' })
    const rejected = expect(starting).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
    await settled()

    await kernel[Symbol.asyncDispose]()

    await rejected
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
    expect(await store.runs.find('r')).toMatchObject({ status: 'running' })
    expect(await store.runs.find('r')).not.toHaveProperty('lease')
    expect(await store.runs.find('r')).not.toHaveProperty('problem')
    expect(clock.pending).toBe(0)
  })

  test('while a lease is being asked for gives it back, and starts nothing', async () => {
    const data = memoryStore()
    const { signals, workflow } = hanging()
    const gate = Promise.withResolvers<undefined>()
    const store = recordCalls(data, [], (name) => (name === 'runs.acquire' ? gate.promise : undefined))
    const kernel = createKernel({ store, workflows: [workflow] })
    await kernel.start(workflow, null, { runId: 'r', wait: false })
    const rejected = expect(kernel.run('r')).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
    await settled()

    const disposing = kernel[Symbol.asyncDispose]()
    gate.resolve(undefined)
    await disposing

    await rejected
    expect(signals).toEqual([])
    expect(await data.runs.find('r')).not.toHaveProperty('lease')
  })

  test('leaves no wake-up behind', async () => {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    const workflow = defineWorkflow(
      {
        ...{ name: 'w', version: '1', input: z.null() },
        actions: {
          call: {
            retry: { maxAttempts: 2, baseMs: 60_000, jitter: 'none' },
            run: () => {
              throw new ActionError('transient', 'busy')
            },
          },
        },
      },
      { step: (_, next) => next.run('call') },
    )
    const kernel = createKernel({ store, workflows: [workflow], clock })
    await kernel.start(workflow, null, { runId: 'r' })

    await kernel[Symbol.asyncDispose]()

    expect(clock.pending).toBe(0)
    await clock.advance(100_000)
    expect(await store.runs.find('r')).toMatchObject({ head: 3, status: 'blocked' })
  })

  test('ends the verbs that drive, not those that read', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [simple] })
    await kernel.start(simple, null, { runId: 'r' })

    await kernel[Symbol.asyncDispose]()

    await expect(kernel.start(simple, null)).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
    await expect(kernel.run('r')).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
    await expect(kernel.recover()).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
    await expect(kernel.resume('r', { key: 'k', value: 1 })).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
    expect((await kernel.timeline('r')).status).toBe('completed')
  })

  test('may be done twice', async () => {
    const kernel = createKernel({ store: memoryStore(), workflows: [simple] })

    await kernel[Symbol.asyncDispose]()
    await kernel[Symbol.asyncDispose]()
  })

  test('ends those that follow another process', async () => {
    const store = memoryStore()
    await leasedRun(store, 'r', processOwner())
    const kernel = createKernel({ store, workflows: [simple] })
    const following = expect(kernel.run('r')).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
    await settled()

    await kernel[Symbol.asyncDispose]()

    await following
  })

  test('at any moment of a run leaves no lease behind, and another kernel goes on at once', async () => {
    for (let delay = 0; delay < 60; delay++) {
      const store = memoryStore()
      const kernel = createKernel({ store, workflows: [simple] })
      await kernel.start(simple, null, { runId: 'r', wait: false })
      const running = kernel.run('r').catch(() => undefined)
      for (let i = 0; i < delay; i++) await Promise.resolve()

      await kernel[Symbol.asyncDispose]()
      await running

      expect(await store.runs.find('r'), `${delay} microtasks later`).not.toHaveProperty('lease')
      const outcome = await createKernel({ store, workflows: [simple] }).run('r')
      expect(outcome).toMatchObject({ status: 'completed' })
    }
  })
})

test('a run that another process takes while it is being recovered, and dies with, is taken up when its lease is over', async () => {
  const clock = manualClock()
  const data = memoryStore({ now: clock.now })
  await createKernel({ store: data, clock, workflows: [simple] }).start(simple, null, { runId: 'r', wait: false })
  let isTaken = false
  const store = recordCalls(data, [], (name) => {
    if (name !== 'runs.acquire' || isTaken) return undefined
    isTaken = true
    const other = { ...processOwner(), id: 'another-process' }
    return data.runs.acquire('r', { owner: other, leaseMs: 30_000 }).then(() => undefined)
  })
  const kernel = createKernel({ store, clock, workflows: [simple], onWarning: () => undefined })

  expect(await kernel.recover()).toEqual([])

  await clock.advance(29_000)
  expect(await kernel.get('r')).toMatchObject({ status: 'running' })
  await clock.advance(5000)
  expect(await kernel.get('r')).toMatchObject({ status: 'completed' })
})

test.for([Number.NaN, 0, -1, 1.5, Infinity])('runs are not recovered %s at once', async (concurrency) => {
  const kernel = createKernel({ store: memoryStore(), workflows: [simple] })
  await kernel.start(simple, null, { runId: 'r', wait: false })

  await expect(kernel.recover({ concurrency })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
})
