import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError } from '../testing/expected-errors.ts'
import { settled } from '../testing/manual-clock.ts'
import { readLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel, type Kernel } from './kernel.ts'

/** Waits for a signal, an answer and a verdict, all at once. */
const waiting = defineWorkflow(
  {
    ...{ name: 'waiting', version: '1', input: z.null() },
    signals: { go: z.string() },
    interrupts: { ask: { ask: z.null(), answer: z.boolean() } },
    actions: {
      pay: {
        effect: 'at-most-once',
        run: (): string => {
          throw new Error('no answer')
        },
      },
    },
  },
  {
    step: ({ results }, next) => {
      const { go, ask, pay } = results
      if (go && ask && pay) return next.complete([go.status, ask.status, pay.status])
      return next.all([next.waitFor('go'), next.interrupt('ask', null), next.run('pay')])
    },
  },
)

type Verb = (kernel: Kernel, wait: boolean) => Promise<unknown>

const verbs: readonly (readonly [name: string, verb: Verb])[] = [
  ['signal', (kernel, wait) => kernel.signal('r', { name: 'go', value: 'now', wait })],
  ['resume', (kernel, wait) => kernel.resume('r', { key: 'ask', value: true, wait })],
  [
    'settle',
    (kernel, wait) => kernel.settle('r', { key: 'pay', outcome: { status: 'succeeded', output: 'paid' }, wait }),
  ],
  ['cancel', (kernel, wait) => kernel.cancel('r', { reason: 'enough', wait })],
]

async function setup() {
  const store = memoryStore()
  const worker = createKernel({ store, workflows: [waiting] })
  await worker.start(waiting, null, { runId: 'r' })
  const calls: string[] = []
  const kernel = createKernel({ store: recordCalls(store, calls), workflows: [waiting] })
  return { store, worker, kernel, calls }
}

describe.for(verbs)('%s without waiting', ([, verb]) => {
  test('posts and returns at once, and another process drives the run', async () => {
    const { store, worker, kernel, calls } = await setup()
    const log = await readLog(store, 'r')

    const outcome = await verb(kernel, false)
    await settled()

    expect(outcome).toEqual({ status: 'running', runId: 'r' })
    expect(calls.filter((name) => name !== 'runs.find' && name !== 'events.read')).toEqual(['inbox.post'])
    expect(await readLog(store, 'r')).toEqual(log)
    expect(await kernel.get('r')).toMatchObject({ waiting: 1 })

    await worker.run('r')
    expect((await readLog(store, 'r')).length).toBeGreaterThan(log.length)
  })

  test('reaches a run that this kernel is driving', async () => {
    const held = Promise.withResolvers<string>()
    const busy = defineWorkflow(
      {
        ...{ name: 'busy', version: '1', input: z.null(), signals: { go: z.string() } },
        interrupts: { ask: { ask: z.null(), answer: z.boolean() } },
        actions: {
          hold: { run: () => held.promise },
          pay: { effect: 'at-most-once', run: () => Promise.reject(new Error('?')) },
        },
      },
      {
        step: ({ results }, next) =>
          Object.keys(results).length > 0
            ? next.complete(Object.keys(results))
            : next.all([next.run('hold'), next.waitFor('go'), next.interrupt('ask', null), next.run('pay')]),
      },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [busy] })
    const starting = kernel.start(busy, null, { runId: 'r' })
    await settled()

    await verb(kernel, false)

    expect((await starting).status).toMatch(/completed|canceled/)
  })

  test('refuses what a run can never take, and one that is not there', async () => {
    const { kernel } = await setup()
    const ended = createKernel({ store: memoryStore(), workflows: [waiting] })

    await expect(verb(ended, false)).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
    await kernel.cancel('r', { reason: 'enough' })
    await expect(verb(kernel, false)).rejects.toMatchObject(kernelError('RUN_TERMINAL'))
  })
})

test.for([0, null, ''])('every verb waits unless it is told not to by false, and %j is not that', async (wait) => {
  const waits = wait as unknown as boolean

  for (const [name, verb] of verbs) {
    const { kernel } = await setup()
    expect([name, await verb(kernel, waits)]).not.toMatchObject([name, { status: 'running' }])
  }
  const { kernel } = await setup()
  const [at, to] = [1, '1']
  expect(await kernel.fork('r', { at, wait: waits })).toMatchObject({ status: 'blocked' })
  const other = await kernel.start(waiting, null, { wait: waits })
  expect(await kernel.migrate(other.runId, { to, wait: waits })).toMatchObject({ status: 'blocked' })
})

test('an answer that was given before returns at once, too', async () => {
  const { kernel } = await setup()
  await kernel.resume('r', { key: 'ask', value: true })

  expect(await kernel.resume('r', { key: 'ask', value: true, wait: false })).toEqual({ status: 'running', runId: 'r' })
})

test.for([{}, { name: 5, value: undefined }, { name: Symbol('s') }])(
  'a signal without a name is refused for that, whatever its value is: %o',
  async (signal) => {
    const { kernel } = await setup()

    await expect(kernel.signal('r', signal as never)).rejects.toThrow('the name of a signal must be a text')
  },
)

describe('a signal that nobody waits to see taken', () => {
  const waiting = defineWorkflow(
    { name: 'waiting', version: '1', input: z.null(), signals: { go: z.string() } },
    { step: ({ results }, next) => (results['go'] ? next.complete(null) : next.waitFor('go')) },
  )

  test.for([
    ['LIMIT_EXCEEDED', { value: 'x'.repeat(1024 * 1024) }],
    ['INVALID_INPUT', { value: 'x', by: 'b'.repeat(1001) }],
  ] as const)('is refused with %s where the log cannot hold it', async ([code, signal]) => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [waiting] })
    await kernel.start(waiting, null, { runId: 'r' })

    const sending = kernel.signal('r', { name: 'go', ...signal, wait: false })

    await expect(sending).rejects.toMatchObject(kernelError(code))
    expect((await store.runs.find('r'))?.waiting).toBe(0)
  })
})
