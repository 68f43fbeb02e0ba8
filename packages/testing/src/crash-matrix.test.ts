import { randomUUID } from 'node:crypto'
import { ActionError, defineWorkflow, type ActionContext, type Effect, type Workflow } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { crashMatrix, type CrashMatrixOptions } from './crash-matrix.ts'
import { isTestingError, type TestingError } from './errors.ts'
import type { CrashScenario, Probe } from './matrix/scenario.ts'

/** An account at a bank that knows the keys it has booked. */
interface Account {
  balance: number
  readonly booked: Set<string>
}

type Handler = (
  bank: { readonly account: Account; readonly effect: Probe['effect'] },
  ctx: ActionContext,
) => Promise<null>

const depositOnce: Handler = async ({ account, effect }, { idempotencyKey }) => {
  await effect(idempotencyKey, () => book(account, idempotencyKey))
  return null
}

function book(account: Account, key: string): void {
  if (account.booked.has(key)) return
  account.booked.add(key)
  account.balance += 10
}

function saving(run: Handler, effect: Effect, bank: Parameters<Handler>[0]) {
  return defineWorkflow(
    {
      ...{ name: 'saving', version: '1', input: z.null() },
      signals: { go: z.null() },
      actions: { deposit: { effect, run: (_: null, ctx: ActionContext) => run(bank, ctx) } },
    },
    {
      step: ({ results }, next) => {
        if (!results['go']) return next.waitFor('go')
        return results['deposit'] ? next.complete('saved') : next.run('deposit', null)
      },
    },
  )
}

type SavingScenario = CrashScenario<{ saving: ReturnType<typeof saving> }, Account>

function scenarioOf(run: Handler, effect: Effect = 'idempotent'): SavingScenario {
  return {
    open: memoryStore,
    outside: () => ({ balance: 0, booked: new Set() }),
    workflows: (probe, account) => ({ saving: saving(run, effect, { account, effect: probe.effect }) }),
    begin: ({ kernel, workflows }) => kernel.start(workflows.saving, null, { runId: 'saving-1' }),
    answer: ({ runId, blockedOn }, { kernel }) =>
      blockedOn.some(({ inDoubt }) => inDoubt === true)
        ? kernel.settle(runId, { key: 'deposit', outcome: { status: 'succeeded', output: null }, by: 'the bank' })
        : kernel.signal(runId, { id: 'go-1', name: 'go', value: null }),
    compareOutside: ({ balance }) => balance,
  }
}

async function failureOf<W extends Readonly<Record<string, Workflow>>, O>(
  scenario: CrashScenario<W, O>,
  options?: CrashMatrixOptions,
): Promise<TestingError> {
  try {
    await crashMatrix(scenario, options)
  } catch (error) {
    if (isTestingError(error)) return error
    throw error
  }
  throw new Error('the matrix found nothing')
}

describe('a workflow that is crash-proof', () => {
  test('passes every case, and the report says what was played', async () => {
    const { cases, points, runs, effects } = await crashMatrix(scenarioOf(depositOnce), { pairs: 'all' })

    expect(points).toEqual(
      expect.arrayContaining(['append:1:before', 'append:2:after', 'append:3:lost', 'action:1:after']),
    )
    expect(cases).toBeGreaterThan(points.length * 10)
    expect(runs.get('saving-1')).toMatchObject({ outcome: { status: 'completed', output: 'saved' } })
    expect([...effects.values()]).toEqual([1])
  })

  test('passes with an at-most-once action whose doubt is settled', async () => {
    const told = crashMatrix({ ...scenarioOf(depositOnce, 'at-most-once'), compareOutside: () => null })

    await expect(told).resolves.toHaveProperty('cases')
  })

  test('may fail an attempt or more before it succeeds', async () => {
    const unsteady: Handler = async (bank, ctx) => {
      if (ctx.attempt < 3) throw new ActionError('transient', 'not yet')
      return depositOnce(bank, ctx)
    }
    const policy = { name: 'three tries', retryInMs: () => 10_000 }

    const told = crashMatrix({ ...scenarioOf(unsteady), kernel: { policy } })

    await expect(told).resolves.toHaveProperty('cases')
  })
})

test('what a run draws by its seed is the same in every case', async () => {
  const lottery = defineWorkflow(
    { name: 'lottery', version: '1', input: z.null() },
    {
      step: ({ results }, next, ctx) => (results['go'] ? next.complete(ctx.uuid()) : next.sleep(1000, { key: 'go' })),
    },
  )

  const { cases } = await crashMatrix({
    open: memoryStore,
    workflows: () => ({ lottery }),
    begin: ({ kernel, workflows }) => kernel.start(workflows.lottery, null, { runId: 'lottery-1' }),
  })

  expect(cases).toBeGreaterThan(50)
})

