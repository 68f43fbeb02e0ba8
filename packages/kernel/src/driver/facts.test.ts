import type { Json, Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { ActionError } from '../policy/action-error.ts'
import { retryWithBackoff } from '../policy/retry.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, runStarted, typesOf, writeLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import type { ActionContext } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

type Handler = (input: number, ctx: ActionContext) => Promise<Json>

/** As many actions at once as the input says, each with its number. */
function asking(handler: Handler) {
  return defineWorkflow(
    {
      ...{ name: 'asking', version: '1', input: z.int() },
      actions: { ask: { run: handler } },
    },
    {
      step: ({ input, results }, next) => {
        const all = Object.values(results)
        if (all.length === input && all.every((result) => result?.status === 'succeeded')) return next.complete(results)
        return next.all(Array.from({ length: input }, (_, n) => next.run('ask', n, { key: `ask:${n}` })))
      },
    },
  )
}

async function outputs(count: number, handler: Handler, store: Store = memoryStore()): Promise<unknown[]> {
  const workflow = asking(handler)
  const policy = retryWithBackoff({ maxAttempts: 3, baseMs: 0 })
  const kernel = createKernel({ store, workflows: [workflow], policy })
  const outcome = await kernel.start(workflow, count, { runId: 'r' })
  expect(await kernel.verify('r')).toMatchObject({ ok: true })
  if (outcome.status !== 'completed') return [outcome]
  return Object.values(outcome.output as Record<string, { output: unknown }>).map(({ output }) => output)
}

describe('a fact', () => {
  test('is read once by all that ask for it at the same time, and every one gets the recorded answer', async () => {
    const store = memoryStore()
    let reads = 0

    const answers = await outputs(5, (_, { fact }) => fact('rate', () => ({ reads: ++reads })), store)

    expect(answers).toEqual(Array.from({ length: 5 }, () => ({ reads: 1 })))
    expect(await dataOf(store, 'r', 'FactRecorded')).toMatchObject([{ key: 'rate', scope: 'run', actionKey: 'ask:0' }])
  })

  test('is given out as what the log holds, a copy for each', async () => {
    const answers = await outputs(2, async (n, { fact }) => {
      const value = await fact('v', () => ({ zero: -0, list: [1] as number[] }))
      value.list.push(n)
      return value
    })

    expect(answers).toEqual([
      { zero: 0, list: [1, 0] },
      { zero: 0, list: [1, 1] },
    ])
    expect(Object.is((answers[0] as { zero: number }).zero, 0)).toBe(true)
  })

  test('is durable before its handler sees it, and facts of one tick share an append', async () => {
    const calls: string[] = []
    const memory = memoryStore()
    const seen: string[][] = []
    const slowly = async (): Promise<number> => {
      for (let i = 0; i < 50; i++) await Promise.resolve()
      return 2
    }

    await outputs(
      1,
      async (_, { fact }) => {
        await Promise.all([fact('a', () => 1), fact('b', slowly), fact('c', () => undefined)])
        seen.push(await typesOf(memory, 'r'))
        return null
      },
      recordCalls(memory, calls),
    )

    const facts = ['FactRecorded', 'FactRecorded', 'FactRecorded']
    expect(seen).toEqual([['RunStarted', 'ActionRequested', ...facts]])
    expect(calls.filter((name) => name === 'events.append')).toHaveLength(3)
    expect(new Map((await dataOf(memory, 'r', 'FactRecorded')).map(({ key, value }) => [key, value]))).toEqual(
      new Map<unknown, unknown>([
        ['a', 1],
        ['b', 2],
        ['c', null],
      ]),
    )
  })

  test('that is recorded costs nothing more', async () => {
    const calls: string[] = []
    await outputs(
      1,
      async (_, { fact }) => {
        await fact('a', () => 1)
        for (let i = 0; i < 10; i++) await fact('a', () => 2)
        return null
      },
      recordCalls(memoryStore(), calls),
    )

    expect(calls.filter((name) => name === 'events.append')).toHaveLength(3)
  })

  test.for([
    ['run', [1, 1, 1]],
    ['attempt', [1, 2, 3]],
  ] as const)('of scope %s is read for the attempts %j', async ([scope, expected]) => {
    let reads = 0
    const seen: number[] = []

    await outputs(1, async (_, { fact, attempt }) => {
      seen.push(await fact('a', () => ++reads, { scope }))
      if (attempt < 3) throw new ActionError('transient', 'again')
      return null
    })

    expect(seen).toEqual(expected)
  })

  test('of scope attempt is the action’s own', async () => {
    let reads = 0

    expect(await outputs(3, (_, { fact }) => fact('a', () => ++reads, { scope: 'attempt' }))).toEqual([1, 2, 3])
  })

  test.for(['run', 'attempt'] as const)('of scope %s outlives a crash', async (scope) => {
    const store = memoryStore()
    const recorded = { key: 'a', scope, actionKey: 'ask:0', requestHash: NULL_HASH, value: 'before the crash' }
    await writeLog(
      store,
      'r',
      [
        runStarted('asking', 1),
        { type: 'ActionRequested', data: { key: 'ask:0', action: 'ask', input: 0, effect: 'idempotent' } },
        { type: 'FactRecorded', data: recorded },
      ],
      { workflow: 'asking' },
    )
    const workflow = asking((_, { fact }) => fact('a', () => 'after it', { scope }))
    const kernel = createKernel({ store, workflows: [workflow] })

    expect(await kernel.run('r')).toMatchObject({ output: { 'ask:0': { output: 'before the crash' } } })
  })

  test('whose reading fails is recorded nowhere, fails whoever waits for it, and can be asked for again', async () => {
    const store = memoryStore()
    let reads = 0
    const read = (): number => {
      if (++reads === 1) throw new Error('no answer')
      return reads
    }

    const answers = await outputs(
      2,
      async (_, { fact }) => {
        const first = await fact('a', read).catch((error: unknown) => (error as Error).message)
        return [first, await fact('a', read)]
      },
      store,
    )

    expect(answers).toEqual([
      ['no answer', 2],
      ['no answer', 2],
    ])
    expect(await dataOf(store, 'r', 'FactRecorded')).toHaveLength(1)
  })

  test('may be asked for with an action’s key as its own', async () => {
    const ask: Handler = (_, { fact }) => Promise.all([fact('ask:0', () => 'a fact'), fact('b', () => 'another')])

    expect(await outputs(1, ask)).toEqual([['a fact', 'another']])
  })

  test('that waits for another one gets it', async () => {
    expect(
      await outputs(1, (_, { fact }) => fact('outer', async () => [await fact('inner', () => 1)] as number[])),
    ).toEqual([[1]])
  })

  test('of an attempt that has its outcome already is not recorded, and harms nobody', async () => {
    const store = memoryStore()

    const answers = await outputs(
      1,
      async (_, { fact }) => {
        void fact('late', () => 1)
        return 'over'
      },
      store,
    )

    expect(answers).toEqual(['over'])
    expect(await dataOf(store, 'r', 'FactRecorded')).toEqual([])
  })

  test('is recorded for another that waits when the first to ask gave up', async () => {
    const store = memoryStore()
    const clock = manualClock()
    let answer: (value: string) => void = () => undefined
    const read = (): Promise<string> => new Promise((resolve) => (answer = resolve))
    const workflow = defineWorkflow(
      {
        ...{ name: 'two', version: '1', input: z.null() },
        actions: {
          hasty: { timeoutMs: 10, run: (_: null, { fact }) => fact('a', read) },
          patient: { run: (_: null, { fact }) => fact('a', read) },
        },
      },
      {
        step: ({ results: { hasty, patient } }, next) =>
          hasty !== undefined && patient !== undefined
            ? next.complete([hasty, patient])
            : next.all([next.run('hasty', null), next.run('patient', null)]),
      },
    )
    const kernel = createKernel({ store, workflows: [workflow], clock })
    const run = kernel.start(workflow, null, { runId: 'r' })
    await settled()
    await clock.advance(10)
    answer('late')

    expect(await run).toMatchObject({ output: [{ status: 'failed' }, { status: 'succeeded', output: 'late' }] })
    expect(await dataOf(store, 'r', 'FactRecorded')).toMatchObject([{ key: 'a', actionKey: 'patient' }])
  })
})

describe('a fact that several ask for when the one whose reading it is gives up', () => {
  /** The first and the second ask for 10 and 20 ms at most; the third has time. Each reads as it is told. */
  async function three(read: (n: number, signal: AbortSignal) => Promise<Json>) {
    const store = memoryStore()
    const clock = manualClock()
    const ask =
      (n: number) =>
      (_: null, { fact, signal }: ActionContext): Promise<Json> =>
        fact('rate', () => read(n, signal))
    const workflow = defineWorkflow(
      {
        ...{ name: 'three', version: '1', input: z.null() },
        actions: {
          first: { timeoutMs: 10, run: ask(1) },
          second: { timeoutMs: 20, run: ask(2) },
          third: { run: ask(3) },
        },
      },
      {
        step: ({ results: { first, second, third } }, next) =>
          first && second && third
            ? next.complete([first, second, third])
            : next.all([next.run('first', null), next.run('second', null), next.run('third', null)]),
      },
    )
    const kernel = createKernel({ store, workflows: [workflow], clock })
    const running = kernel.start(workflow, null, { runId: 'r' })
    running.catch(() => undefined)
    await settled()
    for (let i = 0; i < 4; i++) await clock.advance(10)
    return { store, outcome: await running, verified: await kernel.verify('r') }
  }

  const late = { status: 'failed', error: { code: 'TIMEOUT' } }

  test('is read by the next one: the signal of the first ends its own reading alone', async () => {
    const reads: number[] = []
    const untilAborted = (signal: AbortSignal): Promise<never> =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error)
        })
      })

    const { store, outcome, verified } = await three((n, signal) => {
      reads.push(n)
      return n === 3 ? Promise.resolve('answer') : untilAborted(signal)
    })

    expect(outcome).toMatchObject({ output: [late, late, { status: 'succeeded', output: 'answer' }] })
    expect(reads).toEqual([1, 2, 3])
    expect(await dataOf(store, 'r', 'FactRecorded')).toMatchObject([{ key: 'rate', actionKey: 'third' }])
    expect(verified).toMatchObject({ ok: true })
  })

  test('is read by the next one also when the first reading hangs for ever', async () => {
    const { outcome } = await three((n) => (n === 2 ? Promise.resolve('answer') : new Promise(() => undefined)))

    const succeeded = { status: 'succeeded', output: 'answer' }
    expect(outcome).toMatchObject({ output: [late, succeeded, succeeded] })
  })

  test('is what was answered first, and recorded once', async () => {
    const answers: ((value: string) => void)[] = []
    const { store, outcome } = await three(
      (n) =>
        new Promise((resolve) => {
          answers.push(resolve)
          if (n !== 3) return
          answers[0]?.('of the first')
          answers[1]?.('of the second')
          resolve('of the third')
        }),
    )

    expect(outcome).toMatchObject({ output: [late, late, { output: 'of the first' }] })
    expect(await dataOf(store, 'r', 'FactRecorded')).toMatchObject([{ value: 'of the first' }])
  })

  test('is read no more when all who ask are one attempt', async () => {
    const clock = manualClock()
    let reads = 0
    const read = (): Promise<null> => {
      reads++
      return new Promise(() => undefined)
    }
    const workflow = defineWorkflow(
      {
        ...{ name: 'twice', version: '1', input: z.null() },
        actions: {
          ask: { timeoutMs: 10, run: (_: null, { fact }) => Promise.all([fact('rate', read), fact('rate', read)]) },
        },
      },
      { step: ({ results }, next) => (results['ask'] ? next.complete(results['ask']) : next.run('ask', null)) },
    )
    const run = createKernel({ store: memoryStore(), workflows: [workflow], clock }).start(workflow, null)
    await settled()
    await clock.advance(10)

    expect(await run).toMatchObject({ output: late })
    expect(reads).toBe(1)
  })

  test('fails for the others when their own reading fails', async () => {
    const { store, outcome } = await three((n) =>
      n === 1 ? new Promise(() => undefined) : Promise.reject(new Error(`no answer for ${n}`)),
    )

    const failed = { status: 'failed', error: { message: 'no answer for 2' } }
    expect(outcome).toMatchObject({ output: [late, failed, failed] })
    expect(await dataOf(store, 'r', 'FactRecorded')).toEqual([])
  })
})

