import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { typesOf } from '../testing/sealed-log.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'

const throwing = (): object => ({
  get a() {
    throw new Error('no')
  },
})

const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const spec = { name: 'unreadable', version: '1', input: z.null() } as const

/** What a workflow in JavaScript may answer. */
const anything = (value: unknown): never => value as never

async function driven(workflow: Workflow) {
  const store = memoryStore()
  const kernel = createKernel({ store, workflows: [workflow] })
  const error = await kernel.start(workflow, anything(null), { runId: 'r' }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return { store, error, row: await kernel.get('r') }
}

describe('a step that has recorded something, and then answers what cannot be read', () => {
  test.for<[what: string, code: string, value: () => object, of: 'output' | 'request' | 'question' | 'answer']>([
    ['an output with a getter that throws', 'NOT_JSON', throwing, 'output'],
    ['an output that is a revoked proxy', 'NOT_JSON', revoked, 'output'],
    ['a request of an action with a getter that throws', 'NOT_JSON', throwing, 'request'],
    ['a request of an action that is a revoked proxy', 'NOT_JSON', revoked, 'request'],
    ['a question that is a revoked proxy', 'NOT_JSON', revoked, 'question'],
    ['a revoked proxy', 'INVALID_STEP', revoked, 'answer'],
  ])('(%s) parks its run, and the result is kept', async ([, code, value, of]) => {
    const workflow = defineWorkflow(
      { ...spec, interrupts: { ask: { ask: z.unknown(), answer: z.null() } }, actions: { work: { run: () => 1 } } },
      {
        step: ({ results }, next) => {
          if (results['work'] === undefined) return next.run('work')
          if (of === 'output') return next.complete(anything(value()))
          if (of === 'request') return next.run('work', anything(value()), { key: 'again' })
          return of === 'question' ? next.interrupt('ask', anything(value())) : anything(value())
        },
      },
    )

    const { store, error, row } = await driven(workflow)

    expect(error).toMatchObject({ code })
    expect(row).toMatchObject({ problem: { code } })
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested', 'ActionSucceeded'])
  })
})

test('an output that cannot be read fails its action, which is not called again', async () => {
  let calls = 0
  const run = () => {
    calls++
    return anything(throwing())
  }
  const workflow = defineWorkflow(
    { ...spec, actions: { work: { run } } },
    { step: ({ results }, next) => (results['work'] ? next.complete(results['work']) : next.run('work')) },
  )

  const { store, row } = await driven(workflow)

  expect(row).toMatchObject({ status: 'completed' })
  expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested', 'ActionFailed', 'Completed'])
  expect(calls).toBe(1)
})

test('a state that cannot be read lets its run go on, without a snapshot', async () => {
  const warnings: Error[] = []
  const store = memoryStore()
  const workflow = defineWorkflow(
    { ...spec, actions: { work: { run: () => 1 } }, initialState: () => ({ done: 0, odd: {} }) },
    {
      reduce: (state, { type }) => (type === 'ActionSucceeded' ? { done: state.done + 1, odd: throwing() } : state),
      step: ({ done }, next) => (done < 2 ? next.run('work', undefined, { key: `${done}` }) : next.complete(done)),
    },
  )
  const kernel = createKernel({ store, workflows: [workflow], onWarning: (warning) => warnings.push(warning) })

  expect(await kernel.start(workflow, null, { runId: 'r' })).toMatchObject({ status: 'completed', output: 2 })
  await kernel[Symbol.asyncDispose]()
  expect(warnings).toMatchObject([{ code: 'STATE_NOT_JSON' }])
})