describe('a mistake in a workflow is found:', () => {
  test('a handler that makes a key of its own for each attempt', async () => {
    const carelessly: Handler = async ({ account, effect }) => {
      const key = randomUUID()
      await effect(key, () => book(account, key))
      return null
    }

    const { code, message } = await failureOf(scenarioOf(carelessly))

    // The key is another one whenever it is run: the scenario is not even the same twice.
    expect(code).toBe('INVALID_SCENARIO')
    expect(message).toContain('a repetition is not recognised')
  })

  test('a handler that makes a key of the attempt', async () => {
    const carelessly: Handler = async ({ account, effect }, { attempt }) => {
      await effect(`deposit ${attempt}`, () => book(account, `deposit ${attempt}`))
      return null
    }

    const { code, failures } = await failureOf(scenarioOf(carelessly), { pairs: 'none' })

    expect(code).toBe('NOT_CRASH_PROOF')
    expect(failures.map(({ crashes }) => crashes)).toContain('effect:1:after')
    expect(failures.flatMap(({ faults }) => faults).join()).toContain('under the key deposit 2')
  })

  test('a handler whose effect adds up outside', async () => {
    const carelessly: Handler = async ({ account, effect }, { idempotencyKey }) => {
      await effect(idempotencyKey, () => void (account.balance += 10))
      return null
    }

    const { failures } = await failureOf(scenarioOf(carelessly), { pairs: 'none' })

    expect(failures.map(({ crashes }) => crashes)).toEqual(
      expect.arrayContaining(['effect:1:after', 'action:1:after', 'append:3:before']),
    )
    expect(failures[0]?.faults).toContain('the outside came to 20 instead of 10')
  })

  test('a handler that does not wait for what it does, also where it is quick enough', async () => {
    const handler: Handler = async ({ account, effect }, { idempotencyKey }) => {
      void effect(idempotencyKey, () => book(account, idempotencyKey))
      return null
    }

    const { code, message } = await failureOf(scenarioOf(handler))

    expect(code).toBe('INVALID_SCENARIO')
    expect(message).toMatch(
      /saving-1: deposit \(deposit\) ended before what it does under the key \w+: .*; wait for it/,
    )
  })

  test('a step that reads what the process keeps in memory', async () => {
    const scenario: CrashScenario<{ counting: Workflow<null> }> = {
      open: memoryStore,
      workflows: () => {
        const done = new Set<string>()
        const actions = { count: { run: (key: string) => void done.add(key) } }
        return {
          counting: defineWorkflow(
            { name: 'counting', version: '1', input: z.null(), actions },
            {
              step: (_, next) =>
                done.size < 2 ? next.run('count', `${done.size}`, { key: `${done.size}` }) : next.complete(done.size),
            },
          ),
        }
      },
      begin: ({ kernel, workflows }) => kernel.start(workflows.counting, null, { runId: 'counting-1' }),
    }

    const { message } = await failureOf(scenario)

    expect(message).toMatch(/CODE_CHANGED|does not verify/)
  })

  test('a step that reads the state of its module', async () => {
    const { message } = await failureOf(moduleState())

    expect(message).toMatch(/CODE_CHANGED|does not verify/)
  })

  test('runs that are started again by every process', async () => {
    const scenario = scenarioOf(depositOnce)

    const { failures } = await failureOf({
      ...scenario,
      begin: ({ kernel, workflows }) => kernel.start(workflows.saving, null),
    })

    expect(failures[0]?.faults.join()).toMatch(/there is a run id-2-\d more/)
  })

  test('a doubt that nobody settles', async () => {
    const scenario = scenarioOf(depositOnce, 'at-most-once')

    const { message } = await failureOf({
      ...scenario,
      answer: (run, scene) =>
        run.blockedOn.some(({ inDoubt }) => inDoubt) ? undefined : scenario.answer?.(run, scene),
    })

    expect(message).toContain('waits for action deposit, which is in doubt; give the scenario an `answer`')
  })
})

describe('one case', () => {
  const addsUp: Handler = async ({ account, effect }, { idempotencyKey }) => {
    await effect(idempotencyKey, () => void (account.balance += 10))
    return null
  }

  test('of a failure is repeated by its name', async () => {
    const [first] = (await failureOf(scenarioOf(addsUp))).failures

    const again = await failureOf(scenarioOf(addsUp), { only: first?.crashes ?? '' })

    expect(again.failures).toEqual([first])
  })

  test('may hold several points', async () => {
    const only = 'append:2:lost then action:1:after then acquire:1:before'

    const { cases } = await crashMatrix(scenarioOf(depositOnce), { only })

    expect(cases).toBe(1)
  })

  test.for(['append:99:after', 'append:0:after', 'somewhere', 'append:1:after then append:99:after'])(
    'is refused when there is none called %s',
    async (only) => {
      const { code } = await failureOf(scenarioOf(depositOnce), { only })

      expect(code).toBe('INVALID_SCENARIO')
    },
  )
})