describe('a fact that is still being read when its attempt is over', () => {
  test('is read anew by the retry: the first reading may hang for ever', async () => {
    const clock = manualClock()
    let reads = 0
    const read = (): Promise<number> | number => (++reads === 1 ? new Promise<number>(() => undefined) : reads)
    const workflow = defineWorkflow(
      {
        ...{ name: 'hanging', version: '1', input: z.null() },
        actions: { ask: { timeoutMs: 10, run: (_: null, { fact }) => fact('a', read) } },
      },
      { step: ({ results }, next) => (results['ask'] ? next.complete(results['ask']) : next.run('ask', null)) },
    )
    const policy = retryWithBackoff({ maxAttempts: 2, baseMs: 0 })
    const run = createKernel({ store: memoryStore(), workflows: [workflow], clock, policy }).start(workflow, null)
    await settled()
    await clock.advance(10)
    await settled()
    await clock.advance(10)

    expect(await run).toMatchObject({ output: { status: 'succeeded', output: 2 } })
  })

  test.for(['run', 'attempt'] as const)('is not that of the next attempt: scope %s', async (scope) => {
    const answers: ((value: string) => void)[] = []
    const read = (): Promise<string> => new Promise((resolve) => answers.push(resolve))
    const store = memoryStore()

    const got = await outputs(
      1,
      async (_, { fact, attempt }) => {
        const answer = fact('a', read, { scope, request: attempt })
        if (attempt === 1) throw new ActionError('transient', 'something else failed')
        answers[0]?.('first')
        answers[1]?.('second')
        return answer
      },
      store,
    )

    expect(got).toEqual(['second'])
    expect(await dataOf(store, 'r', 'FactRecorded')).toMatchObject([{ value: 'second' }])
  })

  test('fails for whoever still waits for it, and nothing more is read', async () => {
    let late: Promise<unknown> = Promise.resolve()
    const reads: string[] = []
    await outputs(1, async (_, { fact }) => {
      const open = fact('a', () => new Promise<null>(() => undefined)).catch((error: unknown) => error)
      late = open.then(async (first) => [
        first,
        await fact('b', () => reads.push('b')).catch((error: unknown) => error),
      ])
      return null
    })

    expect(await late).toMatchObject([{ code: 'NOT_OPEN' }, { code: 'NOT_OPEN' }])
    expect(reads).toEqual([])
  })
})

