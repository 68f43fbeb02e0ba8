import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { defineWorkflow } from './define-workflow.ts'
import type { Schema } from './schema.ts'

const step = (): never => {
  throw new Error('never asked')
}
const base = { name: 'w', version: '1', input: z.null() }
const run = () => null

describe('a definition that cannot work is refused', () => {
  test.for<[what: string, spec: object, behavior?: object]>([
    ['retry options', { actions: { a: { run, retry: { maxAttempts: 0, baseMs: 1 } } } }],
    ['a timeout of 0', { actions: { a: { run, timeoutMs: 0 } } }],
    ['a timeout that is no number', { actions: { a: { run, timeoutMs: Number.NaN } } }],
    ['a tool that is no text', { actions: { a: { run, tool: 5 } } }],
    ['a provider without a name', { actions: { a: { run, provider: '' } } }],
    ['an effect class that this release does not know', { actions: { a: { run, effect: 'sometimes' } } }],
    ['a timeout that is a text', { actions: { a: { run, timeoutMs: '500' } } }],
    ['a timeout that is true', { actions: { a: { run, timeoutMs: true } } }],
    ['a timeout that is a BigInt', { actions: { a: { run, timeoutMs: 1n } } }],
    ['an effect that has no text', { actions: { a: { run, effect: Symbol('s') } } }],
    ['a function for an action', { actions: { a: run } }],
    ['an action that is null', { actions: { a: null } }],
    ['an action that does nothing', { actions: { a: {} } }],
    ['an inquiry that is no function', { actions: { a: { run, effect: 'at-most-once', reconcile: 5 } } }],
    ['an inquiry about what is idempotent', { actions: { a: { run, reconcile: run } } }],
    ['a fence for what is pure', { actions: { a: { run, effect: 'pure', fenced: true } } }],
    ['a misspelt effect', { actions: { a: { run, efect: 'at-most-once' } } }],
    ['an option that no action has', { actions: { a: { run, retries: 3 } } }],
    ['an option that no retry has', { actions: { a: { run, retry: { maxAttempts: 2, baseMs: 1, maxMs: 9 } } } }],
    [
      'a question with what its request says',
      { interrupts: { a: { ask: z.null(), answer: z.null(), expiresInMs: 5 } } },
    ],
    ['actions that are a text', { actions: 'a' }],
    ['an input that is no schema', { input: 'text' }],
    ['an input of another kind of schema', { input: { parse: run } }],
    ['a question that is null', { interrupts: { a: null } }],
    ['a question without a schema', { interrupts: { a: { answer: z.null() } } }],
    ['a question whose answer is no schema', { interrupts: { a: { ask: z.null(), answer: 5 } } }],
    ['a signal that is no schema', { signals: { a: 'text' } }],
    ['an event that is no schema', { events: { a: run } }],
    ['a bad name', { name: '' }],
    ['a bad version', { version: 'x'.repeat(201) }],
    ['a bad name of an action', { actions: { 'a\nb': { run } } }],
    ['a part that no workflow has', { action: { a: { run } } }],
    ['a misspelt clean-up', {}, { cancle: run }],
    ['no step', {}, { step: undefined }],
    ['a clean-up that is no function', {}, { cancel: 5 }],
    ['an initial state that is a value', { initialState: {} }, { reduce: run }],
    ['an initial state without a reducer', { initialState: () => 0 }],
    ['a reducer without an initial state', {}, { reduce: (state: unknown) => state }],
  ])('%s', ([, spec, behavior]) => {
    const defining = (): unknown => defineWorkflow({ ...base, ...spec }, { step, ...behavior })

    expect(defining).toThrow(expect.objectContaining(kernelError('INVALID_DEFINITION')))
  })

  test.for<[what: string, spec: unknown, behavior: unknown]>([
    ['of nothing', undefined, undefined],
    ['without what it does', base, undefined],
    ['whose step stands alone', base, step],
  ])('one %s', ([, spec, behavior]) => {
    const defining = (): unknown => defineWorkflow(spec as typeof base, behavior as { step: typeof step })

    expect(defining).toThrow(expect.objectContaining(kernelError('INVALID_DEFINITION')))
  })
})

test('an action may be an instance of a class, with what is its own', () => {
  class Payment {
    readonly effect = 'at-most-once'
    readonly currency = 'EUR'
    run(): string {
      return this.currency
    }
  }

  expect(() => defineWorkflow({ ...base, actions: { pay: new Payment() } }, { step })).not.toThrow()
})