test('what nobody waited for when its process died ends no program', async () => {
  const scenario = scenarioOf(depositOnce)
  const begin: typeof scenario.begin = async (scene) => {
    await scene.kernel.start(scene.workflows.saving, null, { runId: 'saving-1' })
    void scene.effect('told')
  }

  const { effects } = await crashMatrix({ ...scenario, begin }, { pairs: 'none' })

  expect(effects.get('told')).toBe(1)
})

test('as many failures are collected as are wanted', async () => {
  const wrong: Handler = async ({ account, effect }, { attempt }) => {
    await effect(`deposit ${attempt}`, () => book(account, `deposit ${attempt}`))
    return null
  }

  const { failures } = await failureOf(scenarioOf(wrong), { maxFailures: 2 })

  expect(failures).toHaveLength(2)
})

test('a sample of pairs is the same for the same seed', async () => {
  const played = async (seed: number): Promise<string[]> => {
    const boundaries: string[] = []
    const meanwhile = (boundary: string): void => void boundaries.push(boundary)
    await crashMatrix({ ...scenarioOf(depositOnce), meanwhile }, { pairs: { sample: 5, seed } })
    return boundaries
  }

  const [one, same, other] = [await played(1), await played(1), await played(2)]

  expect(one).toEqual(same)
  expect(one).not.toEqual(other)
})

let asked = 0

/** Its step decides by what its module remembers, which no log holds. */
function moduleState(): CrashScenario<{ moody: Workflow<null> }> {
  const moody = defineWorkflow(
    { name: 'moody', version: '1', input: z.null(), actions: { act: { run: (n: number) => n } } },
    { step: ({ results }, next) => (results['act'] ? next.complete('done') : next.run('act', ++asked)) },
  )
  return {
    open: memoryStore,
    workflows: () => ({ moody }),
    begin: ({ kernel, workflows }) => kernel.start(workflows.moody, null, { runId: 'moody-1' }),
  }
}

describe('a matrix that would prove nothing is refused:', () => {
  test.for<[what: string, options: unknown]>([
    ['an unknown choice of pairs', { pairs: 'some' }],
    ['a sample of no number', { pairs: { sample: '5' } }],
    ['a sample below 0', { pairs: { sample: -1 } }],
    ['no sample', { pairs: {} }],
    ['null', { pairs: null }],
    ['a seed that is no number', { pairs: { sample: 1, seed: 'a' } }],
    ['points that want none', { points: () => false }],
  ])('%s', async ([, options]) => {
    const { code, message } = await failureOf(scenarioOf(depositOnce), options as CrashMatrixOptions)

    expect(code).toBe('INVALID_SCENARIO')
    expect(message).toMatch(/pairs must be|nothing proven/)
  })

  test.for<[what: string, options: unknown]>([
    ['an option that there is not', { pair: 'all' }],
    ['points that are no function', { points: ['append:1:after'] }],
    ['failures that are none', { maxFailures: 0 }],
    ['failures that are no number', { maxFailures: Number.NaN }],
    ['options that are none', null],
  ])('%s', async ([, options]) => {
    const { code } = await failureOf(scenarioOf(depositOnce), options as CrashMatrixOptions)

    expect(code).toBe('INVALID_SCENARIO')
  })

  test('a comparison whose name is misspelt', async () => {
    const scenario = { ...scenarioOf(depositOnce), compareOutsides: () => null }

    const { code, message } = await failureOf(scenario)

    expect(code).toBe('INVALID_SCENARIO')
    expect(message).toContain('no option "compareOutsides"')
  })

  test('a scenario without its begin', async () => {
    const { code } = await failureOf({ ...scenarioOf(depositOnce), begin: undefined as never })

    expect(code).toBe('INVALID_SCENARIO')
  })

  test('a begin that starts nothing', async () => {
    const { code, message } = await failureOf({ ...scenarioOf(depositOnce), begin: async () => null })

    expect(code).toBe('INVALID_SCENARIO')
    expect(message).toContain('begin starts no run')
  })
})

test('an outside that cannot be made leaves no store open', async () => {
  let opened = 0
  const open: typeof memoryStore = (options) => {
    opened++
    return memoryStore(options)
  }
  const outside = (): never => {
    throw new Error('no bank today')
  }

  const played = crashMatrix({ ...scenarioOf(depositOnce), open, outside })

  await expect(played).rejects.toThrow('no bank today')
  expect(opened).toBe(0)
})