test('a handler whose action is dropped together with its fact is not told to go on', async () => {
  const memory = memoryStore()
  const held = Promise.withResolvers<undefined>()
  const holding = Promise.withResolvers<undefined>()
  let appends = 0
  // The other action's result is held on its way; fact and cancel come in meanwhile, and are taken in one turn.
  const store = recordCalls(memory, [], (name) => {
    if (name !== 'events.append' || ++appends !== 2) return undefined
    holding.resolve(undefined)
    return held.promise
  })
  const answer = Promise.withResolvers<number>()
  const seen: unknown[] = []
  const workflow = asking(async (n, { fact }) => {
    if (n === 1) return null
    await fact('a', () => answer.promise).then(
      () => seen.push('told'),
      () => seen.push('aborted'),
    )
    return null
  })
  const run = createKernel({ store, workflows: [workflow] }).start(workflow, 2, { runId: 'r' })
  await holding.promise
  const cancel = { id: 'c', type: 'CancelRequested', body: '{"reason":"enough"}' }
  await memory.inbox.post('r', cancel, { maxWaiting: 10 })
  answer.resolve(1)
  await settled()
  held.resolve(undefined)

  expect(await run).toMatchObject({ status: 'canceled' })
  await settled()
  expect(await typesOf(memory, 'r')).toContain('FactRecorded')
  expect(seen).toEqual(['aborted'])
})

