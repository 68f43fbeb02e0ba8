import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import type { KernelOptions } from '../kernel/options.ts'
import { ActionError } from '../policy/action-error.ts'
import { budget } from '../policy/budget.ts'
import { networkErrors } from '../policy/network-errors.ts'
import {
  allowAll,
  allowList,
  composePolicies,
  type AuthorizeRequest,
  type Policy,
  type RetryRequest,
} from '../policy/policy.ts'
import { retryWithBackoff } from '../policy/retry.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, readLog, typesOf } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import type { ActionContext, AnyAction } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import type { ItemResult } from '../workflow/results-state.ts'

type Handler = (input: number, ctx: ActionContext) => unknown

/** Calls one action `times` over, one after the other or beside each other, and completes with what became of each. */
function calling(run: Handler, times: number, action: Omit<AnyAction, 'run'> = {}, together = false) {
  const keys = Array.from({ length: times }, (_, n) => `call:${n}`)
  return defineWorkflow(
    { name: 'calling', version: '1', input: z.null(), actions: { call: { ...action, run } } },
    {
      step: ({ results }, next) => {
        const open = keys.filter((key) => results[key] === undefined)
        if (open.length === 0) return next.complete(keys.map((key) => results[key] as ItemResult))
        return next.all((together ? keys : open.slice(0, 1)).map((key) => next.run('call', keys.indexOf(key), { key })))
      },
    },
  )
}

interface Setup {
  readonly times?: number
  readonly together?: boolean
  readonly action?: Omit<AnyAction, 'run'>
}

function setup(run: Handler, policy: Policy | undefined, { times = 1, together = false, action = {} }: Setup = {}) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const workflow = calling(run, times, action, together)
  const warnings: Error[] = []
  const kernelWith = (options: Partial<KernelOptions> = {}) =>
    createKernel({
      ...{ store, workflows: [workflow], clock, onWarning: (warning) => warnings.push(warning) },
      ...(policy !== undefined && { policy }),
      ...options,
    })
  const kernel = kernelWith()
  const start = () => kernel.start(workflow, null, { runId: 'r', tags: ['ann'] })
  return { clock, store, workflow, warnings, kernel, kernelWith, start }
}

const transient = (): never => {
  throw new ActionError('transient', 'busy', { code: 'BUSY' })
}
const atOnce = retryWithBackoff({ maxAttempts: 100, baseMs: 0 })
const exceeded = { status: 'denied', error: { kind: 'permanent', code: 'BUDGET_EXCEEDED' } }
const succeeded = { status: 'succeeded' }

