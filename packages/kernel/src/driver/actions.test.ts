import type { Json, Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import type { KernelOptions } from '../kernel/options.ts'
import { ActionError } from '../policy/action-error.ts'
import { allowList, composePolicies, type Policy } from '../policy/policy.ts'
import { retryWithBackoff, type RetryOptions } from '../policy/retry.ts'
import { manualClock, settled, type ManualClock } from '../testing/manual-clock.ts'
import { dataOf, readLog, runStarted, typesOf, writeLog } from '../testing/sealed-log.ts'
import type { ActionContext } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

type Handler = (input: number, ctx: ActionContext) => unknown

interface ActionSetup {
  readonly retry?: RetryOptions
  readonly timeoutMs?: number
}

/** Runs one action and completes with what became of it, be it a failure. */
function calling(run: Handler, options: ActionSetup = {}) {
  return defineWorkflow(
    { name: 'calling', version: '1', input: z.null(), actions: { call: { ...options, run } } },
    { step: ({ results }, next) => (results['call'] ? next.complete(results['call']) : next.run('call', 1)) },
  )
}

function setup(run: Handler, action: ActionSetup = {}, options: Partial<KernelOptions> = {}) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const workflow = calling(run, action)
  const kernel = createKernel({ store, workflows: [workflow], clock, ...options })
  return { clock, store, workflow, kernel, start: () => kernel.start(workflow, null, { runId: 'r' }) }
}

const transient = (text = 'busy'): never => {
  throw new ActionError('transient', text)
}

describe('what a handler returns', () => {
  test.for<[what: string, output: unknown, recorded: Json]>([
    ['undefined', undefined, null],
    ['a value', { a: [1, -0] }, { a: [1, 0] }],
    ['a promise of a value', Promise.resolve('later'), 'later'],
  ])('%s is recorded', async ([, output, recorded]) => {
    const { start } = setup(() => output)

    expect(await start()).toMatchObject({ output: { status: 'succeeded', output: recorded } })
  })

  test.for<[what: string, output: unknown, path: string]>([
    ['a Date', { at: new Date(0) }, 'ActionSucceeded.output.at'],
    ['a function', () => 1, 'ActionSucceeded.output'],
    ['NaN', [Number.NaN], 'ActionSucceeded.output[0]'],
  ])('%s is a failure that names the path', async ([, output, path]) => {
    const { start } = setup(() => output)

    const outcome = await start()

    expect(outcome).toMatchObject({ output: { status: 'failed', error: { code: 'NOT_JSON', kind: 'permanent' } } })
    expect(JSON.stringify(outcome)).toContain(path)
  })

  test('what is too large for the log is a failure', async () => {
    const { start } = setup(() => 'x'.repeat(2 ** 20))

    expect(await start()).toMatchObject({ output: { status: 'failed', error: { code: 'LIMIT_EXCEEDED' } } })
  })
})

describe('what a handler throws', () => {
  test.for<[what: string, thrown: unknown, message: string]>([
    ['text', 'boom', 'boom'],
    ['nothing', undefined, 'undefined'],
    ['an object', { reason: 1 }, '{"reason":1}'],
    ['an error that is broken in itself', Object.assign(new Error('x'), { message: 42 }), '42'],
    ['a text that is cut in the middle of a character', new Error(`x${'😀'.repeat(4000)}`), 'x😀'],
  ])('%s is recorded as a permanent failure', async ([, thrown, message]) => {
    const { start } = setup(() => {
      throw thrown
    })

    const outcome = await start()

    expect(outcome).toMatchObject({ output: { status: 'failed', error: { kind: 'permanent' } } })
    expect(JSON.stringify(outcome)).toContain(JSON.stringify(message).slice(1, -1))
  })

  test('a rejection counts like a throw', async () => {
    const { start } = setup(() => Promise.reject(new Error('late')))

    expect(await start()).toMatchObject({ output: { status: 'failed', error: { message: 'late' } } })
  })
})

