import { describe, expect, test } from 'vitest'
import { ActionError } from '../policy/action-error.ts'
import { retryWithBackoff } from '../policy/retry.ts'
import { createKernel } from '../kernel/kernel.ts'
import { settled } from '../testing/manual-clock.ts'
import { inDoubt, paying, payingRun } from '../testing/paying.ts'
import { dataOf, runStarted, typesOf, writeLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { contentId, StoreError } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { processOwner } from '../owner.ts'
import type { ActionContext, InquiryContext, Reconciliation } from '../workflow/action.ts'

const declined = (): never => {
  throw new ActionError('transient', 'busy', { notExecuted: true })
}

const requested = { type: 'ActionRequested', data: { key: 'pay', action: 'pay', input: 100, effect: 'at-most-once' } }

const doubted = { type: 'ActionInDoubt', data: { key: 'pay', attempt: 1, reason: 'hang up' } }

/** A log whose process died while it paid. */
const orphaned = [runStarted('paying'), requested]

const manyArtifacts = Array.from({ length: 1001 }, (_, n) => ({ $artifact: contentId(`${n}`) }))

describe('an at-most-once action', () => {
  test('that returns has succeeded', async () => {
    const { start } = payingRun(() => 'paid')

    expect(await start()).toMatchObject({ status: 'completed', output: { status: 'succeeded', output: 'paid' } })
  })

  test.for<[what: string, thrown: unknown]>([
    ['an error', new Error('socket hang up')],
    ['a transient error', new ActionError('transient', 'busy')],
    ['a rate limit', new ActionError('rate-limited', 'slow down', { retryAfterMs: 1 })],
    ['text', 'boom'],
    ['an error that says something else of its execution', Object.assign(new Error('x'), { notExecuted: 'true' })],
    ['an error that breaks when it is looked at', new Proxy(new Error('x'), { get: () => declined() })],
  ])('that throws %s is in doubt and blocks the run, whatever the policy says', async ([, thrown]) => {
    let calls = 0
    const policy = retryWithBackoff({ maxAttempts: 5, baseMs: 0 })
    const { store, start, kernel } = payingRun(
      () => {
        calls++
        throw thrown
      },
      { retry: { maxAttempts: 5, baseMs: 0 } },
      { policy },
    )

    const outcome = await start()
    const again = await kernel.run('r')

    expect(outcome).toMatchObject(inDoubt)
    expect(again).toEqual(outcome)
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested', 'ActionInDoubt'])
    expect(calls).toBe(1)
  })

  test('that throws says in the log why it is in doubt', async () => {
    const { store, start } = payingRun(() => {
      throw new Error('socket hang up')
    })

    await start()

    expect(await dataOf(store, 'r', 'ActionInDoubt')).toEqual([{ key: 'pay', attempt: 1, reason: 'socket hang up' }])
  })

  test.for<[what: string, output: unknown, reason: string]>([
    ['no JSON', { at: new Date(0) }, 'output.at is an instance of Date'],
    [
      'what cannot be read',
      {
        get at() {
          throw new Error('no')
        },
      },
      'output cannot be read',
    ],
    ['more than an event can hold', 'x'.repeat(2000), 'are allowed'],
    ['a reference to a secret of its own', { $secret: 'made up' }, 'output holds a reference to a secret'],
    ['more artifacts than an append can refer to', manyArtifacts, '1001 artifacts'],
  ])('that answers %s is in doubt, for it was executed, and the log says why', async ([, output, reason]) => {
    let calls = 0
    const pay = () => {
      calls++
      return output
    }
    const { store, kernel, start } = payingRun(
      pay,
      {},
      { limits: { bodyBytes: output === manyArtifacts ? 500_000 : 1000 } },
    )

    expect(await start()).toMatchObject(inDoubt)
    expect(await dataOf(store, 'r', 'ActionInDoubt')).toMatchObject([
      { key: 'pay', attempt: 1, reason: expect.stringContaining(reason) as string },
    ])
    expect(await kernel.settle('r', { key: 'pay', outcome: { status: 'succeeded', output: 'paid' } })).toMatchObject({
      output: { status: 'succeeded', output: 'paid' },
    })
    expect(calls).toBe(1)
  })

  test('that times out is in doubt, with its handler aborted', async () => {
    let signal: AbortSignal | undefined
    const { clock, start } = payingRun(
      (_, ctx) => {
        signal = ctx.signal
        return new Promise(() => undefined)
      },
      { timeoutMs: 1000 },
    )
    const starting = start()
    await settled()

    await clock.advance(1000)

    expect(await starting).toMatchObject(inDoubt)
    expect(signal?.aborted).toBe(true)
  })

  test('is tried again by its own retry options when its error says that nothing was executed', async () => {
    const { start, store } = payingRun((_, { attempt }) => (attempt < 3 ? declined() : 'paid'), {
      retry: { maxAttempts: 3, baseMs: 0 },
    })

    const outcome = await start()

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid' } })
    expect(await typesOf(store, 'r')).toEqual([
      ...['RunStarted', 'ActionRequested'],
      ...['ActionAttemptFailed', 'ActionAttemptStarted'],
      ...['ActionAttemptFailed', 'ActionAttemptStarted'],
      ...['ActionSucceeded', 'Completed'],
    ])
  })

  test('has failed when nothing was executed and no attempt is left', async () => {
    const { start } = payingRun(declined, { retry: { maxAttempts: 2, baseMs: 0 } })

    expect(await start()).toMatchObject({ output: { status: 'failed', error: { message: 'busy', kind: 'transient' } } })
  })

  test('finds each attempt durable when it starts', async () => {
    const seen: string[][] = []
    const { store, start } = payingRun(
      async (_, { attempt }) => {
        seen.push((await typesOf(store, 'r')).slice(-1))
        return attempt < 2 ? declined() : 'paid'
      },
      { retry: { maxAttempts: 2, baseMs: 0 } },
    )

    await start()

    expect(seen).toEqual([['ActionRequested'], ['ActionAttemptStarted']])
  })

  test('whose second attempt throws without a word on its execution is in doubt', async () => {
    const { start, store } = payingRun(
      (_, { attempt }) => {
        if (attempt === 1) declined()
        throw new Error('hang up')
      },
      { retry: { maxAttempts: 5, baseMs: 0 } },
    )

    expect(await start()).toMatchObject(inDoubt)
    expect(await dataOf(store, 'r', 'ActionInDoubt')).toMatchObject([{ attempt: 2 }])
  })

  test('whose process died is in doubt, and not called', async () => {
    const store = memoryStore()
    const workflow = paying(() => expect.unreachable())
    await writeLog(store, 'r', orphaned, { workflow: 'paying' })

    const outcome = await createKernel({ store, workflows: [workflow] }).run('r')

    expect(outcome).toMatchObject(inDoubt)
    expect(await dataOf(store, 'r', 'ActionInDoubt')).toMatchObject([{ reason: 'its process died' }])
  })

  test('whose kernel was disposed is in doubt for the next one', async () => {
    let calls = 0
    const { start, kernel, another } = payingRun((_, { signal }) => {
      calls++
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(new Error('aborted'))
        })
      })
    })
    start().catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()

    const outcome = await another().run('r')

    expect(outcome).toMatchObject(inDoubt)
    expect(calls).toBe(1)
  })

  test('whose lease was lost is in doubt for the next process', async () => {
    let calls = 0
    const { start, store, another } = payingRun(() => {
      calls++
      return new Promise(() => undefined)
    })
    start().catch(() => undefined)
    await settled()
    const { token } = (await store.runs.find('r'))!
    const claim = await store.runs.acquire('r', { owner: processOwner(), leaseMs: 1000, takeover: token })
    await store.runs.release(claim, { expectedHead: 2 })

    expect(await another().run('r')).toMatchObject(inDoubt)
    expect(calls).toBe(1)
  })

  describe('of a run whose commit took three quarters of the lease, by the monotonic clock,', () => {
    function slowCommit() {
      const calls: string[] = []
      const run = payingRun(() => {
        calls.push('pay')
      })
      let jump = 0
      // The wall clock, the store and every timer stand still meanwhile.
      const slow = { ...run.clock, monotonic: () => run.clock.monotonic() + jump }
      const watched = recordCalls(run.store, [], (name) => {
        if (name === 'runs.renew') calls.push('renew')
        return undefined
      })
      const events: typeof run.store.events = {
        read: (runId, range) => run.store.events.read(runId, range),
        append: async (...args) => {
          const appended = await run.store.events.append(...args)
          jump = 7500
          return appended
        },
      }
      return { ...run, calls, watched: { ...watched, events }, slow }
    }

    test('starts when a renewal has said that nobody took it', async () => {
      const { calls, watched, slow, workflow } = slowCommit()
      const kernel = createKernel({ store: watched, workflows: [workflow], clock: slow, leaseMs: 10_000 })

      const outcome = await kernel.start(workflow, null, { runId: 'r' })

      expect(outcome).toMatchObject({ status: 'completed' })
      expect(calls).toEqual(['renew', 'pay'])
    })

    test('does not start when it cannot be renewed', async () => {
      const { calls, watched, slow, workflow } = slowCommit()
      const unreachable = () => Promise.reject(new StoreError('STORE_UNREACHABLE', 'no network', { retryable: true }))
      const store = recordCalls(watched, [], (name) => (name === 'runs.renew' ? unreachable() : undefined))
      const kernel = createKernel({ store, workflows: [workflow], clock: slow, leaseMs: 10_000 })

      const outcome = await kernel.start(workflow, null, { runId: 'r' })

      // The lease was given up; whoever takes the run next cannot know that nothing was started.
      expect(outcome).toMatchObject(inDoubt)
      expect(calls).toEqual([])
    })
  })

  test('that is in doubt when its run is canceled is dropped as unknown', async () => {
    const { start, store, kernel } = payingRun(() => {
      throw new Error('hang up')
    })
    await start()

    const outcome = await kernel.cancel('r', { reason: 'enough' })

    expect(outcome).toMatchObject({ status: 'canceled' })
    expect(await dataOf(store, 'r', 'ItemDropped')).toEqual([{ key: 'pay', outcome: 'unknown' }])
  })
})