/** Hash of no request. */
const NULL_HASH = '74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b'

describe('a fact is refused with a code, and the handler may go on', () => {
  async function codeOf(ask: (ctx: ActionContext) => Promise<unknown>): Promise<unknown> {
    const [code] = await outputs(1, async (_, ctx) => {
      try {
        await ask(ctx)
        return 'none'
      } catch (error) {
        return (error as { code?: string }).code ?? String(error)
      }
    })
    return code
  }

  test('when it was recorded for another request', async () => {
    expect(
      await codeOf(async ({ fact }) => {
        await fact('a', () => 1, { request: { currency: 'EUR' } })
        expect(await fact('a', () => 2, { request: { currency: 'EUR' } })).toBe(1)
        await fact('a', () => 3, { request: { currency: 'USD' } })
      }),
    ).toBe('FACT_MISMATCH')
  })

  test('when it is being read for another request', async () => {
    expect(
      await codeOf(({ fact }) => Promise.all([fact('a', () => 1, { request: 1 }), fact('a', () => 2, { request: 2 })])),
    ).toBe('FACT_MISMATCH')
  })

  test('when its reading waits for itself, also through another one', async () => {
    expect(await codeOf(({ fact }) => fact('a', async () => fact('a', () => 1)))).toBe('FACT_CYCLE')
    expect(
      await codeOf(({ fact }) =>
        fact('a', async () => {
          await fact('b', async () => fact('a', () => 1))
        }),
      ),
    ).toBe('FACT_CYCLE')
  })

  test('when two that are being read wait for each other', async () => {
    const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    const codes = await outputs(1, async (_, { fact }) => {
      const other = async (key: string): Promise<number> => {
        await soon()
        return fact(key, () => 1)
      }
      const both = await Promise.allSettled([fact('a', () => other('b')), fact('b', () => other('a'))])
      return both.map((each) => (each.status === 'rejected' ? (each.reason as { code: string }).code : 'none'))
    })

    expect(codes).toEqual([['FACT_CYCLE', 'FACT_CYCLE']])
  })

  test.for([
    ['', 'INVALID_ARGUMENT'],
    ['varve:mine', 'INVALID_INPUT'],
    ['a\nb', 'INVALID_ARGUMENT'],
    ['x'.repeat(201), 'INVALID_ARGUMENT'],
  ] as const)('when its key is %j', async ([key, code]) => {
    expect(await codeOf(({ fact }) => fact(key, () => 1))).toBe(code)
  })

  test('when its scope is none', async () => {
    expect(await codeOf(({ fact }) => fact('a', () => 1, { scope: 'global' as 'run' }))).toBe('INVALID_INPUT')
  })

  test('when its answer, or its request, is no JSON', async () => {
    expect(await codeOf(({ fact }) => fact('a', () => Number.NaN))).toBe('NOT_JSON')
    expect(await codeOf(({ fact }) => fact('a', () => 1, { request: new Date() }))).toBe('NOT_JSON')
  })

  test('when its answer is larger than an event may be', async () => {
    expect(await codeOf(({ fact }) => fact('a', () => 'x'.repeat(1024 * 1024)))).toBe('LIMIT_EXCEEDED')
  })
})

