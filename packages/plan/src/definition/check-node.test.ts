import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { planError } from '../testing/expected-errors.ts'
import { namedState } from '../testing/simple-states.ts'
import { approvalState } from './approval-state.ts'
import { childState } from './child-state.ts'
import { mapState } from './map-state.ts'
import { bytes } from './output.ts'
import { definePlan } from './plan.ts'
import { defineState } from './state.ts'

const base = { id: 'a', output: z.null(), run: () => null }
const map = { ...base, items: () => [1], key: String }

describe('a state is refused', () => {
  test.for<[what: string, spec: object]>([
    ['an id that is empty', { id: '' }],
    ['an id that begins with a digit', { id: '1a' }],
    ['an id with a colon', { id: 'a:part' }],
    ['an id with a space', { id: 'a b' }],
    ['an id of more than 63 characters', { id: 'a'.repeat(64) }],
    ['an id that is no text', { id: 7 }],
    ['a version that is empty', { version: '' }],
    ['a version of more than 100 characters', { version: 'v'.repeat(101) }],
    ['an effect that is none', { effect: 'twice' }],
    ['a misspelt effect', { efect: 'at-most-once' }],
    ['a cache for what is not pure', { cache: true, effect: 'idempotent' }],
    ['an environment without a cache', { environment: ['TZ'] }],
    ['a timeout of nothing', { timeoutMs: 0 }],
    ['a timeout that is no number', { timeoutMs: Number.NaN }],
    ['a timeout that is a text', { timeoutMs: '5' }],
    ['a timeout that is a truth', { timeoutMs: true }],
    ['a timeout that is a list', { timeoutMs: [1] }],
    ['an id that no text can show', { id: Symbol('a') }],
    ['an effect that no text can show', { effect: Symbol('twice') }],
    ['tags that are a text', { tags: 'slow' }],
    ['a tag that is no text', { tags: [5] }],
    ['an environment that is a text', { cache: true, environment: 'HOME' }],
    ['an environment with what is no text', { cache: true, environment: [null] }],
    ['needs that are nothing', { needs: null }],
    ['needs that are a text', { needs: 'rates' }],
    ['needs that are a list', { needs: ['rates'] }],
    ['a need that is null', { needs: { rates: null } }],
    ['a need that only looks like a state', { needs: { rates: { id: 'rates', node: null } } }],
    ['an optional need that is null', { needs: { rates: { optional: null } } }],
    ['a predecessor where a list is meant', { after: 'rates' }],
    ['a retry that is a number', { retry: 3 }],
    ['a retry that is null', { retry: null }],
    ['params that are no schema', { params: {} }],
    ['params whose schema cannot validate', { params: { '~standard': {} } }],
    ['a reconcile that is no function', { effect: 'at-most-once', reconcile: 'ask' }],
    ['an output whose schema cannot validate', { output: { '~standard': undefined } }],
    ['a retry without attempts', { retry: { maxAttempts: 0, baseMs: 1 } }],
    ['a retry with a delay before now', { retry: { maxAttempts: 2, baseMs: -1 } }],
    ['a need that is not there', { needs: { rates: undefined } }],
    ['an optional need that is not there', { needs: { rates: { optional: undefined } } }],
    ['a need that is no state', { needs: { rates: 5 } }],
    ['a predecessor that is not there', { after: [undefined] }],
    ['code that is no function', { run: 'code' }],
    ['an output that is neither a schema nor bytes', { output: undefined }],
    ['bytes whose media type is no text', { output: bytes({ mediaType: 5 as never }) }],
    ['bytes whose media type is empty', { output: bytes({ mediaType: '' }) }],
    ['bytes whose media type has more than 200 characters', { output: bytes({ mediaType: 'x'.repeat(201) }) }],
    ['more than 1,000 needs', { needs: Object.fromEntries(Array.from({ length: 999 }, (_, i) => [`n${i}`, `n${i}`])) }],
  ])('for %s', ([, spec]) => {
    expect(() => defineState({ ...base, ...spec })).toThrow(
      expect.objectContaining(planError('INVALID_DEFINITION')) as Error,
    )
  })

  test.for(['defineState', 'mapState', 'approvalState', 'childState'])('by %s for a spec that is none', (name) => {
    const factory = { defineState, mapState, approvalState, childState }[name] as (spec: unknown) => unknown

    for (const spec of [undefined, null, 'a', 5, []]) {
      expect(() => factory(spec)).toThrow(expect.objectContaining(planError('INVALID_DEFINITION')) as Error)
    }
  })

  test.for<[what: string, spec: object]>([
    ['a concurrency of none', { concurrency: 0 }],
    ['a misspelt concurrency', { concurency: 5 }],
    ['a need with the name that what its items see has in manifests', { needs: { 'with a': 'b' }, with: { a: 'c' } }],
    ['a concurrency that is a text', { concurrency: '5' }],
    ['a concurrency that no text can show', { concurrency: Symbol('many') }],
    ['a text where the states are meant that its items see', { with: 'rates' }],
    ['a concurrency that is not whole', { concurrency: 1.5 }],
    ['items that are no function', { items: [1, 2] }],
    ['a key that is no function', { key: 'id' }],
    ['something that is not there to be seen by its items', { with: { rates: undefined } }],
  ])('as a map for %s', ([, spec]) => {
    expect(() => mapState({ ...map, ...spec })).toThrow(
      expect.objectContaining(planError('INVALID_DEFINITION')) as Error,
    )
  })

  test('as an approval for a time to answer that is none, and for a question that is no function', () => {
    const refusal = expect.objectContaining(planError('INVALID_DEFINITION')) as Error

    expect(() => approvalState({ id: 'a', expiresInMs: 0 })).toThrow(refusal)
    expect(() => approvalState({ id: 'a', expiresMs: 5 } as never)).toThrow(refusal)
    expect(() => approvalState({ id: 'a', expiresInMs: '5' as never })).toThrow(refusal)
    expect(() => approvalState({ id: 'a', expiresInMs: Symbol('soon') as never })).toThrow(refusal)
    expect(() => approvalState({ id: 'a', question: 'why?' } as never)).toThrow(refusal)
  })

  test('as a child for a plan that is not there', () => {
    const refusal = expect.objectContaining(planError('INVALID_DEFINITION')) as Error

    for (const none of [undefined, null, 'p', {}, { definition: {} }]) {
      expect(() => childState({ id: 'a', plan: none, childParams: () => undefined } as never)).toThrow(refusal)
    }
    const plan = definePlan({ id: 'p', version: '1', states: [namedState('a')] })
    expect(() => childState({ id: 'a', plan, childParams: undefined } as never)).toThrow(refusal)
    expect(() => childState({ id: 'a', plan, childParams: () => undefined, retry: {} } as never)).toThrow(refusal)
  })
})