describe('reconciling', () => {
  const unsure = (): never => {
    throw new Error('hang up')
  }

  test('is asked with the same input, key, idempotency key and attempt as the handler was', async () => {
    const seen: unknown[] = []
    const note = (input: number, ctx: { key: string; idempotencyKey: string; attempt: number; runId: string }) =>
      seen.push([input, ctx.runId, ctx.key, ctx.idempotencyKey, ctx.attempt])
    const { start } = payingRun(
      (input, ctx) => {
        note(input, ctx)
        return unsure()
      },
      {
        reconcile: (input, ctx) => {
          note(input, ctx)
          return { status: 'unknown' }
        },
      },
    )

    await start()

    expect(seen).toHaveLength(2)
    expect(seen[1]).toEqual(seen[0])
  })

  test.for<[what: string, answer: Reconciliation, closed: object]>([
    ['succeeded', { status: 'succeeded', output: 'paid' }, { status: 'succeeded', output: 'paid' }],
    ['failed', { status: 'failed', message: 'declined' }, { status: 'failed', error: { message: 'declined' } }],
  ])('that answers %s closes the action so', async ([, answer, closed]) => {
    const { start } = payingRun(unsure, { reconcile: () => answer })

    expect(await start()).toMatchObject({ status: 'completed', output: closed })
  })

  test('says in the log that it was the one who knew', async () => {
    const { start, store } = payingRun(unsure, { reconcile: () => ({ status: 'succeeded', output: 1 }) })

    await start()

    expect(await dataOf(store, 'r', 'ActionSucceeded')).toEqual([
      { key: 'pay', attempts: 1, output: 1, by: 'reconcile' },
    ])
  })

  test.for<[what: string, reconcile: () => Reconciliation | Promise<Reconciliation>]>([
    ['does not know', () => ({ status: 'unknown' })],
    ['throws', () => unsure()],
    ['rejects', () => Promise.reject(new Error('no network'))],
    ['answers nothing', () => undefined as never],
    ['answers something else', () => ({ status: 'maybe' }) as never],
    ['says that nothing was executed, though the other side refuses no old token', () => ({ status: 'not-executed' })],
  ])('that %s leaves the run blocked', async ([, reconcile]) => {
    const { start } = payingRun(unsure, { reconcile }, { onWarning: () => undefined })

    expect(await start()).toMatchObject(inDoubt)
  })

  test.for<[what: string, reconcile: () => Reconciliation, text: string]>([
    ['answers nothing', () => undefined as never, 'it answered undefined'],
    ['answers something else', () => ({ status: 'maybe' }) as never, 'it answered "maybe"'],
    ['says without a fence that nothing was executed', () => ({ status: 'not-executed' }), 'fenced: true'],
  ])('that %s warns of what it has to answer', async ([, reconcile, text]) => {
    const warnings: Error[] = []
    const { start } = payingRun(unsure, { reconcile }, { onWarning: (warning) => warnings.push(warning) })

    expect(await start()).toMatchObject(inDoubt)
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining(text)])
  })

  test('that does not know warns of nothing', async () => {
    const warnings: Error[] = []
    const reconcile = (): Reconciliation => ({ status: 'unknown' })
    const { start } = payingRun(unsure, { reconcile }, { onWarning: (warning) => warnings.push(warning) })

    expect(await start()).toMatchObject(inDoubt)
    expect(warnings).toEqual([])
  })

  test.for<unknown>([undefined, null, 'no network', { status: 503 }])(
    'that throws %j warns by an error that tells of which action and run',
    async (thrown) => {
      const warnings: Error[] = []
      const reconcile = (): Reconciliation => {
        throw thrown
      }
      const { start } = payingRun(unsure, { reconcile }, { onWarning: (warning) => warnings.push(warning) })

      expect(await start()).toMatchObject(inDoubt)
      const text = expect.stringMatching(/^reconcile of pay has not settled pay of run r,/) as unknown
      expect(warnings).toEqual([expect.any(Error)])
      expect(warnings[0]).toMatchObject({ message: text, cause: thrown })
    },
  )

  test('that finds nothing executed behind a fence permits another attempt, which is durable first', async () => {
    let calls = 0
    const { start, store } = payingRun(() => (++calls === 1 ? unsure() : 'paid'), {
      reconcile: () => ({ status: 'not-executed' }),
      fenced: true,
    })

    const outcome = await start()

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid' } })
    expect(await dataOf(store, 'r', 'ActionAttemptStarted')).toEqual([{ key: 'pay', attempt: 2 }])
  })

  test('that permits another attempt under the same token has the one that timed out barred by its number', async () => {
    const late = Promise.withResolvers<undefined>()
    const tokens: number[] = []
    const paid: number[] = []
    let barred = 0
    const pay = async (_: number, { attempt, fencingToken }: ActionContext) => {
      tokens.push(fencingToken)
      if (attempt === 1) await late.promise
      if (attempt > barred) paid.push(attempt)
      return 'paid'
    }
    const reconcile = (_: number, { attempt }: InquiryContext): Reconciliation => {
      barred = attempt
      return { status: 'not-executed' }
    }
    const { clock, start } = payingRun(pay, { timeoutMs: 1000, fenced: true, reconcile })
    const starting = start()
    await settled()

    await clock.advance(1000)
    const outcome = await starting
    late.resolve(undefined)
    await settled()

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid' } })
    expect(paid).toEqual([2])
    expect(tokens[1]).toBe(tokens[0])
  })

  test('that permits another attempt each time is asked after longer and longer', async () => {
    let calls = 0
    const { clock, start, store } = payingRun(() => (++calls < 6 ? unsure() : 'paid'), {
      reconcile: () => ({ status: 'not-executed' }),
      fenced: true,
    })
    const starting = start()
    const after: number[] = []

    for (const ms of [0, 100, 200, 400]) {
      await clock.advance(ms)
      await settled()
      after.push(calls)
    }

    expect(after).toEqual([3, 4, 5, 6])
    expect(await starting).toMatchObject({ status: 'completed', output: { output: 'paid' } })
    expect((await store.runs.find('r'))?.head).toBeLessThan(20)
  })

  test('is asked under a lease that was renewed before, and not under one that cannot be', async () => {
    for (const refusal of [undefined, 'FENCED', 'STORE_BUSY', 'UNKNOWN_OUTCOME'] as const) {
      const calls: string[] = []
      const data = memoryStore()
      const store = recordCalls(data, [], (name) => {
        if (name === 'runs.acquire' || name === 'runs.renew') calls.push(name)
        if (refusal === undefined || name !== 'runs.renew') return undefined
        return Promise.reject(new StoreError(refusal, 'not renewed'))
      })
      const workflow = paying(() => expect.unreachable(), {
        reconcile: () => {
          calls.push('asked')
          return { status: 'unknown' }
        },
      })
      await writeLog(data, 'r', [...orphaned, doubted], { workflow: 'paying' })

      const kernel = createKernel({ store, workflows: [workflow] })
      const running = kernel.run('r').catch(() => undefined)
      await settled()
      await kernel[Symbol.asyncDispose]()
      await running

      expect(calls.slice(0, 2)).toEqual(['runs.acquire', 'runs.renew'])
      expect(calls.indexOf('asked')).toBe(refusal === undefined ? 2 : -1)
    }
  })

  test('is asked about an orphan, too', async () => {
    const store = memoryStore()
    const workflow = paying(() => expect.unreachable(), { reconcile: () => ({ status: 'succeeded', output: 'paid' }) })
    await writeLog(store, 'r', orphaned, { workflow: 'paying' })

    const outcome = await createKernel({ store, workflows: [workflow] }).run('r')

    expect(outcome).toMatchObject({ output: { output: 'paid' } })
  })

  test('is asked once per drive, and not at all by a look at the blocked run', async () => {
    let asked = 0
    const { start, kernel } = payingRun(unsure, {
      reconcile: () => {
        asked++
        return { status: 'unknown' }
      },
    })

    await start()
    await kernel.run('r')
    await kernel.recover()

    expect(asked).toBe(1)
  })

  test('that takes for ever gives way to a verdict', async () => {
    let signal: AbortSignal | undefined
    const { start, kernel } = payingRun(unsure, {
      reconcile: (_, ctx) => {
        signal = ctx.signal
        return new Promise(() => undefined)
      },
    })
    const starting = start()
    await settled()

    const outcome = await kernel.settle('r', { key: 'pay', outcome: { status: 'succeeded', output: 'paid' } })

    expect(outcome).toMatchObject({ status: 'completed' })
    expect(await starting).toEqual(outcome)
    expect(signal?.aborted).toBe(true)
  })

  test.for<[what: string, output: unknown]>([
    ['no JSON', new Date(0)],
    ['more than an event can hold', 'x'.repeat(2000)],
    ['a reference to a secret of its own', { $secret: 'made up' }],
    ['more artifacts than an append can refer to', manyArtifacts],
  ])('that answers %s settles nothing, and warns of it', async ([, output]) => {
    const warnings: Error[] = []
    const { start, store } = payingRun(
      unsure,
      { reconcile: () => ({ status: 'succeeded', output }) },
      {
        limits: { bodyBytes: output === manyArtifacts ? 500_000 : 1000 },
        onWarning: (warning) => warnings.push(warning),
      },
    )

    expect(await start()).toMatchObject(inDoubt)
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining('reconcile')])
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested', 'ActionInDoubt'])
  })

  test.for([5, undefined, null])(
    'that says no text of a failure (%s) settles nothing, and warns of it',
    async (message) => {
      const warnings: Error[] = []
      const { start, store } = payingRun(
        unsure,
        { reconcile: () => ({ status: 'failed', message: message as never }) },
        { onWarning: (warning) => warnings.push(warning) },
      )

      expect(await start()).toMatchObject(inDoubt)
      expect(warnings.map(({ message: text }) => text)).toEqual([expect.stringContaining('must be a text')])
      expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested', 'ActionInDoubt'])
    },
  )

  test('that says a failure in a text with half a character, or one too long, has it recorded like any other', async () => {
    const message = `${'declined 😀'.slice(0, 10)}${'x'.repeat(5_000_000)}`
    const { start } = payingRun(unsure, { reconcile: () => ({ status: 'failed', message }) })

    const outcome = await start()

    expect(outcome).toMatchObject({
      output: { status: 'failed', error: { message: expect.stringMatching(/^declined \ufffd/) as string } },
    })
  })

  test('whose answer changes while it is taken has it recorded as it was, or settles nothing', async () => {
    const outcomes: unknown[] = []
    for (let turns = 0; turns < 40; turns++) {
      const status: Record<string, unknown> = { paid: true }
      const change = (left: number): void => {
        if (left === 0) status['at'] = new Date(0)
        else queueMicrotask(() => change(left - 1))
      }
      const reconcile = (): Reconciliation => {
        change(turns)
        return { status: 'succeeded', output: status }
      }
      const { start } = payingRun(unsure, { reconcile }, { onWarning: () => undefined })
      const outcome = await start()
      outcomes.push(outcome.status === 'completed' ? outcome.output : outcome.status)
    }

    const taken = outcomes.filter((each) => each !== 'blocked')
    expect(taken).toEqual(taken.map(() => ({ status: 'succeeded', output: { paid: true } })))
    expect(taken.length).toBeGreaterThan(0)
  })
})
