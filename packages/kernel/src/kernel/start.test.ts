import { StoreError } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { dataOf, readLog, runStarted, typesOf, writeLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

const greeting = defineWorkflow(
  {
    ...{ name: 'greeting', version: '1' },
    input: z.object({ name: z.string().trim(), times: z.int().default(1) }),
    actions: { greet: { run: (input: { name: string }) => `hello ${input.name}` } },
  },
  {
    step: ({ input, results }, next) =>
      results['greet']?.status === 'succeeded'
        ? next.complete(results['greet'].output)
        : next.run('greet', { name: input.name }),
  },
)

const asking = defineWorkflow(
  { name: 'asking', version: '1', input: z.null(), interrupts: { ask: { ask: z.null(), answer: z.null() } } },
  { step: (_, next) => next.interrupt('ask', null) },
)

test('a run is started, driven to its end and answers its output', async () => {
  const store = memoryStore()
  const kernel = createKernel({ store, workflows: [greeting] })

  const outcome = await kernel.start(greeting, { name: 'Ada' }, { runId: 'r', tags: ['t'], queue: 'q' })

  expect(outcome).toEqual({ status: 'completed', runId: 'r', output: 'hello Ada' })
  expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested', 'ActionSucceeded', 'Completed'])
  expect(await kernel.get('r')).toMatchObject({ workflow: 'greeting', version: '1', tags: ['t'], queue: 'q', head: 4 })
})

test('the input is recorded as its schema returns it', async () => {
  const store = memoryStore()
  const kernel = createKernel({ store, workflows: [greeting] })

  await kernel.start(greeting, { name: ' Ada ' }, { runId: 'r' })

  expect(await dataOf(store, 'r', 'RunStarted')).toMatchObject([{ input: { name: 'Ada', times: 1 } }])
})

test('a run id that is not given is made, and so is the seed', async () => {
  const store = memoryStore()
  const ids = ['run-a', 'seed-a']
  const kernel = createKernel({ store, workflows: [greeting], newId: () => ids.shift() ?? 'none left' })

  const { runId } = await kernel.start(greeting, { name: 'Ada' })

  expect(runId).toBe('run-a')
  expect(await dataOf(store, 'run-a', 'RunStarted')).toMatchObject([{ seed: 'seed-a' }])
})

test.for<[what: string, input: unknown, path: string]>([
  ['a missing property', {}, 'input.name'],
  ['a property of the wrong type', { name: 1 }, 'input.name'],
  ['nothing', undefined, 'input'],
])('an input with %s is refused with its path, and nothing is written', async ([, input, path]) => {
  const store = memoryStore()
  const kernel = createKernel({ store, workflows: [greeting] })

  const starting = kernel.start(greeting, input as never, { runId: 'r' })

  await expect(starting).rejects.toMatchObject({ ...kernelError('INVALID_INPUT'), where: { path } })
  expect(await store.runs.find('r')).toBeUndefined()
})

test('an input that JSON cannot keep is refused with its path', async () => {
  const dated = defineWorkflow(
    { name: 'dated', version: '1', input: z.object({ at: z.unknown() }) },
    { step: (_, next) => next.complete(null) },
  )
  const kernel = createKernel({ store: memoryStore(), workflows: [dated] })

  const starting = kernel.start(dated, { at: new Date(0) })

  await expect(starting).rejects.toMatchObject({ ...storeError('NOT_JSON'), where: { path: 'input.at' } })
})

test.for<[what: string, options: object]>([
  ['run id', { runId: '' }],
  ['run id', { runId: 'a\nb' }],
  ['queue', { queue: '' }],
  ['tag', { tags: ['ok', 'x'.repeat(201)] }],
])('a bad %s is refused', async ([what, options]) => {
  const kernel = createKernel({ store: memoryStore(), workflows: [greeting] })

  const starting = kernel.start(greeting, { name: 'Ada' }, options)

  await expect(starting).rejects.toMatchObject(storeError('INVALID_ARGUMENT'))
  await expect(starting).rejects.toThrow(what)
})

test('a workflow that is not registered is refused, and the error names those that are', async () => {
  const kernel = createKernel({ store: memoryStore(), workflows: [asking] })

  const starting = kernel.start(greeting, { name: 'Ada' })

  await expect(starting).rejects.toMatchObject(kernelError('WORKFLOW_MISSING'))
  await expect(starting).rejects.toThrow(
    /^WORKFLOW_MISSING: greeting@1 is not registered here \(registered: asking@1\)/,
  )
})

test('other code under the name and version of a registered workflow is refused', async () => {
  const impostor = defineWorkflow(
    { name: 'asking', version: '1', input: z.null() },
    { step: (_, next) => next.complete('impostor') },
  )
  const store = memoryStore()
  const kernel = createKernel({ store, workflows: [asking] })

  const starting = kernel.start(impostor, null, { runId: 'r' })

  await expect(starting).rejects.toMatchObject(kernelError('WORKFLOW_MISSING'))
  expect(await store.runs.find('r')).toBeUndefined()
})

test('a workflow that was made a second time is refused, and the error tells which one to start', async () => {
  const made = () =>
    defineWorkflow({ name: 'w', version: '1', input: z.null() }, { step: (_, next) => next.complete(1) })
  const kernel = createKernel({ store: memoryStore(), workflows: [made()] })

  const starting = kernel.start(made(), null)

  await expect(starting).rejects.toThrow(
    'w@1 is registered, but by another call of defineWorkflow than the one given; start the one that is registered',
  )
})

describe('starting a run id again', () => {
  test('with the same input returns that run and appends nothing', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [greeting] })
    const first = await kernel.start(greeting, { name: 'Ada', times: 1 }, { runId: 'r' })
    const log = await readLog(store, 'r')

    const second = await kernel.start(greeting, { times: 1, name: ' Ada' }, { runId: 'r' })

    expect(second).toEqual(first)
    expect(await readLog(store, 'r')).toEqual(log)
  })

  test('returns the block of a blocked run', async () => {
    const kernel = createKernel({ store: memoryStore(), workflows: [asking] })
    const first = await kernel.start(asking, null, { runId: 'r' })

    const second = await kernel.start(asking, null, { runId: 'r' })

    expect(first).toMatchObject({ status: 'blocked', wakeAt: null })
    expect(second).toEqual(first)
    expect((await kernel.get('r')).head).toBe(2)
  })

  test('with another input is refused, and the run is as it was', async () => {
    const kernel = createKernel({ store: memoryStore(), workflows: [greeting] })
    await kernel.start(greeting, { name: 'Ada' }, { runId: 'r' })

    const starting = kernel.start(greeting, { name: 'Bob' }, { runId: 'r' })

    await expect(starting).rejects.toMatchObject({ ...kernelError('RUN_EXISTS'), where: { runId: 'r' } })
    expect((await kernel.get('r')).head).toBe(4)
  })

  test('with another workflow is refused', async () => {
    const kernel = createKernel({ store: memoryStore(), workflows: [greeting, asking] })
    await kernel.start(asking, null, { runId: 'r' })

    const starting = kernel.start(greeting, { name: 'Ada' }, { runId: 'r' })

    await expect(starting).rejects.toMatchObject(kernelError('RUN_EXISTS'))
  })

  test('is refused for a log that nobody started', async () => {
    const store = memoryStore()
    await writeLog(store, 'r', [{ type: 'StateUpdated', data: { payload: 1 } }], { workflow: 'greeting' })
    const kernel = createKernel({ store, workflows: [greeting] })

    await expect(kernel.start(greeting, { name: 'Ada' }, { runId: 'r' })).rejects.toMatchObject(
      kernelError('RUN_EXISTS'),
    )
  })

  test('continues a run that another process left', async () => {
    const store = memoryStore()
    await writeLog(store, 'r', [runStarted('greeting', { name: 'Ada', times: 1 })], { workflow: 'greeting' })
    const kernel = createKernel({ store, workflows: [greeting] })

    const outcome = await kernel.start(greeting, { name: 'Ada' }, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed', output: 'hello Ada' })
  })

  test.for([1, 4])('32 times at once, from %d kernels, is one run whose action ran once', async (kernelCount) => {
    const store = memoryStore()
    let calls = 0
    const counted = defineWorkflow(
      { name: 'counted', version: '1', input: z.int(), actions: { call: { run: () => ++calls } } },
      { step: ({ results }, next) => (results['call'] ? next.complete(calls) : next.run('call')) },
    )
    const kernels = Array.from({ length: kernelCount }, () => createKernel({ store, workflows: [counted] }))

    const outcomes = await Promise.all(
      Array.from({ length: 32 }, (_, n) => kernels[n % kernelCount]!.start(counted, 7, { runId: 'r' })),
    )

    expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1)
    expect(calls).toBe(1)
    expect((await readLog(store, 'r')).filter(({ type }) => type === 'RunStarted')).toHaveLength(1)
  })
})