describe('the build of a workflow', () => {
  const first = (): never => {
    throw new Error('first')
  }
  const second = (): never => {
    throw new Error('second')
  }
  const buildOf = (version: string, code: () => never): string =>
    defineWorkflow({ ...base, version }, { step: code }).definition.build

  test('is the same for the same version and function texts', () => {
    expect(buildOf('1', first)).toBe(buildOf('1', first))
  })

  test('differs with the version and with the text of a function', () => {
    expect(new Set([buildOf('1', first), buildOf('2', first), buildOf('1', second)]).size).toBe(3)
  })

  test('differs with the code of a handler', () => {
    const withHandler = (handler: () => number) =>
      defineWorkflow({ ...base, actions: { a: { run: handler } } }, { step }).definition.build

    expect(withHandler(() => 1)).not.toBe(withHandler(() => 2))
  })
})

describe('schemas', () => {
  test('of any maker count that follow the standard', async () => {
    const even: Schema<string, number> = {
      '~standard': {
        ...{ version: 1, vendor: 'own' },
        validate: (value) => {
          const number = Number(value)
          return number % 2 === 0 ? { value: number } : { issues: [{ message: 'is odd', path: ['n', { key: 0 }] }] }
        },
      },
    }
    const workflow = defineWorkflow(
      { name: 'even', version: '1', input: even },
      { step: ({ input }, next) => next.complete(input) },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })

    expect(await kernel.start(workflow, '4')).toMatchObject({ output: 4 })
    await expect(kernel.start(workflow, '3')).rejects.toMatchObject({
      ...kernelError('INVALID_INPUT'),
      where: { path: 'input.n.0' },
    })
  })

  test('that validate asynchronously are refused, with a rejection or without', async () => {
    for (const validate of [async () => ({ value: 1 }), () => Promise.reject(new Error('x'))]) {
      const input: Schema<number> = { '~standard': { version: 1, vendor: 'own', validate } }
      const workflow = defineWorkflow({ name: 'w', version: '1', input }, { step: (_, next) => next.complete(1) })
      const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })

      await expect(kernel.start(workflow, 1)).rejects.toMatchObject(kernelError('INVALID_DEFINITION'))
    }
  })
})

test('a reducer that returns a promise is refused', async () => {
  const workflow = defineWorkflow(
    { ...base, initialState: (): unknown => ({}) },
    { reduce: async (state) => Promise.reject(new Error(String(state))), step: (_, next) => next.complete(1) },
  )
  const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })

  await expect(kernel.start(workflow, null)).rejects.toMatchObject(kernelError('REDUCER_FAILED'))
})

test('a reducer sees what a step can act on, with the names of closed items, and nothing else', async () => {
  const seen: unknown[] = []
  const workflow = defineWorkflow(
    {
      ...{ ...base, initialState: () => 0 },
      actions: {
        flaky: {
          retry: { maxAttempts: 2, baseMs: 0 },
          run: (_: null, { attempt }: { readonly attempt: number }) => {
            if (attempt === 1) throw Object.assign(new Error('busy'), { kind: 'transient' })
            return attempt
          },
        },
      },
      interrupts: { ask: { ask: z.null(), answer: z.string() } },
    },
    {
      reduce: (count, event) => {
        seen.push({ type: event.type, data: event.data })
        return count + 1
      },
      step: (count, next) => {
        if (count === 1)
          return next.all([next.run('flaky', null, { key: 'f' }), next.interrupt('ask', null, { key: 'q' })])
        return count === 2 ? next.all([next.interrupt('ask', null, { key: 'q' })]) : next.complete(count)
      },
    },
  )
  const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })
  await kernel.start(workflow, null, { runId: 'r' })

  await kernel.resume('r', { key: 'q', value: 'yes', by: 'ada' })

  // The second fold, after the first blocked, begins at the snapshot.
  expect(seen).toEqual([
    { type: 'RunStarted', data: { input: null } },
    { type: 'ActionSucceeded', data: { key: 'f', action: 'flaky', output: 2, attempts: 2 } },
    ...seen.slice(2, -1),
    { type: 'Resumed', data: { key: 'q', kind: 'ask', value: 'yes', by: 'ada' } },
  ])
})