test.for<[what: string, options: unknown]>([
  ['null', null],
  ['a text', 'text/csv'],
  ['a misspelt media type', { mediatype: 'text/csv' }],
])('bytes are refused with %s for options', ([, options]) => {
  expect(() => bytes(options as never)).toThrow(expect.objectContaining(planError('INVALID_DEFINITION')) as Error)
})

test('a refusal of a need says what may be behind it', () => {
  expect(() => defineState({ ...base, needs: { rates: undefined } } as never)).toThrow(/need rates of state a .*import/)
})

describe('a plan is refused', () => {
  test.for<[what: string, spec: object]>([
    ['an id with a dot', { id: 'a.b' }],
    ['a misspelt output', { ouput: namedState('a') }],
    ['no version', { version: undefined }],
    ['states that are no list', { states: undefined }],
    ['states that are a text', { states: 'a' }],
    ['a state that is not there', { states: [undefined] }],
    ['a state that only looks like one', { states: [{ id: 'a', node: null }] }],
    ['params that are no schema', { params: {} }],
    ['params that are null', { params: null }],
    ['an output that is the id of a state', { output: 'a' }],
    ['an output that is null', { output: null }],
    ['an output that only looks like a state', { output: { id: 'a', node: undefined } }],
  ])('for %s', ([, spec]) => {
    expect(() => definePlan({ id: 'p', version: '1', states: [namedState('a')], ...spec })).toThrow(
      expect.objectContaining(planError('INVALID_DEFINITION')) as Error,
    )
  })
})

test('a plan is refused for a spec that is none', () => {
  for (const spec of [undefined, null, 'p', []]) {
    expect(() => definePlan(spec as never)).toThrow(expect.objectContaining(planError('INVALID_DEFINITION')) as Error)
  }
})

test('names of things that all objects have are ids like others', () => {
  const states = ['constructor', 'toString', 'hasOwnProperty'].map((id) => namedState(id))

  expect(definePlan({ id: 'valueOf', version: '1', states }).definition.graph.nodes.map(({ id }) => id)).toEqual([
    'constructor',
    'toString',
    'hasOwnProperty',
  ])
})