describe('without waiting', () => {
  test('a run is recorded and is due for whoever drives it', async () => {
    const store = memoryStore({ now: () => 500 })
    const kernel = createKernel({ store, workflows: [greeting] })

    const outcome = await kernel.start(greeting, { name: 'Ada' }, { runId: 'r', wait: false })

    expect(outcome).toEqual({ status: 'running', runId: 'r' })
    expect(await kernel.get('r')).toMatchObject({ head: 1, status: 'running', wakeAt: 500 })
    expect(await kernel.get('r')).not.toHaveProperty('lease')
    expect(await kernel.run('r')).toMatchObject({ status: 'completed', output: 'hello Ada' })
  })

  test('starting twice is one run, and another input is refused', async () => {
    const kernel = createKernel({ store: memoryStore(), workflows: [greeting] })
    await kernel.start(greeting, { name: 'Ada' }, { runId: 'r', wait: false })

    const again = await kernel.start(greeting, { name: 'Ada' }, { runId: 'r', wait: false })
    const other = kernel.start(greeting, { name: 'Bob' }, { runId: 'r', wait: false })

    expect(again).toEqual({ status: 'running', runId: 'r' })
    await expect(other).rejects.toMatchObject(kernelError('RUN_EXISTS'))
    expect((await kernel.get('r')).head).toBe(1)
  })

  test('the commit is told of', async () => {
    const told: string[] = []
    const onCommitted = (runId: string, events: readonly { type: string }[]) =>
      told.push(`${runId}: ${events.map(({ type }) => type).join()}`)
    const kernel = createKernel({ store: memoryStore(), workflows: [greeting], onCommitted })

    await kernel.start(greeting, { name: 'Ada' }, { runId: 'r', wait: false })
    await kernel.start(greeting, { name: 'Ada' }, { runId: 'r', wait: false })

    expect(told).toEqual(['r: RunStarted'])
  })
})