describe('usage', () => {
  test('is recorded with every result, and with every failure, retried or final', async () => {
    const { store, kernel, start } = setup(
      (_, { attempt, use }) => {
        use({ tokens: 10 * attempt })
        use({ tokens: 1, calls: 1 })
        if (attempt < 3) return transient()
        return 'ok'
      },
      atOnce,
      { times: 2 },
    )

    await start()

    const failures = await dataOf(store, 'r', 'ActionAttemptFailed')
    expect(failures.slice(0, 2).map(({ usage }) => usage)).toEqual([
      { tokens: 11, calls: 1 },
      { tokens: 21, calls: 1 },
    ])
    expect(await dataOf(store, 'r', 'ActionSucceeded')).toMatchObject([
      { usage: { tokens: 31, calls: 1 } },
      { usage: { tokens: 31, calls: 1 } },
    ])
    const { spent } = await kernel.timeline('r')
    expect(spent).toEqual({
      ...{ requests: 2, attempts: 6, turns: 3, wallClockMs: 0 },
      usage: { tokens: 126, calls: 6 },
    })
  })

  test('of a failure for good is recorded', async () => {
    const { store, start } = setup((_, { use }) => {
      use({ tokens: 5 })
      throw new Error('no')
    }, allowAll)

    await start()

    expect(await dataOf(store, 'r', 'ActionFailed')).toMatchObject([{ usage: { tokens: 5 } }])
  })

  test('of a result that cannot be recorded is recorded with the failure that says so', async () => {
    const { store, start } = setup((_, { use }) => {
      use({ tokens: 5 })
      return new Date(0)
    }, allowAll)

    await start()

    expect(await dataOf(store, 'r', 'ActionFailed')).toMatchObject([
      { usage: { tokens: 5 }, error: { code: 'NOT_JSON' } },
    ])
  })

  test('that is no number from 0 fails the attempt with its path, and what was reported before counts', async () => {
    const { store, start } = setup((_, { use }) => {
      use({ tokens: 5 })
      use({ tokens: -1 })
    }, allowAll)

    await start()

    expect(await dataOf(store, 'r', 'ActionFailed')).toMatchObject([
      {
        usage: { tokens: 5 },
        error: { code: 'INVALID_INPUT', message: expect.stringContaining('tokens must be') as string },
      },
    ])
  })

  test('of an attempt that took too long is what it had reported by then; what comes later is warned of', async () => {
    const late = Promise.withResolvers<undefined>()
    const action = { timeoutMs: 100 }
    const { clock, store, warnings, start } = setup(
      async (_, { use }) => {
        use({ tokens: 5 })
        await late.promise
        use({ tokens: 7 })
      },
      allowAll,
      { action },
    )

    const starting = start()
    await settled()
    await clock.advance(100)
    await starting
    late.resolve(undefined)
    await settled()

    expect(await dataOf(store, 'r', 'ActionFailed')).toMatchObject([
      { usage: { tokens: 5 }, error: { code: 'TIMEOUT' } },
    ])
    expect(warnings).toMatchObject([kernelError('INVALID_INPUT')])
  })

  test('of an attempt whose outcome is unknown is not recorded', async () => {
    const { store, kernel, start } = setup(
      (_, { use }) => {
        use({ tokens: 5 })
        throw new Error('broken line')
      },
      allowAll,
      { action: { effect: 'at-most-once' } },
    )

    await start()

    expect(await typesOf(store, 'r')).toContain('ActionInDoubt')
    expect((await kernel.timeline('r')).spent.usage).toEqual({})
  })

  test('of asking what became of an attempt is recorded with the answer', async () => {
    const { store, start } = setup(
      () => {
        throw new Error('broken line')
      },
      allowAll,
      {
        action: {
          effect: 'at-most-once',
          reconcile: (_: number, { use }) => {
            use({ lookups: 1 })
            return { status: 'succeeded', output: 1 }
          },
        },
      },
    )

    await start()

    expect(await dataOf(store, 'r', 'ActionSucceeded')).toMatchObject([{ by: 'reconcile', usage: { lookups: 1 } }])
  })
})