test('a run can be continued from a snapshot with its facts', async () => {
  const store = memoryStore()
  const reads: string[] = []
  const workflow = defineWorkflow(
    {
      ...{ name: 'snapped', version: '1', input: z.null() },
      actions: { ask: { run: (_: null, { fact }) => fact('a', () => void reads.push('read')) } },
      interrupts: { go: { ask: z.null(), answer: z.null() } },
    },
    {
      step: ({ results }, next) => {
        if (results['first'] === undefined) return next.run('ask', null, { key: 'first' })
        if (results['go'] === undefined) return next.interrupt('go', null)
        return results['second'] === undefined ? next.run('ask', null, { key: 'second' }) : next.complete(null)
      },
    },
  )
  await createKernel({ store, workflows: [workflow] }).start(workflow, null, { runId: 'r' })
  const calls: string[] = []
  const kernel = createKernel({ store: recordCalls(store, calls), workflows: [workflow] })

  expect(await kernel.resume('r', { key: 'go', value: null })).toMatchObject({ status: 'completed' })
  expect(calls).toContain('snapshots.latest')
  expect(reads).toEqual(['read'])
})

describe('what a handler draws', () => {
  const draw: Handler = async (_, { random, uuid, now }) => [random(), random(), uuid(), now() > 0]

  test('differs from action to action and from run to run', async () => {
    const [one, two] = (await outputs(2, draw)) as [Json[], Json[]]
    const [other] = (await outputs(1, draw)) as [Json[]]

    const numbers = [one, two, other].flatMap((all) => all.slice(0, 3))
    expect(new Set(numbers).size).toBe(9)
    expect(one[2]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  test('is the same in every attempt, and its time never goes back', async () => {
    const drawn: unknown[] = []

    await outputs(1, async (_, { random, uuid, now, attempt }) => {
      const before = now()
      drawn.push([random(), uuid()])
      expect(now()).toBeGreaterThanOrEqual(before)
      if (attempt < 3) throw new ActionError('transient', 'again')
      return null
    })

    expect(drawn).toHaveLength(3)
    expect(new Set(drawn.map((each) => JSON.stringify(each))).size).toBe(1)
  })
})

describe('a log in which a fact cannot stand is refused', () => {
  const requested = { type: 'ActionRequested', data: { key: 'ask:0', action: 'ask', input: 0, effect: 'idempotent' } }
  const fact = (over: object = {}) => ({
    type: 'FactRecorded',
    data: { key: 'a', scope: 'run', actionKey: 'ask:0', requestHash: NULL_HASH, value: 1, ...over },
  })

  test.for([
    ['twice', [requested, fact(), fact()]],
    ['twice for one attempt', [requested, fact({ scope: 'attempt' }), fact({ scope: 'attempt' })]],
    ['for an action that is not open', [requested, fact({ actionKey: 'other' })]],
    ['of another scope', [requested, fact({ scope: 'global' })]],
  ] as const)('%s', async ([, events]) => {
    const store = memoryStore()
    await writeLog(store, 'r', [runStarted('asking', 1), ...events], { workflow: 'asking' })
    const workflow = asking(draw0)

    await expect(createKernel({ store, workflows: [workflow] }).run('r')).rejects.toEqual(
      expect.objectContaining(kernelError('INVALID_LOG')),
    )
  })
})

const draw0: Handler = async () => null

test('types: an answer that JSON cannot keep does not compile', () => {
  const ask = ({ fact }: ActionContext): unknown =>
    // @ts-expect-error a Date does not survive JSON
    fact('a', () => new Date(), {})
  expect(ask).toBeTypeOf('function')
})