describe('what a handler is given', () => {
  test('run, key, attempt, fencing token and an idempotency key that all attempts share', async () => {
    const seen: ActionContext[] = []
    const { start } = setup(
      (_, ctx) => {
        seen.push(ctx)
        return seen.length < 3 ? transient() : 'ok'
      },
      { retry: { maxAttempts: 3, baseMs: 0 } },
    )

    await start()

    expect(seen.map(({ attempt }) => attempt)).toEqual([1, 2, 3])
    expect(new Set(seen.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1)
    expect(seen[0]).toMatchObject({ runId: 'r', key: 'call', fencingToken: 1 })
    expect(seen[0]?.idempotencyKey).toMatch(/^[0-9a-f]{64}$/)
  })

  test('a copy of its input, so that no attempt spoils the next one', async () => {
    const inputs: unknown[] = []
    const workflow = defineWorkflow(
      {
        ...{ name: 'w', version: '1', input: z.null() },
        actions: {
          call: {
            retry: { maxAttempts: 2, baseMs: 0 },
            run: (input: { list: number[] }) => {
              inputs.push(structuredClone(input))
              input.list.push(9)
              return inputs.length < 2 ? transient() : input
            },
          },
        },
      },
      { step: ({ results }, next) => (results['call'] ? next.complete(1) : next.run('call', { list: [1] })) },
    )

    await createKernel({ store: memoryStore(), workflows: [workflow] }).start(workflow, null)

    expect(inputs).toEqual([{ list: [1] }, { list: [1] }])
  })

  test('a result that shares nothing with what the handler goes on changing', async () => {
    const output = { n: 1 }
    const store = memoryStore()
    const workflow = calling(() => output)
    const kernel = createKernel({ store, workflows: [workflow] })

    const outcome = await kernel.start(workflow, null)
    output.n = 2

    expect(outcome).toMatchObject({ output: { output: { n: 1 } } })
  })
})

describe('retries', () => {
  test('that are due soon are waited for in process, and every attempt is in the log', async () => {
    let calls = 0
    const retry = { maxAttempts: 3, baseMs: 1000, jitter: 'none' } as const
    const { clock, store, start } = setup(() => (++calls < 3 ? transient(`busy ${calls}`) : 'ok'), { retry })
    const began = clock.now()

    const starting = start()
    await settled()
    const callsAtOnce = calls
    await clock.advance(999)
    const callsBefore = calls
    await clock.advance(1)
    const callsAfter = calls
    await clock.advance(2000)

    expect([callsAtOnce, callsBefore, callsAfter]).toEqual([1, 1, 2])
    expect(await starting).toMatchObject({ status: 'completed' })
    expect(await dataOf(store, 'r', 'ActionAttemptFailed')).toEqual([
      {
        key: 'call',
        attempt: 1,
        retryAt: began + 1000,
        error: { kind: 'transient', message: 'busy 1', name: 'ActionError' },
      },
      {
        key: 'call',
        attempt: 2,
        retryAt: began + 3000,
        error: { kind: 'transient', message: 'busy 2', name: 'ActionError' },
      },
    ])
    expect(await dataOf(store, 'r', 'ActionAttemptStarted')).toEqual([
      { key: 'call', attempt: 2 },
      { key: 'call', attempt: 3 },
    ])
    expect(await dataOf(store, 'r', 'ActionSucceeded')).toEqual([{ key: 'call', output: 'ok', attempts: 3 }])
  })

  test('an attempt is durable before it starts', async () => {
    const logs: string[][] = []
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    const workflow = calling(
      async () => {
        logs.push(await typesOf(store, 'r'))
        return logs.length < 2 ? transient() : 'ok'
      },
      { retry: { maxAttempts: 2, baseMs: 0 } },
    )

    await createKernel({ store, workflows: [workflow], clock }).start(workflow, null, { runId: 'r' })

    expect(logs.map((types) => types.at(-1))).toEqual(['ActionRequested', 'ActionAttemptStarted'])
  })

  test('that are due after more than 5 seconds block the run durably, and the kernel wakes it', async () => {
    let calls = 0
    const retry = { maxAttempts: 2, baseMs: 5001, jitter: 'none' } as const
    const { clock, kernel, start } = setup(() => (++calls < 2 ? transient() : 'ok'), { retry })
    const wakeAt = clock.now() + 5001

    const outcome = await start()
    const row = await kernel.get('r')
    await clock.advance(5000)
    const callsBefore = calls
    await clock.advance(1)

    const blockedOn = [{ kind: 'action', key: 'call', name: 'call', until: wakeAt }]
    expect(outcome).toEqual({ status: 'blocked', runId: 'r', blockedOn, wakeAt })
    expect(row).toMatchObject({ status: 'blocked', wakeAt, blockedOn })
    expect(row).not.toHaveProperty('lease')
    expect(callsBefore).toBe(1)
    expect(await kernel.get('r')).toMatchObject({ status: 'completed' })
  })

  test('of exactly 5 seconds are waited for', async () => {
    let calls = 0
    const retry = { maxAttempts: 2, baseMs: 5000, jitter: 'none' } as const
    const { clock, kernel, start } = setup(() => (++calls < 2 ? transient() : 'ok'), { retry })

    const starting = start()
    await settled()
    const row = await kernel.get('r')
    await clock.advance(5000)

    // The row tells what the log says, and the lease that somebody is at work on it.
    expect(row).toHaveProperty('lease')
    expect(await starting).toMatchObject({ status: 'completed' })
  })

  test('running a run before its retry is due appends nothing', async () => {
    const { clock, kernel, store, start } = setup(() => transient(), {
      retry: { maxAttempts: 2, baseMs: 60_000, jitter: 'none' },
    })
    const blocked = await start()
    const log = await readLog(store, 'r')
    await clock.advance(59_999)

    expect(await kernel.run('r')).toEqual(blocked)
    expect(await readLog(store, 'r')).toEqual(log)
  })

  test('the budget survives the process: attempts of before count', async () => {
    let calls = 0
    const retry = { maxAttempts: 3, baseMs: 60_000, factor: 1, jitter: 'none' } as const
    const { clock, store, workflow, kernel, start } = setup(() => (++calls, transient()), { retry })
    await start()
    await kernel[Symbol.asyncDispose]()
    for (let attempt = 2; attempt <= 3; attempt++) {
      await clock.advance(60_000)
      await using next = createKernel({ store, workflows: [workflow], clock })
      await next.run('r')
    }

    expect(calls).toBe(3)
    expect(await dataOf(store, 'r', 'ActionFailed')).toMatchObject([{ attempts: 3 }])
  })

  test('the action’s own options win over the policy', async () => {
    let calls = 0
    const policy = retryWithBackoff({ maxAttempts: 9, baseMs: 0 })
    const { start } = setup(() => (++calls, transient()), { retry: { maxAttempts: 2, baseMs: 0 } }, { policy })

    await start()

    expect(calls).toBe(2)
  })

  test('a policy that throws ends the call with its error, not in silence', async () => {
    const policy: Policy = {
      name: 'broken',
      retryInMs: () => {
        throw new Error('bug in policy')
      },
    }
    const { kernel, start } = setup(() => transient(), {}, { policy })

    await expect(start()).rejects.toThrow('bug in policy')
    expect(await kernel.get('r')).not.toHaveProperty('lease')
  })
})

describe('an attempt that takes too long', () => {
  test('fails as transient with its signal aborted, and is retried', async () => {
    const signals: AbortSignal[] = []
    const action = { timeoutMs: 100, retry: { maxAttempts: 2, baseMs: 0 } }
    const { clock, store, start } = setup((_, { signal }) => {
      signals.push(signal)
      return signals.length < 2 ? new Promise(() => undefined) : 'ok'
    }, action)

    const starting = start()
    await settled()
    await clock.advance(99)
    const abortedEarly = signals[0]?.aborted
    await clock.advance(1)

    expect(abortedEarly).toBe(false)
    expect(await starting).toMatchObject({ output: { status: 'succeeded' } })
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
    expect(await dataOf(store, 'r', 'ActionAttemptFailed')).toMatchObject([
      { error: { kind: 'transient', code: 'TIMEOUT' } },
    ])
  })

  test('leaves no timer behind when it ends in time', async () => {
    const { clock, start } = setup(() => 'ok', { timeoutMs: 100 })

    await start()

    expect(clock.pending).toBe(0)
  })

  test('is not recorded when its answer comes after all', async () => {
    const late = Promise.withResolvers<string>()
    let calls = 0
    const action = { timeoutMs: 100, retry: { maxAttempts: 2, baseMs: 1000, jitter: 'none' } as const }
    const { clock, store, start } = setup(() => (++calls < 2 ? late.promise : 'second'), action)

    const starting = start()
    await settled()
    await clock.advance(100)
    late.resolve('first')
    await settled()
    await clock.advance(1000)

    expect(await starting).toMatchObject({ output: { output: 'second' } })
    expect(await dataOf(store, 'r', 'ActionSucceeded')).toMatchObject([{ output: 'second' }])
  })
})

describe('an action that was under way when its process died', () => {
  const request = { type: 'ActionRequested', data: { key: 'call', action: 'call', input: 1, effect: 'idempotent' } }

  async function left(store: Store, rest: { type: string; data: unknown }[] = []) {
    await writeLog(store, 'r', [runStarted('calling'), request, ...rest], { workflow: 'calling' })
  }

  test('runs again under the same key, and the crash is recorded and no failure', async () => {
    const seen: number[] = []
    const { store, kernel } = setup((_, { attempt }) => {
      seen.push(attempt)
      return 'ok'
    })
    await left(store)

    const outcome = await kernel.run('r')

    expect(outcome).toMatchObject({ output: { status: 'succeeded' } })
    expect(seen).toEqual([2])
    expect((await typesOf(store, 'r')).slice(2)).toEqual([
      'ActionAttemptAbandoned',
      'ActionAttemptStarted',
      'ActionSucceeded',
      'Completed',
    ])
  })

  test('has its whole budget of retries still', async () => {
    let calls = 0
    const { store, kernel } = setup(() => (++calls, transient()), { retry: { maxAttempts: 2, baseMs: 0 } })
    await left(store)

    await kernel.run('r')

    expect(calls).toBe(2)
  })

  test('runs again although the process that found it died, too, before it could', async () => {
    let calls = 0
    const { store, kernel } = setup(() => ++calls)
    await left(store, [{ type: 'ActionAttemptAbandoned', data: { key: 'call', attempt: 1 } }])

    const outcome = await kernel.run('r')

    expect(outcome).toMatchObject({ output: { status: 'succeeded' } })
    expect(calls).toBe(1)
  })

  test('many of them are recorded in as many appends as it takes', async () => {
    const many = defineWorkflow(
      { name: 'many', version: '1', input: z.null(), actions: { call: { run: (n: number) => n } } },
      {
        step: ({ results }, next) =>
          Object.keys(results).length === 50
            ? next.complete('all')
            : next.all(Array.from({ length: 50 }, (_, n) => next.run('call', n, { key: `k${n}` }))),
      },
    )
    const store = memoryStore()
    const requests = Array.from({ length: 50 }, (_, n) => ({
      type: 'ActionRequested',
      data: { key: `k${n}`, action: 'call', input: n, effect: 'idempotent' },
    }))
    await writeLog(store, 'r', [runStarted('many'), ...requests], { workflow: 'many' })
    const kernel = createKernel({ store, workflows: [many], limits: { appendEvents: 500 + 7 } })

    const outcome = await kernel.run('r')

    expect(outcome).toMatchObject({ status: 'completed', output: 'all' })
    expect(await dataOf(store, 'r', 'ActionAttemptStarted')).toHaveLength(50)
  })
})

describe('actions in parallel', () => {
  /** Runs as many actions as there are gates; each ends when its gate opens. */
  function fanOut(gates: readonly PromiseWithResolvers<number>[], clock: ManualClock) {
    const workflow = defineWorkflow(
      { name: 'fan', version: '1', input: z.null(), actions: { call: { run: (n: number) => gates[n]!.promise } } },
      {
        step: ({ results }, next) =>
          Object.keys(results).length === gates.length
            ? next.complete(Object.keys(results))
            : next.all(gates.map((_, n) => next.run('call', n, { key: `k${n}` }))),
      },
    )
    const store = memoryStore({ now: clock.now })
    return { store, workflow, kernel: createKernel({ store, workflows: [workflow], clock }) }
  }

  test('are recorded in the order in which they end', async () => {
    const gates = [0, 1, 2].map(() => Promise.withResolvers<number>())
    const { store, workflow, kernel } = fanOut(gates, manualClock())

    const starting = kernel.start(workflow, null, { runId: 'r' })
    await settled()
    for (const n of [2, 0, 1]) {
      gates[n]!.resolve(n)
      await settled()
    }

    expect(await starting).toMatchObject({ output: ['k2', 'k0', 'k1'] })
    expect((await dataOf(store, 'r', 'ActionSucceeded')).map(({ key }) => key)).toEqual(['k2', 'k0', 'k1'])
  })

  test('share an append when they end together', async () => {
    const gates = [0, 1, 2].map(() => Promise.withResolvers<number>())
    const { store, workflow, kernel } = fanOut(gates, manualClock())

    const starting = kernel.start(workflow, null, { runId: 'r' })
    await settled()
    gates.forEach((gate, n) => {
      gate.resolve(n)
    })
    await starting

    const ends = (await readLog(store, 'r')).slice(4)
    expect(ends.map(({ type }) => type)).toEqual([...Array.from({ length: 3 }, () => 'ActionSucceeded'), 'Completed'])
    expect(new Set(ends.map(({ at }) => at)).size).toBe(1)
  })

  test('are told to stop when the run ends without them', async () => {
    const signals: AbortSignal[] = []
    const workflow = defineWorkflow(
      {
        ...{ name: 'race', version: '1', input: z.null() },
        actions: {
          fast: { run: () => 'won' },
          slow: {
            run: (_: null, { signal }: ActionContext) => {
              signals.push(signal)
              return new Promise(() => undefined)
            },
          },
        },
      },
      {
        step: ({ results }, next) =>
          results['fast'] ? next.complete('won') : next.all([next.run('slow', null), next.run('fast')]),
      },
    )
    const store = memoryStore()

    const outcome = await createKernel({ store, workflows: [workflow] }).start(workflow, null, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed' })
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
    expect(await dataOf(store, 'r', 'ItemDropped')).toEqual([{ key: 'slow', outcome: 'unknown' }])
  })
})

describe('a denied action', () => {
  test('is recorded, never executed, and the step can go another way', async () => {
    const calls: string[] = []
    const workflow = defineWorkflow(
      {
        ...{ name: 'guarded', version: '1', input: z.null() },
        actions: { rm: { run: () => calls.push('rm') }, ls: { run: () => calls.push('ls') } },
      },
      {
        step: ({ results }, next) => {
          if (results['ls']) return next.complete(Object.keys(results))
          return results['rm']?.status === 'denied' ? next.run('ls') : next.run('rm')
        },
      },
    )
    const store = memoryStore()
    const policy = composePolicies(allowList({ actions: ['ls'] }), retryWithBackoff({ maxAttempts: 2, baseMs: 0 }))

    const outcome = await createKernel({ store, workflows: [workflow], policy }).start(workflow, null, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed', output: ['rm', 'ls'] })
    expect(calls).toEqual(['ls'])
    expect(await dataOf(store, 'r', 'ActionDenied')).toEqual([
      { key: 'rm', action: 'rm', input: null, policy: 'allow-list', reason: 'rm is not allowed' },
    ])
  })
})

describe('what a turn decides', () => {
  test('a fan-out with large inputs is spread over several appends', async () => {
    const big = 'x'.repeat(300_000)
    const workflow = defineWorkflow(
      { name: 'large', version: '1', input: z.null(), actions: { call: { run: (text: string) => text.length } } },
      {
        step: ({ results }, next) =>
          Object.keys(results).length === 40
            ? next.complete('all')
            : next.all(Array.from({ length: 40 }, (_, n) => next.run('call', big, { key: `k${n}` }))),
      },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })

    expect(await kernel.start(workflow, null)).toMatchObject({ status: 'completed', output: 'all' })
  })
})