describe('a budget', () => {
  const using: Handler = (_, { use }) => {
    use({ tokens: 40 })
    return 'ok'
  }

  test.for<[what: string, policy: Policy]>([
    ['requests', budget({ requests: 2 })],
    ['attempts', budget({ attempts: 2 })],
    ['turns', budget({ turns: 2 })],
    ['usage', budget({ usage: { tokens: 80 } })],
  ])('of %s lets two calls pass and denies the third, which the step sees with its code', async ([what, policy]) => {
    const { store, start } = setup(using, policy, { times: 3 })

    const outcome = await start()

    expect(outcome).toMatchObject({ status: 'completed', output: [succeeded, succeeded, exceeded] })
    expect(await dataOf(store, 'r', 'ActionDenied')).toEqual([
      {
        ...{ key: 'call:2', action: 'call', input: 2, policy: 'budget', code: 'BUDGET_EXCEEDED' },
        reason: what === 'usage' ? '80 of 80 tokens are spent' : `2 of 2 ${what} are spent`,
      },
    ])
  })

  test('fails a run whose step knows no other way, with its code', async () => {
    const workflow = defineWorkflow(
      { name: 'plain', version: '1', input: z.null(), actions: { call: { run: () => 1 } } },
      { step: ({ results }, next) => next.run('call', null, { key: results['a'] ? 'b' : 'a' }) },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [workflow], policy: budget({ requests: 1 }) })

    expect(await kernel.start(workflow, null)).toMatchObject({
      status: 'failed',
      error: { code: 'BUDGET_EXCEEDED', message: 'budget: 1 of 1 requests are spent' },
    })
  })

  test('counts what is asked for beside each other', async () => {
    const { store, start } = setup(using, budget({ requests: 3 }), { times: 5, together: true })

    const outcome = await start()

    expect(outcome).toMatchObject({ output: [succeeded, succeeded, succeeded, exceeded, exceeded] })
    expect(await dataOf(store, 'r', 'ActionRequested')).toHaveLength(3)
  })

  test('of time denies what is asked for when it is over', async () => {
    const gate = Promise.withResolvers<string>()
    const { clock, start } = setup(() => gate.promise, budget({ wallClockMs: 1000 }), { times: 2 })

    const starting = start()
    await settled()
    await clock.advance(1000)
    gate.resolve('ok')

    expect(await starting).toMatchObject({ output: [succeeded, exceeded] })
  })

  test.for<[what: string, bound: Policy, retries: Policy]>([
    ['attempts', budget({ attempts: 3 }), atOnce],
    ['usage', budget({ usage: { tokens: 120 } }), atOnce],
    [
      'time',
      budget({ wallClockMs: 3000 }),
      retryWithBackoff({ maxAttempts: 9, baseMs: 1000, factor: 1, jitter: 'none' }),
    ],
  ])('of %s makes the third failure final, although another policy would retry it', async ([, bound, retries]) => {
    const { clock, store, kernel, start } = setup(
      (_, { use }) => {
        use({ tokens: 40 })
        return transient()
      },
      composePolicies(retries, bound),
    )

    const starting = start()
    await settled()
    await clock.advance(10_000)

    expect(await starting).toMatchObject({ output: [{ status: 'failed', error: { code: 'BUDGET_EXCEEDED' } }] })
    expect(await dataOf(store, 'r', 'ActionAttemptFailed')).toHaveLength(2)
    const [failure] = await dataOf(store, 'r', 'ActionFailed')
    expect(failure).toMatchObject({ attempts: 3, usage: { tokens: 40 }, error: { kind: 'permanent' } })
    expect(failure?.['error']).toHaveProperty(
      'message',
      expect.stringMatching(/^budget: .* are spent; the last attempt failed: busy$/),
    )
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('holds for the retries that an action declares itself', async () => {
    let calls = 0
    const action = { retry: { maxAttempts: 9, baseMs: 0 } }
    const { start } = setup(() => (++calls, transient()), budget({ attempts: 2 }), { action })

    await start()

    expect(calls).toBe(2)
  })

  test('has no more attempts for failures that come together than for one after the other', async () => {
    const gates = Array.from({ length: 4 }, () => Promise.withResolvers<never>())
    let calls = 0
    const { store, start } = setup(
      (n, { attempt }) => {
        calls++
        return attempt === 1 ? gates[n]!.promise : 'ok'
      },
      composePolicies(atOnce, budget({ attempts: 6 })),
      { times: 4, together: true },
    )

    const starting = start()
    await settled()
    for (const gate of gates) gate.reject(new ActionError('transient', 'busy'))

    const ended = { status: 'failed', error: { code: 'BUDGET_EXCEEDED' } }
    expect(await starting).toMatchObject({ output: [succeeded, succeeded, ended, ended] })
    expect(calls).toBe(6)
    expect(await dataOf(store, 'r', 'ActionAttemptStarted')).toHaveLength(2)
  })

  test('denies a retry when it is due for which others have left nothing meanwhile', async () => {
    const policy = composePolicies(
      budget({ usage: { tokens: 100 } }),
      retryWithBackoff({ maxAttempts: 9, baseMs: 60_000, jitter: 'none' }),
    )
    let calls = 0
    const gate = Promise.withResolvers<undefined>()
    const { clock, store, kernel, start } = setup(
      async (n, { use }) => {
        calls++
        if (n === 0) return transient()
        await gate.promise
        use({ tokens: 100 })
        return 'ok'
      },
      policy,
      { times: 2, together: true },
    )
    const starting = start()
    await settled()
    gate.resolve(undefined)

    const blocked = await starting
    await clock.advance(60_000)

    expect(blocked.status).toBe('blocked')
    expect(calls).toBe(2)
    expect(await kernel.run('r')).toMatchObject({
      status: 'completed',
      output: [{ status: 'failed', error: { code: 'BUDGET_EXCEEDED' } }, succeeded],
    })
    expect(await dataOf(store, 'r', 'ActionFailed')).toMatchObject([
      {
        attempts: 1,
        error: { message: 'budget: 100 of 100 tokens are spent; the last attempt failed: busy' },
      },
    ])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('is not given back by another process', async () => {
    const policy = composePolicies(
      budget({ attempts: 3 }),
      retryWithBackoff({ maxAttempts: 9, baseMs: 60_000, factor: 1, jitter: 'none' }),
    )
    let calls = 0
    const { clock, kernel, kernelWith, start } = setup(() => (++calls, transient()), policy)
    await start()
    await kernel[Symbol.asyncDispose]()

    for (let n = 0; n < 4; n++) {
      await clock.advance(60_000)
      await using next = kernelWith()
      await next.run('r')
    }

    expect(calls).toBe(3)
    expect(await kernelWith().run('r')).toMatchObject({ output: [{ error: { code: 'BUDGET_EXCEEDED' } }] })
  })

  test('is not given back by a snapshot', async () => {
    const workflow = defineWorkflow(
      {
        ...{ name: 'w', version: '1', input: z.null(), signals: { go: z.null() } },
        actions: { call: { run: using } },
      },
      {
        step: ({ results }, next) => {
          if (!results['a']) return next.run('call', 1, { key: 'a' })
          if (!results['go']) return next.waitFor('go')
          return results['b'] ? next.complete(results['b']) : next.run('call', 1, { key: 'b' })
        },
      },
    )
    const store = memoryStore()
    const options = { store, workflows: [workflow], policy: budget({ usage: { tokens: 40 } }) }
    const kernel = createKernel(options)
    await kernel.start(workflow, null, { runId: 'r' })
    await kernel[Symbol.asyncDispose]()
    const snapshot = await store.snapshots.latest('r', {})

    const outcome = await createKernel(options).signal('r', { name: 'go', value: null })

    const counts = { requests: 1, attempts: 1, turns: 1, usage: { tokens: 40 } }
    expect(JSON.parse(snapshot!.body)).toMatchObject({ counts })
    expect(outcome).toMatchObject({ status: 'completed', output: exceeded })
  })

  test('counts an attempt that follows a crash, and does not deny it', async () => {
    let calls = 0
    const { store, kernel, kernelWith, start } = setup(
      () => (++calls === 1 ? new Promise(() => undefined) : 'ok'),
      budget({ attempts: 1 }),
      { times: 2 },
    )
    const starting = start()
    starting.catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()

    const outcome = await kernelWith().run('r')

    expect(calls).toBe(2)
    expect(outcome).toMatchObject({ output: [succeeded, exceeded] })
    expect(await dataOf(store, 'r', 'ActionDenied')).toMatchObject([{ reason: '2 of 1 attempts are spent' }])
  })

  test('gives way to an outcome that is handed in while it makes the failure final', async () => {
    const inner = memoryStore()
    const body = '{"attempts":1,"key":"call:0","output":"late"}'
    let posted = false
    const store = recordCalls(inner, [], (name, args) => {
      if (posted || name !== 'events.append' || !JSON.stringify(args[1]).includes('BUDGET_EXCEEDED')) return undefined
      posted = true
      const posting = inner.inbox.post('r', { id: 'p', type: 'ActionSucceeded', body }, { maxWaiting: 9 })
      return posting.then(() => undefined)
    })
    const workflow = calling(transient, 1)
    const policy = composePolicies(atOnce, budget({ attempts: 1 }))
    const kernel = createKernel({ store, workflows: [workflow], policy })

    const outcome = await kernel.start(workflow, null, { runId: 'r' })

    expect(posted).toBe(true)
    expect(outcome).toMatchObject({ output: [{ status: 'succeeded', output: 'late' }] })
    expect(await typesOf(inner, 'r')).toEqual([
      ...['RunStarted', 'ActionRequested', 'ActionAttemptFailed', 'ActionSucceeded', 'Completed'],
    ])
  })

  test('goes on with a run that continues as new', async () => {
    const workflow = defineWorkflow(
      {
        ...{ name: 'chain', version: '1', input: z.number() },
        actions: {
          call: {
            run: (_: null, { use }): void => {
              use({ tokens: 40 })
            },
          },
        },
      },
      {
        step: ({ input, results }, next) => {
          const call = results['call']
          if (call === undefined) return next.run('call')
          return call.status === 'succeeded' ? next.continueAsNew(input + 1) : next.complete({ input, call })
        },
      },
    )
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    const policy = budget({ usage: { tokens: 100 } })
    const kernel = createKernel({ store, workflows: [workflow], clock, policy })

    let outcome = await kernel.start(workflow, 0, { runId: 'r' })
    await settled()
    while (outcome.status === 'continued') outcome = (await kernel.run(outcome.newRunId)) as typeof outcome

    expect(outcome).toMatchObject({ status: 'completed', output: { input: 3, call: exceeded } })
    expect(await dataOf(store, outcome.runId, 'RunStarted')).toMatchObject([
      { spent: { requests: 3, attempts: 3, usage: { tokens: 120 }, startedAt: clock.now() } },
    ])
  })

  test('goes on in a fork with what the copied events spent', async () => {
    const { store, kernel, start } = setup(using, budget({ requests: 3 }), { times: 4 })
    await start()
    const seq = (await readLog(store, 'r')).filter(({ type }) => type === 'ActionSucceeded')[1]!.seq

    const outcome = await kernel.fork('r', { at: seq, as: 'f' })

    expect(outcome).toMatchObject({ output: [succeeded, succeeded, succeeded, exceeded] })
  })

  test('is a child’s own', async () => {
    const child = calling(using, 2)
    const parent = defineWorkflow(
      { name: 'parent', version: '1', input: z.null(), actions: { call: { run: () => 1 } } },
      {
        step: ({ results }, next) => {
          if (!results['call']) return next.run('call')
          return results['calling'] ? next.complete(results['calling']) : next.child(child, null)
        },
      },
    )
    const policy = budget({ requests: 2 })
    const kernel = createKernel({ store: memoryStore(), workflows: [parent, child], policy })

    const outcome = await kernel.start(parent, null, { runId: 'p' })

    expect(outcome).toMatchObject({ output: { output: [succeeded, succeeded] } })
    expect((await kernel.timeline('p')).spent.requests).toBe(1)
  })
})

describe('a change of policy', () => {
  test.for<[what: string, then: Policy, now: Policy]>([
    ['to a budget of nothing', allowAll, budget({ requests: 0 })],
    ['to no budget', budget({ requests: 1 }), allowAll],
    ['to other lists', allowList({ tools: ['web'] }), allowList({ actions: [] })],
  ])('%s leaves logs in order, and open runs go on', async ([, then, now]) => {
    const { clock, store, kernel, kernelWith, start } = setup(
      (_, { attempt }) => (attempt === 1 ? transient() : 'ok'),
      composePolicies(then, retryWithBackoff({ maxAttempts: 2, baseMs: 60_000, jitter: 'none' })),
      { times: 2, together: true, action: { tool: (n: number) => (n === 0 ? 'web' : 'mail') } },
    )
    const blocked = await start()
    await kernel[Symbol.asyncDispose]()
    const next = kernelWith({ policy: now, build: 'another' })

    const verification = await next.verify('r')
    await clock.advance(60_000)
    const outcome = await next.run('r')

    expect(blocked.status).toBe('blocked')
    expect(verification).toMatchObject({ ok: true })
    expect(outcome).toMatchObject({ status: 'completed' })
    expect(await dataOf(store, 'r', 'ActionDenied')).toHaveLength(then === allowAll ? 0 : 1)
    expect(await next.verify('r')).toMatchObject({ ok: true })
  })
})

describe('labels', () => {
  test('are recorded as they are for the input, with requests and denials, and lists go by them', async () => {
    const action = { tool: 'llm', provider: (n: number) => ['acme', 'other'][n] }
    const { store, start } = setup(() => 'ok', allowList({ tools: ['llm'], providers: ['acme'] }), { times: 3, action })

    const outcome = await start()

    const denied = { status: 'denied', error: { code: 'ACTION_DENIED' } }
    expect(outcome).toMatchObject({ output: [succeeded, denied, denied] })
    expect(await dataOf(store, 'r', 'ActionRequested')).toMatchObject([{ tool: 'llm', provider: 'acme' }])
    const denials = await dataOf(store, 'r', 'ActionDenied')
    expect(denials).toMatchObject([
      { tool: 'llm', provider: 'other', reason: 'the provider other is not allowed' },
      { tool: 'llm', reason: 'call names no provider; give it the label provider' },
    ])
    expect(denials[1]).not.toHaveProperty('provider')
  })

  test('that are added or changed later break no log', async () => {
    const { clock, store, kernel, start } = setup(
      () => transient(),
      retryWithBackoff({ maxAttempts: 2, baseMs: 60_000 }),
    )
    await start()
    await kernel[Symbol.asyncDispose]()
    const labeled = calling(() => 'ok', 1, { tool: 'web' })
    const next = createKernel({ store, workflows: [labeled], clock })

    expect(await next.verify('r')).toMatchObject({ ok: true })
    await clock.advance(60_000)
    expect(await next.run('r')).toMatchObject({ status: 'completed' })
  })

  test.for<[what: string, tool: (input: number) => string, text: string]>([
    [
      'throws',
      () => {
        throw new Error('no such model')
      },
      'the tool of calling.call threw: no such model',
    ],
    ['answers no text', () => 5 as never, 'the tool of calling.call'],
    ['answers an empty text', () => '', 'the tool of calling.call'],
  ])('by a function that %s park the run', async ([, tool, text]) => {
    const { kernel, start } = setup(() => transient(), allowAll, { action: { tool } })

    await expect(start()).rejects.toMatchObject({
      ...kernelError('POLICY_FAILED'),
      message: expect.stringContaining(text) as string,
    })
    expect(await kernel.find('r')).toBeUndefined()
  })

  test('by a function that changes its input leave the input as it is', async () => {
    const workflow = defineWorkflow(
      {
        ...{ name: 'w', version: '1', input: z.null() },
        actions: {
          call: {
            tool: (input: { model: string }) => (input.model = 'changed'),
            run: ({ model }: { model: string }) => model,
          },
        },
      },
      {
        step: ({ results }, next) =>
          results['call'] ? next.complete(results['call']) : next.run('call', { model: 'small' }),
      },
    )

    const outcome = await createKernel({ store: memoryStore(), workflows: [workflow] }).start(workflow, null)

    expect(outcome).toMatchObject({ output: { output: 'small' } })
  })
})

describe('a policy of one’s own', () => {
  test('is told the action, its labels, its effect, the tags of the run, and what the run has spent before it', async () => {
    const asked: AuthorizeRequest[] = []
    const policy: Policy = {
      name: 'watching',
      authorize: (request) => {
        asked.push(request)
        return undefined
      },
    }
    const action = { tool: 'llm', provider: 'acme', effect: 'pure' } as const
    const { start } = setup(
      (_, { use }) => {
        use({ tokens: 40 })
        return 'ok'
      },
      policy,
      { times: 2, action },
    )

    await start()

    const what = { runId: 'r', workflow: 'calling', action: 'call', tags: ['ann'], canceling: false, ...action }
    expect(asked).toEqual([
      {
        ...{ ...what, key: 'call:0', input: 0 },
        spent: { requests: 0, attempts: 0, turns: 1, usage: {}, wallClockMs: 0 },
      },
      {
        ...{ ...what, key: 'call:1', input: 1 },
        spent: { requests: 1, attempts: 1, turns: 2, usage: { tokens: 40 }, wallClockMs: 0 },
      },
    ])
  })

  test('is told of a retry what failed, how often, and what the run will have spent', async () => {
    const asked: RetryRequest[] = []
    const policy: Policy = {
      name: 'watching',
      retryInMs: () => 500,
      authorizeRetry: (retry) => {
        asked.push(retry)
        return { policy: 'watching', reason: 'enough', code: 'ENOUGH' }
      },
    }
    const { start } = setup(
      (_, { use }) => {
        use({ tokens: 40 })
        return transient()
      },
      policy,
      { action: { tool: 'llm' } },
    )

    const outcome = await start()

    expect(asked).toMatchObject([
      {
        ...{ key: 'call:0', action: 'call', input: 0, tool: 'llm', effect: 'idempotent', failures: 1, tags: ['ann'] },
        error: { code: 'BUSY', kind: 'transient' },
        spent: { requests: 1, attempts: 1, usage: { tokens: 40 }, wallClockMs: 500 },
      },
    ])
    expect(outcome).toMatchObject({
      output: [{ error: { code: 'ENOUGH', message: 'watching: enough; the last attempt failed: busy' } }],
    })
  })

  test('can let the clean-up of a canceled run pass', async () => {
    const strict = budget({ requests: 1 })
    const policy: Policy = {
      ...strict,
      authorize: (request) => (request.canceling ? undefined : strict.authorize?.(request)),
    }
    const cleaned: string[] = []
    const workflow = defineWorkflow(
      {
        ...{ name: 'w', version: '1', input: z.null(), signals: { go: z.null() } },
        actions: { book: { run: () => 1 }, refund: { run: () => cleaned.push('refund') } },
      },
      {
        step: ({ results }, next) => (results['book'] ? next.waitFor('go') : next.run('book')),
        cancel: ({ results }, next) => (results['refund'] ? undefined : next.run('refund')),
      },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [workflow], policy })
    await kernel.start(workflow, null, { runId: 'r' })

    await kernel.cancel('r', { reason: 'changed my mind' })

    expect(cleaned).toEqual(['refund'])
  })

  test.for<[what: string, policy: Omit<Policy, 'name'>]>([
    [
      'throws on a retry',
      {
        authorizeRetry: () => {
          throw new Error('bug in policy')
        },
      },
    ],
    ['answers a promise on a retry', { authorizeRetry: (() => Promise.resolve(undefined)) as never }],
    ['answers a code that is no text', { authorizeRetry: () => ({ policy: 'p', reason: 'r', code: 5 as never }) }],
    [
      'throws on an error',
      {
        classify: () => {
          throw new Error('bug in policy')
        },
      },
    ],
    ['answers a kind that does not exist', { classify: () => ({ kind: 'odd' as never }) }],
    ['answers a wait that is none', { classify: () => ({ kind: 'transient', retryAfterMs: -1 }) }],
  ])('that %s parks the run, and nothing is lost', async ([, methods]) => {
    let calls = 0
    const broken: Policy = { name: 'broken', retryInMs: () => 0, ...methods }
    const { clock, kernelWith, kernel, start } = setup(
      () => (++calls === 1 ? Promise.reject(new Error('x')) : 'ok'),
      broken,
    )

    await expect(start()).rejects.toMatchObject(kernelError('POLICY_FAILED'))
    expect(await kernel.get('r')).toMatchObject({ problem: { code: 'POLICY_FAILED' } })

    await clock.advance(60_000)
    expect(await kernelWith({ policy: allowAll }).run('r')).toMatchObject({ output: [succeeded] })
  })
})

describe('an error without a class', () => {
  const tooMany = (): never => {
    throw Object.assign(new Error('slow down'), { status: 429, headers: { 'retry-after': '30' } })
  }
  const patient = retryWithBackoff({ maxAttempts: 3, baseMs: 1, capMs: 20_000, jitter: 'none' })

  test('is permanent where no policy knows it', async () => {
    const { store, start } = setup(tooMany, patient)

    await start()

    expect(await dataOf(store, 'r', 'ActionFailed')).toMatchObject([{ attempts: 1, error: { kind: 'permanent' } }])
  })

  test.for<[error: string, where: string, policy: Policy | undefined, fields: object]>([
    ['a broken network', 'to a kernel without a policy', undefined, { code: 'ECONNRESET' }],
    ['any', 'where a policy takes all for that', { name: 'hopeful', classify: () => ({ kind: 'transient' }) }, {}],
  ])('is transient where it is %s, %s: a declared retry follows', async ([, , policy, fields]) => {
    let calls = 0
    const broken = (): string => {
      if (++calls < 3) throw Object.assign(new Error('broken'), fields)
      return 'ok'
    }
    const { start } = setup(broken, policy, { action: { retry: { maxAttempts: 3, baseMs: 0 } } })

    expect(await start()).toMatchObject({ output: [succeeded] })
    expect(calls).toBe(3)
  })

  test('of the network ends an action that declares no retry, also without a policy', async () => {
    const { store, start } = setup(() => {
      throw Object.assign(new Error('broken'), { code: 'ECONNRESET' })
    }, undefined)

    await start()

    expect(await dataOf(store, 'r', 'ActionFailed')).toMatchObject([{ attempts: 1, error: { kind: 'transient' } }])
  })

  test('is what a policy calls it, with the wait that came with it, which is capped', async () => {
    const { clock, store, start } = setup(tooMany, composePolicies(networkErrors, patient))

    await start()

    expect(await dataOf(store, 'r', 'ActionAttemptFailed')).toMatchObject([
      { error: { kind: 'rate-limited', message: 'slow down', retryAfterMs: 30_000 }, retryAt: clock.now() + 20_000 },
    ])
  })

  test('waits just as long as the other side asks for, if that is below the cap', async () => {
    let calls = 0
    const { clock, store, start } = setup(
      () => (++calls < 2 ? tooMany() : 'ok'),
      composePolicies(networkErrors, retryWithBackoff({ maxAttempts: 3, baseMs: 1 })),
    )
    const began = clock.now()

    expect(await start()).toMatchObject({ status: 'blocked', wakeAt: began + 30_000 })
    await clock.advance(29_999)
    const callsBefore = calls
    await clock.advance(1)

    expect([callsBefore, calls]).toEqual([1, 2])
    expect(await dataOf(store, 'r', 'Completed')).toHaveLength(1)
  })

  test('is not asked about where it has a class of its own', async () => {
    const policy = composePolicies({ name: 'hopeful', classify: () => ({ kind: 'transient' }) }, atOnce)
    const { store, start } = setup(() => {
      throw new ActionError('permanent', 'no')
    }, policy)

    await start()

    expect(await dataOf(store, 'r', 'ActionFailed')).toMatchObject([{ attempts: 1, error: { kind: 'permanent' } }])
  })

  test('leaves an at-most-once action in doubt, whatever it is called', async () => {
    let calls = 0
    const { store, start } = setup(() => (++calls, tooMany()), composePolicies(networkErrors, patient), {
      action: { effect: 'at-most-once' },
    })

    expect(await start()).toMatchObject({ status: 'blocked', blockedOn: [{ inDoubt: true }] })
    expect(calls).toBe(1)
    expect(await typesOf(store, 'r')).not.toContain('ActionAttemptFailed')
  })

  test('that says that nothing was executed is retried as it is classified, also at most once', async () => {
    let calls = 0
    const refused = (): never => {
      throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED', notExecuted: true })
    }
    const policy = composePolicies(networkErrors, retryWithBackoff({ maxAttempts: 3, baseMs: 0 }))
    const { start } = setup(() => (++calls < 3 ? refused() : 'ok'), policy, { action: { effect: 'at-most-once' } })

    expect(await start()).toMatchObject({ output: [succeeded] })
    expect(calls).toBe(3)
  })
})
