import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { isKernelError, type KernelError } from '../errors.ts'
import { allowList } from '../policy/policy.ts'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import type { LooseStep } from '../testing/loose-step.ts'
import { dataOf, readLog, runStarted, sealLog, typesOf, writeLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import type { Decision } from '../workflow/decision.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'
import type { KernelOptions } from './options.ts'

const spec = {
  ...{ name: 'w', version: '1', input: z.unknown() },
  actions: { act: { run: (n: number) => n }, other: { run: () => null } },
  interrupts: { ask: { ask: z.null(), answer: z.unknown() } },
}

/** Runs `act`, asks, and completes with the answer. */
const asking = defineWorkflow(spec, {
  step: ({ results }, next) => {
    if (results['act'] === undefined) return next.run('act', 1)
    const answer = results['ask']
    return answer?.status === 'resumed' ? next.complete(answer.output) : next.interrupt('ask', null)
  },
})

function kernelOn(store: Store, workflow: Workflow, options: Partial<KernelOptions> = {}) {
  return createKernel({ store, workflows: [workflow], onWarning: () => undefined, ...options })
}

/** Same definition, another step. */
function withStep(step: LooseStep): Workflow<unknown> {
  return defineWorkflow(spec, { step: step as () => Decision })
}

async function blockedRun(): Promise<Store> {
  const store = memoryStore()
  await kernelOn(store, asking).start(asking, null, { runId: 'r' })
  return store
}

describe('a run that needs nothing done', () => {
  test('an unknown run is not found', async () => {
    await expect(kernelOn(memoryStore(), asking).run('nobody')).rejects.toMatchObject({
      ...kernelError('RUN_NOT_FOUND'),
      where: { runId: 'nobody' },
    })
  })

  test('a run id that no run can have is refused', async () => {
    await expect(kernelOn(memoryStore(), asking).run('')).rejects.toMatchObject(storeError('INVALID_ARGUMENT'))
  })

  test('a blocked run answers its block, and nothing is written', async () => {
    const calls: string[] = []
    const store = await blockedRun()
    const kernel = kernelOn(recordCalls(store, calls), asking)

    const outcome = await kernel.run('r')

    expect(outcome).toEqual({
      ...{ status: 'blocked', runId: 'r', wakeAt: null },
      blockedOn: [{ kind: 'interrupt', key: 'ask', name: 'ask' }],
    })
    expect(calls).toEqual(['runs.find'])
  })

  test('a blocked run answers its block even where its workflow is not registered', async () => {
    const store = await blockedRun()

    const outcome = await createKernel({ store, workflows: [] }).run('r')

    expect(outcome.status).toBe('blocked')
  })

  test.for<[status: string, step: LooseStep, outcome: object]>([
    ['completed', (_, next) => next.complete({ n: 1 }), { status: 'completed', runId: 'r', output: { n: 1 } }],
    [
      'failed',
      (_, next) => next.fail('no'),
      { status: 'failed', runId: 'r', error: { message: 'no', kind: 'permanent' } },
    ],
  ])('a %s run answers its end, and nothing is written', async ([, step, outcome]) => {
    const calls: string[] = []
    const store = memoryStore()
    const workflow = withStep(step)
    const first = await kernelOn(store, workflow).start(workflow, null, { runId: 'r' })

    const second = await kernelOn(recordCalls(store, calls), workflow).run('r')

    expect(first).toEqual(outcome)
    expect(second).toEqual(outcome)
    expect(calls).toEqual(['runs.find', 'events.read'])
  })
})

describe('a log that begins without RunStarted', () => {
  const counting = defineWorkflow(
    {
      ...{ name: 'counting', version: '1', input: z.int(), initialState: (input: number) => ({ n: input }) },
      interrupts: spec.interrupts,
    },
    {
      reduce: (state, event) => {
        if (event.type === 'Resumed') return { n: state.n + 1 }
        return event.type === 'StateUpdated' ? { n: event.data.payload as number } : state
      },
      step: ({ n }, next) => {
        if (n < 4) return next.emit({ type: 'StateUpdated', payload: n + 1 })
        return n === 4 ? next.interrupt('ask', null) : next.complete(n)
      },
    },
  )
  const log = [
    { type: 'StateUpdated', data: { payload: 4 } },
    { type: 'Interrupted', data: { key: 'ask', kind: 'ask', value: null } },
    { type: 'Resumed', data: { key: 'ask', value: 1 } },
  ]

  test('goes on from the initial state that is given', async () => {
    const store = memoryStore()
    await writeLog(store, 'r', log, { workflow: 'counting' })

    const outcome = await kernelOn(store, counting).run('r', { initialState: { n: 3 } })

    expect(outcome).toMatchObject({ status: 'completed', output: 5 })
  })

  test('is checked against the code from that state on', async () => {
    const store = memoryStore()
    await writeLog(store, 'r', log, { workflow: 'counting' })

    const running = kernelOn(store, counting).run('r', { initialState: { n: 0 } })

    await expect(running).rejects.toMatchObject({
      ...kernelError('CODE_CHANGED'),
      divergence: {
        seq: 1,
        path: 'event.data.payload',
        recorded: { data: { payload: 4 } },
        decided: { data: { payload: 1 } },
      },
    })
  })

  test('shares nothing with the initial state that is given, and refuses one that is no JSON', async () => {
    const store = memoryStore()
    await writeLog(store, 'r', log, { workflow: 'counting' })

    const running = kernelOn(store, counting).run('r', { initialState: { n: new Date(0) } })

    await expect(running).rejects.toMatchObject({ ...storeError('NOT_JSON'), where: { path: 'initialState.n' } })
  })
})

describe('the check on open', () => {
  const changes: [what: string, step: LooseStep, divergence: object][] = [
    [
      'another input',
      (_, next) => next.run('act', 2),
      {
        seq: 2,
        path: 'event.data.input',
        recorded: { type: 'ActionRequested', data: { input: 1 } },
        decided: { data: { input: 2 } },
      },
    ],
    ['another action', (_, next) => next.run('other', null, { key: 'act' }), { seq: 2, path: 'event.data.action' }],
    ['an end', (_, next) => next.complete(null), { seq: 2, path: 'event.data.action', decided: { type: 'Completed' } }],
    [
      'one event more',
      (_, next) => next.all([next.run('act', 1), next.run('other', null)]),
      { seq: 3, recorded: { type: 'ActionSucceeded' }, decided: { type: 'ActionRequested', data: { key: 'other' } } },
    ],
  ]

  test.for(changes)('finds that the code decides %s, before anything is executed', async ([, step, divergence]) => {
    const store = await blockedRun()
    await store.inbox.post('r', { id: 'p', type: 'Resumed', body: '{"key":"ask","value":1}' }, { maxWaiting: 9 })
    const before = await readLog(store, 'r')

    const running = kernelOn(store, withStep(step)).run('r')

    await expect(running).rejects.toMatchObject({ ...kernelError('CODE_CHANGED'), divergence })
    expect(await readLog(store, 'r')).toEqual(before)
    expect(await store.runs.find('r')).toMatchObject({ problem: { code: 'CODE_CHANGED' }, waiting: 1 })
    expect(await store.runs.find('r')).not.toHaveProperty('lease')
  })

  test('finds that the code decides nothing any more', async () => {
    const log = [runStarted('w'), { type: 'StateUpdated', data: { payload: 1 } }]
    const request = { type: 'ActionRequested', data: { key: 'act', action: 'act', input: 1, effect: 'idempotent' } }
    const store = memoryStore()
    await writeLog(store, 'r', [runStarted('w'), request, ...log.slice(1)], { workflow: 'w' })

    const running = kernelOn(store, asking).run('r')

    const error: unknown = await running.catch((caught: unknown) => caught)
    expect(isKernelError(error, 'CODE_CHANGED')).toBe(true)
    expect((error as KernelError).divergence).toMatchObject({ seq: 3, recorded: { type: 'StateUpdated' } })
    expect((error as KernelError).divergence).not.toHaveProperty('decided')
  })

  test('the error says what differs in words, with a remedy', async () => {
    const store = await blockedRun()
    await store.inbox.post('r', { id: 'p', type: 'Resumed', body: '{"key":"ask","value":1}' }, { maxWaiting: 9 })

    const running = kernelOn(store, withStep(changes[0]![1])).run('r')

    await expect(running).rejects.toThrow(/at seq 2 \(event\.data\.input\).*"input":1.*"input":2.*new version/)
  })

  test('with onDrift warn the run goes on from what is recorded, and a warning tells of it', async () => {
    const store = await blockedRun()
    const warnings: Error[] = []
    const changed = withStep((state, next) => (state.results['ask'] ? next.complete('new') : next.run('act', 2)))
    const kernel = kernelOn(store, changed, { onDrift: 'warn', onWarning: (warning) => warnings.push(warning) })

    const outcome = await kernel.resume('r', { key: 'ask', value: 1 })

    expect(outcome).toMatchObject({ status: 'completed', output: 'new' })
    expect(warnings).toMatchObject([kernelError('CODE_CHANGED')])
  })

  test('a recorded denial is the verdict of then, whatever the policy says now', async () => {
    const store = memoryStore()
    const workflow = withStep((state, next) =>
      state.results['act'] ? next.interrupt('ask', null) : next.run('act', 1),
    )
    const strict = kernelOn(store, workflow, { policy: allowList({ actions: [] }) })
    await strict.start(workflow, null, { runId: 'r' })
    await store.inbox.post('r', { id: 'p', type: 'Resumed', body: '{"key":"ask","value":1}' }, { maxWaiting: 9 })

    // The question is closed and the step asks it again, so the run parks; but its log is found in order.
    const running = kernelOn(store, workflow).run('r')

    await expect(running).rejects.toMatchObject(kernelError('NO_PROGRESS'))
  })

  test('turns that were cut off at their bound are checked like any other', async () => {
    const store = memoryStore()
    const many = withStep((state, next) => {
      const { results } = state
      const all = Array.from({ length: 600 }, (_, n) => next.interrupt('ask', null, { key: `k${n}` }))
      return Object.keys(results).length > 0 ? next.complete('done') : next.all(all)
    })
    await kernelOn(store, many).start(many, null, { runId: 'r' })

    const outcome = await kernelOn(store, many, { build: 'another' }).resume('r', { key: 'k599', value: 1 })

    expect(outcome).toMatchObject({ status: 'completed', output: 'done' })
  })
})

describe('versions', () => {
  const version = (number: string) =>
    defineWorkflow(
      { name: 'v', version: number, input: z.null(), interrupts: { ask: { ask: z.null(), answer: z.null() } } },
      {
        step: ({ results }, next) => (results['ask'] ? next.complete(`by ${number}`) : next.interrupt('ask', null)),
      },
    )

  test('a run goes on with the version that it started with', async () => {
    const store = memoryStore()
    const [v1, v2] = [version('1'), version('2')]
    await createKernel({ store, workflows: [v1] }).start(v1, null, { runId: 'r' })
    const kernel = createKernel({ store, workflows: [v2, v1] })

    const outcome = await kernel.resume('r', { key: 'ask', value: null })

    expect(outcome).toMatchObject({ status: 'completed', output: 'by 1' })
  })

  test('one name and version cannot be registered twice, the very same workflow can', () => {
    const [one, two] = [version('1'), version('1')]

    expect(() => createKernel({ store: memoryStore(), workflows: [one, two] })).toThrow(
      expect.objectContaining(kernelError('INVALID_DEFINITION')),
    )
    expect(() => createKernel({ store: memoryStore(), workflows: [one, one] })).not.toThrow()
  })
})

describe('a parked run', () => {
  const { actions, ...bare } = spec
  /** The second decision is the given one; the first runs an action. */
  const second = (step: LooseStep) =>
    withStep((state, next, ctx) => {
      const { results } = state
      return results['act'] === undefined ? next.run('act', 1) : step(state, next, ctx)
    })
  const faults: [code: string, step: LooseStep][] = [
    [
      'STEP_FAILED',
      () => {
        throw new Error('bug')
      },
    ],
    ['NONDETERMINISM', (_, next) => next.complete(Date.now())],
    ['INVALID_STEP', () => undefined],
    ['INVALID_STEP', () => Promise.resolve()],
    ['INVALID_STEP', (_, next) => next.emit({ type: 'ActionSucceeded', key: 'forged', output: 1, attempts: 1 })],
    ['UNKNOWN_ACTION', (_, next) => next.run('nothing', 1)],
    ['KEY_REUSED', (_, next) => next.run('act', 2)],
    ['NO_PROGRESS', (_, next) => next.run('act', 1)],
    ['NOT_JSON', (_, next) => next.complete(new Date(0))],
    ['INVALID_ARGUMENT', (_, next) => next.run('act', 1, { key: '' })],
    ['LIMIT_EXCEEDED', (_, next) => next.run('act', 'x'.repeat(2 ** 20), { key: 'big' })],
  ]

  test.for(faults)('%s rejects the call, stands in the row, and what came in is not lost', async ([code, step]) => {
    const store = memoryStore()
    const workflow = second(step)
    const kernel = kernelOn(store, workflow)

    const starting = kernel.start(workflow, null, { runId: 'r' })

    await expect(starting).rejects.toMatchObject({ code, where: { runId: 'r', seq: 4 } })
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested', 'ActionSucceeded'])
    const row = await kernel.get('r')
    expect(row).toMatchObject({ status: 'running', problem: { code } })
    expect(row.problem?.message).toMatch(new RegExp(`^${code}: .*(run r, seq 4|seq 4 of run r)`))
    expect(row.problem?.retryAt).toBeGreaterThan(0)
    expect(row).not.toHaveProperty('lease')
  })

  test.for(faults)('%s is over once the code is mended: the run goes on from its log', async ([, step]) => {
    const store = memoryStore()
    let calls = 0
    const counted = { ...bare, actions: { ...actions, act: { run: (_: number) => ++calls } } }
    const faulty = second(step)
    await kernelOn(store, faulty)
      .start(faulty, null, { runId: 'r' })
      .catch(() => undefined)
    const mended = defineWorkflow(counted, {
      step: ({ results }, next) => (results['act'] ? next.complete('mended') : next.run('act', 1)),
    })

    const outcome = await kernelOn(store, mended).run('r')

    expect(outcome).toMatchObject({ status: 'completed', output: 'mended' })
    expect(calls).toBe(0)
    expect(await store.runs.find('r')).not.toHaveProperty('problem')
  })

  test('is listed', async () => {
    const store = memoryStore()
    const workflow = second(faults[0]![1])
    const kernel = kernelOn(store, workflow)
    await kernel.start(workflow, null, { runId: 'r' }).catch(() => undefined)

    const { items } = await kernel.list({ parked: true })

    expect(items.map(({ runId }) => runId)).toEqual(['r'])
  })

  test('running it again with the same code parks it again and appends nothing', async () => {
    const store = memoryStore()
    const workflow = second(faults[0]![1])
    const kernel = kernelOn(store, workflow)
    await kernel.start(workflow, null, { runId: 'r' }).catch(() => undefined)

    await expect(kernel.run('r')).rejects.toMatchObject(kernelError('STEP_FAILED'))
    await expect(kernel.run('r')).rejects.toMatchObject(kernelError('STEP_FAILED'))

    expect((await kernel.get('r')).head).toBe(3)
  })
})

describe('a reducer that fails on a result', () => {
  interface Counted {
    sum: number
  }
  const faults = {
    throws: (): Counted => {
      throw new Error('cannot count')
    },
    'changes its state': (state: Counted): Counted => Object.assign(state, { sum: 1 }),
  }
  const reducing = (fault: ((state: Counted) => Counted) | undefined) =>
    defineWorkflow(
      { ...spec, name: 'reducing', initialState: (): Counted => ({ sum: 0 }) },
      {
        reduce: (state, event) => {
          if (event.type !== 'ActionSucceeded') return state
          return fault === undefined ? { sum: 42 } : fault(state)
        },
        step: ({ sum }, next) => (sum === 0 ? next.run('act', 1) : next.complete(sum)),
      },
    )

  test.for(Object.entries(faults))('because it %s parks the run; mended code goes on', async ([, fault]) => {
    const store = memoryStore()
    const faulty = reducing(fault)
    const starting = kernelOn(store, faulty).start(faulty, null, { runId: 'r' })
    await expect(starting).rejects.toMatchObject({ ...kernelError('REDUCER_FAILED'), where: { runId: 'r', seq: 3 } })
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested', 'ActionSucceeded'])
    const row = await store.runs.find('r')
    expect(row).toMatchObject({ problem: { code: 'REDUCER_FAILED' } })
    expect(row?.problem?.message).toContain('(run r, seq 3)')

    const outcome = await kernelOn(store, reducing(undefined)).run('r')

    expect(outcome).toMatchObject({ status: 'completed', output: 42 })
    expect(await dataOf(store, 'r', 'ActionRequested')).toHaveLength(1)
  })
})

describe('a log that cannot be read', () => {
  const request = { type: 'ActionRequested', data: { key: 'act', action: 'act', input: 1, effect: 'idempotent' } }

  async function parkedBy(spoil: (log: ReturnType<typeof sealLog>) => ReturnType<typeof sealLog>) {
    const store = memoryStore()
    const create = { workflow: 'w', version: '1', tags: [], queue: 'default' }
    const run = { status: 'running', blockedOn: [], wakeAt: 0, create } as const
    const log = spoil(sealLog('r', [runStarted('w'), request]))
    await store.events.append('r', log, { expectedHead: 0, fencingToken: 0, run })
    const error: unknown = await kernelOn(store, asking)
      .run('r')
      .catch((caught: unknown) => caught)
    return { error, row: await store.runs.find('r'), head: (await readLog(store, 'r')).length }
  }

  test('a changed body parks the run as corrupt', async () => {
    const { error, row, head } = await parkedBy(([first, second]) => [
      first!,
      { ...second!, body: second!.body.replace('1', '2') },
    ])

    expect(error).toMatchObject({ ...storeError('CORRUPT_LOG'), where: { runId: 'r', seq: 2 } })
    expect(row).toMatchObject({ problem: { code: 'CORRUPT_LOG' } })
    expect(head).toBe(2)
  })

  test.for<[what: string, draft: { type: string; data: unknown }, code: string]>([
    ['an event of an unknown type', { type: 'TimeTravelled', data: {} }, 'NEWER_FORMAT'],
    ['data of the wrong shape', { type: 'ActionRequested', data: { key: 'a' } }, 'INVALID_LOG'],
    ['a field too many', { ...request, data: { ...request.data, extra: 1 } }, 'INVALID_LOG'],
    ['an effect class that nobody knows', { ...request, data: { ...request.data, effect: 'maybe' } }, 'INVALID_LOG'],
    ['an event that cannot stand there', { type: 'Resumed', data: { key: 'a', value: 1 } }, 'INVALID_LOG'],
  ])('%s parks the run', async ([, draft, code]) => {
    const { error, row } = await parkedBy(() => sealLog('r', [runStarted('w'), draft]))

    expect(error).toMatchObject({ code, where: { runId: 'r', seq: 2 } })
    expect(row).toMatchObject({ problem: { code } })
  })
})

describe('a log that a store gives back wrongly', () => {
  type Log = Awaited<ReturnType<typeof readLog>>
  const spoilt: [what: string, spoil: (log: Log) => Log, seq: number][] = [
    ['without its end', (log) => log.slice(0, 2), 3],
    ['without an event', (log) => log.toSpliced(1, 1), 3],
    ['with two in another order', ([first, second, third]) => [first!, third!, second!], 3],
    ['with an event twice', ([first, ...rest]) => [first!, first!, ...rest], 1],
    ['edited', (log) => log.with(2, { ...log[2]!, body: log[2]!.body.replace('output', 'otherwise') }), 3],
  ]

  test.for(spoilt)('%s parks its run, and drives nothing; read as it is the run goes on', async ([, spoil, seq]) => {
    const store = memoryStore()
    const { actions, ...bare } = spec
    const failing = withStep(({ results }, next) => (results['act'] ? undefined : next.run('act', 1)))
    await kernelOn(store, failing)
      .start(failing, null, { runId: 'r' })
      .catch(() => undefined)
    const mended = defineWorkflow(
      { ...bare, actions },
      {
        step: ({ results }, next) => (results['act'] ? next.complete('whole') : next.run('act', 1)),
      },
    )
    const log = await readLog(store, 'r')
    const read: typeof store.events.read = async function* (_, { from = 1, to = 99 } = {}) {
      for (const event of spoil(log)) if (event.seq >= from && event.seq <= to) yield event
    }
    const spoiling = { ...store, events: { append: store.events.append.bind(store.events), read } }

    const running = kernelOn(spoiling, mended).run('r')

    await expect(running).rejects.toMatchObject({ ...storeError('CORRUPT_LOG'), where: { runId: 'r', seq } })
    expect(await store.runs.find('r')).toMatchObject({ head: 3, problem: { code: 'CORRUPT_LOG' } })
    expect(await readLog(store, 'r')).toEqual(log)
    expect(await kernelOn(store, mended).run('r')).toMatchObject({ status: 'completed', output: 'whole' })
  })
})

describe('a key of the stock state', () => {
  test.for(['__proto__', 'constructor', 'toString', '0'])('may be %s', async (key) => {
    const store = memoryStore()
    const workflow = withStep((state, next) => {
      const result = Object.hasOwn(state.results, key) ? state.results[key] : undefined
      return result?.status === 'succeeded' ? next.complete(result.output) : next.run('act', 7, { key })
    })

    const outcome = await kernelOn(store, workflow).start(workflow, null, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed', output: 7 })
    const { state } = await kernelOn(store, workflow).replayFromSnapshot('r')
    expect(Object.keys((state as { results: object }).results)).toEqual([key])
  })
})

describe('the length of a run', () => {
  test('a run that would grow beyond its limit is parked before it does', async () => {
    const store = memoryStore()
    const endless = withStep((_, next) => next.emit({ type: 'StateUpdated', payload: 1 }))
    const kernel = kernelOn(store, endless, { limits: { runEvents: 700 } })

    const starting = kernel.start(endless, null, { runId: 'r' })

    await expect(starting).rejects.toMatchObject({ ...kernelError('LIMIT_EXCEEDED'), where: { runId: 'r' } })
    const row = await kernel.get('r')
    expect(row.head).toBeLessThanOrEqual(700)
    expect(row).toMatchObject({ problem: { code: 'LIMIT_EXCEEDED' } })
  })
})
