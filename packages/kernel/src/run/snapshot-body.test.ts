import { canonicalJson, type Json } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import fc from 'fast-check'
import { isDeepStrictEqual } from 'node:util'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { holdFold } from './snapshot-body.ts'
import { emptySystem } from './system.ts'

/** Completes with what its first state was, as its step sees it after two answers. */
function remembering(state: () => object, seen: (state: never) => string) {
  return defineWorkflow(
    {
      ...{ name: 'remembering', version: '1', input: z.null() },
      initialState: () => ({ first: state(), answers: 0 }),
      interrupts: { ask: { ask: z.null(), answer: z.null() } },
    },
    {
      reduce: (state, event) => (event.type === 'Resumed' ? { ...state, answers: state.answers + 1 } : state),
      step: ({ first, answers }, next) =>
        answers < 2 ? next.interrupt('ask', null, { key: `ask:${answers}` }) : next.complete(seen(first as never)),
    },
  )
}

test.for([
  ['an object without a prototype', () => Object.groupBy(['ann'], (name) => name), 'state.first'],
  ['-0', () => ({ list: [1, -0] }), 'state.first.list[1]'],
] as const)('of a state with %s no snapshot is kept: a step could tell what it gives back', async ([, state, path]) => {
  const warnings: Error[] = []
  const store = memoryStore()
  const seen = (first: Record<string, unknown>): string =>
    [typeof first.constructor, Object.is((first['list'] as number[] | undefined)?.[1], -0)].join()
  const workflow = remembering(state, seen)
  const onWarning = (warning: Error): void => void warnings.push(warning)
  const kernel = () => createKernel({ store, workflows: [workflow], build: 'b', onWarning })
  const first = kernel()
  await first.start(workflow, null, { runId: 'r' })
  await first[Symbol.asyncDispose]()
  const second = kernel()
  await second.resume('r', { key: 'ask:0', value: null })
  await second[Symbol.asyncDispose]()

  const outcome = await kernel().resume('r', { key: 'ask:1', value: null })

  expect(outcome).toMatchObject({ status: 'completed', output: seen(state() as never) })
  expect(await kernel().verify('r')).toMatchObject({ ok: true })
  expect(await store.snapshots.latest('r')).toBeUndefined()
  expect(warnings[0]).toMatchObject({ code: 'STATE_NOT_JSON', where: { path } })
})

/** What a snapshot of this state gives back; undefined where none is made. */
function givenBack(state: unknown): { readonly state: unknown } | undefined {
  const stepper = {
    apply: () => undefined,
    want: () => ({ kind: 'requests', known: [], fresh: [] }) as const,
    hold: () => () => state as Json,
    load: () => undefined,
  }
  try {
    return JSON.parse(holdFold({ system: emptySystem('r'), stepper }).body()) as { state: unknown }
  } catch {
    return undefined
  }
}

function isJson(value: unknown): boolean {
  try {
    return isDeepStrictEqual(JSON.parse(canonicalJson(value)), JSON.parse(JSON.stringify(value)))
  } catch {
    return false
  }
}

test('a snapshot is made of a state that it gives back as it is, and of no other', () => {
  const anything = fc.oneof(
    fc.jsonValue({ stringUnit: 'binary', maxDepth: 4 }),
    fc.anything({
      ...{ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withObjectString: true },
      ...{ withSparseArray: true, withTypedArray: true, withUnboxedValues: true },
    }),
  )
  fc.assert(
    fc.property(anything, (state) => {
      const back = givenBack(state)
      if (back !== undefined) expect(isDeepStrictEqual(back.state, state)).toBe(true)
      else expect(isJson(state) && isDeepStrictEqual(JSON.parse(JSON.stringify(state)), state)).toBe(false)
    }),
    { numRuns: 2000 },
  )
})

const hiding = Object.create(Array.prototype, { [Symbol.iterator]: { value: () => [].values() } }) as object

test.for([
  ['a named property of an array', Object.assign([1], { name: 1 })],
  ['a symbol as key', { [Symbol('s')]: 1 }],
  ['a text that is no text', '\ud800'],
  ['a key that is no text', { '\ud800': 1 }],
  ['an integer that is too large', 2 ** 53],
  ['an array of a class', new (class Stack extends Array<number> {})(1, 2)],
  ['an array that hides what is in it', Object.setPrototypeOf([NaN], hiding)],
  ['an array without a prototype', Object.setPrototypeOf([1], null)],
  ['what says itself how it is written', Object.defineProperty({}, 'toJSON', { value: () => 1 })],
  ['a hole', [1, , 2]], // eslint-disable-line no-sparse-arrays -- as code of a user may have made it
  ['101 levels', Array.from({ length: 101 }).reduce((inner) => [inner], null)],
])('of a state with %s no snapshot is made', ([, state]) => {
  expect(givenBack(state)).toBeUndefined()
})

test('of a state with data called toJSON a snapshot is made', () => {
  expect(givenBack({ toJSON: 'as a name' })?.state).toEqual({ toJSON: 'as a name' })
})

test('of a state of 100 levels a snapshot is made', () => {
  const deep = Array.from({ length: 100 }).reduce((inner) => [inner], null)

  expect(givenBack(deep)?.state).toEqual(deep)
})