test('a store that cannot say what time it is fails the start, and nothing is written', async () => {
  const store = memoryStore()
  const now = () => Promise.reject(new StoreError('STORE_FAILED', 'no time'))
  const kernel = createKernel({ store: { ...store, now }, workflows: [greeting] })

  const starting = kernel.start(greeting, { name: 'ada' }, { runId: 'r' })

  await expect(starting).rejects.toMatchObject(storeError('STORE_FAILED'))
  expect(await store.runs.find('r')).toBeUndefined()
})

describe('when the very first decision fails', () => {
  const failing = (step: () => never) => defineWorkflow({ name: 'failing', version: '1', input: z.null() }, { step })

  test('nothing is written', async () => {
    const calls: string[] = []
    const store = memoryStore()
    const workflow = failing(() => {
      throw new Error('no')
    })
    const kernel = createKernel({ store: recordCalls(store, calls), workflows: [workflow] })

    const starting = kernel.start(workflow, null, { runId: 'r' })

    await expect(starting).rejects.toMatchObject(kernelError('STEP_FAILED'))
    expect(await store.runs.find('r')).toBeUndefined()
    // What time it is has been asked, for the events that would have been written.
    expect(calls).toEqual(['store.now'])
  })

  test('all of several callers are told', async () => {
    const workflow = failing(() => undefined as never)
    const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })

    const starting = await Promise.allSettled([1, 2, 3].map(() => kernel.start(workflow, null, { runId: 'r' })))

    expect(starting.map((each) => each.status === 'rejected' && (each.reason as { code: string }).code)).toEqual(
      Array.from({ length: 3 }, () => 'INVALID_STEP'),
    )
    expect(await kernel.find('r')).toBeUndefined()
  })

  test('the first state failing writes nothing, either', async () => {
    const workflow = defineWorkflow(
      {
        ...{ name: 'failing', version: '1', input: z.null() },
        initialState: (): number => {
          throw new Error('no state')
        },
      },
      { reduce: (state: number) => state, step: (_, next) => next.complete(1) },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })

    await expect(kernel.start(workflow, null, { runId: 'r' })).rejects.toMatchObject(kernelError('REDUCER_FAILED'))
    expect(await kernel.find('r')).toBeUndefined()
  })
})
