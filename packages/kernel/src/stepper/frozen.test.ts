import { memoryStore } from '@varve/store-memory'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { frozen } from './frozen.ts'

interface Counted {
  readonly seen: { count: number }
}

/** Counts the events by changing the state in one of its functions. */
function changing(where: 'reduce' | 'step' | 'nowhere') {
  return defineWorkflow(
    { name: 'changing', version: '1', input: z.null(), initialState: (): Counted => ({ seen: { count: 0 } }) },
    {
      reduce: (state) => {
        if (where === 'reduce') state.seen.count++
        return state
      },
      step: (state, next) => {
        if (where === 'step') state.seen.count++
        return next.complete(state.seen.count)
      },
    },
  )
}

function startChanging(where: 'reduce' | 'step' | 'nowhere') {
  const workflow = changing(where)
  return createKernel({ store: memoryStore(), workflows: [workflow] }).start(workflow, null)
}

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('in development, a state that is', () => {
  test('changed by its reducer fails the reducer, and says what to do', async () => {
    await expect(startChanging('reduce')).rejects.toThrow(
      /^REDUCER_FAILED: .*; states, inputs and results are frozen: answer a changed copy \(run/,
    )
  })

  test('changed by the step fails the step, and says what to do', async () => {
    await expect(startChanging('step')).rejects.toThrow(
      /^STEP_FAILED: .*; states, inputs and results are frozen: answer a changed copy \(run/,
    )
  })

  test('not changed does no harm', async () => {
    expect(await startChanging('nowhere')).toMatchObject({ status: 'completed', output: 0 })
  })
})

test.for(['input', 'results'] as const)(
  'in development, the stock state fails a step that changes its %s',
  async (part) => {
    const workflow = defineWorkflow(
      {
        ...{ name: 'reversing', version: '1', input: z.array(z.string()) },
        actions: { names: { run: () => ['ada', 'grace'] } },
      },
      {
        step: ({ input, results: { names } }, next) => {
          if (names?.status !== 'succeeded') return next.run('names')
          return next.complete((part === 'input' ? input : (names.output as string[])).reverse())
        },
      },
    )
    const starting = createKernel({ store: memoryStore(), workflows: [workflow] }).start(workflow, ['a', 'b'])

    await expect(starting).rejects.toMatchObject(kernelError('STEP_FAILED'))
  },
)

test.for<[what: string, change: (state: { input: unknown; results: Record<string, unknown> }) => void]>([
  ['overwrites a result', ({ results }) => (results['names'] = { status: 'fired' })],
  ['takes a result away', ({ results }) => delete results['names']],
  ['puts other results in their place', (state) => (state.results = {})],
  ['puts another input in its place', (state) => (state.input = [])],
])('in development, the stock state fails a step that %s', async ([, change]) => {
  const workflow = defineWorkflow(
    {
      ...{ name: 'changing', version: '1', input: z.array(z.string()) },
      actions: { names: { run: () => ['ada', 'grace'] } },
    },
    {
      step: (state, next) => {
        if (state.results['names'] === undefined) return next.run('names')
        change(state)
        return next.complete(0)
      },
    },
  )
  const starting = createKernel({ store: memoryStore(), workflows: [workflow] }).start(workflow, [])

  await expect(starting).rejects.toMatchObject(kernelError('STEP_FAILED'))
})

test('in production states are not frozen', async () => {
  vi.stubEnv('NODE_ENV', 'production')

  expect(await startChanging('reduce')).toMatchObject({ status: 'completed', output: 1 })
})

describe('freezing', () => {
  test('goes down to the last part', () => {
    const state = frozen({ list: [{ deep: {} }] }) as { list: { deep: object }[] }

    expect([state, state.list, state.list[0], state.list[0]?.deep].every((part) => Object.isFrozen(part))).toBe(true)
  })

  test('passes over what is frozen already', () => {
    const inner = { open: {} }
    const state = frozen({ shared: Object.freeze(inner) })

    expect(Object.isFrozen(state)).toBe(true)
    expect(Object.isFrozen(inner.open)).toBe(false)
  })

  test('leaves alone what is no JSON', () => {
    const bytes = Buffer.from('x')

    expect(frozen({ bytes, map: new Map(), none: null, text: 'x' })).toMatchObject({ bytes, text: 'x' })
  })
})
