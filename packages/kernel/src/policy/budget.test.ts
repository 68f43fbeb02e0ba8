import { describe, expect, test } from 'vitest'
import { kernelError } from '../testing/expected-errors.ts'
import { budget, type BudgetOptions } from './budget.ts'
import type { AuthorizeRequest, RetryRequest, Spent } from './policy.ts'

const nothing: Spent = { requests: 0, attempts: 0, turns: 1, usage: {}, wallClockMs: 0 }

function asking(spent: Partial<Spent>): AuthorizeRequest {
  const what = { runId: 'r', workflow: 'w', key: 'k', action: 'a', input: null, effect: 'idempotent' } as const
  return { ...what, tags: [], canceling: false, spent: { ...nothing, ...spent } }
}

const retrying = (spent: Partial<Spent>): RetryRequest => ({
  ...asking(spent),
  ...{ failures: 1, error: { message: 'x', kind: 'transient' } },
})

describe('a budget lets the last action pass for which there is something left, and denies the next', () => {
  test.for<[options: BudgetOptions, left: Partial<Spent>, over: Partial<Spent>, reason: string]>([
    [{ requests: 3 }, { requests: 2 }, { requests: 3 }, '3 of 3 requests are spent'],
    [{ attempts: 3 }, { attempts: 2 }, { attempts: 3 }, '3 of 3 attempts are spent'],
    // A turn that is being decided is one of those that are allowed.
    [{ turns: 3 }, { turns: 3 }, { turns: 4 }, '3 of 3 turns are spent'],
    [{ wallClockMs: 50 }, { wallClockMs: 49 }, { wallClockMs: 50 }, '50 of 50 ms are spent'],
    [{ usage: { tokens: 9 } }, { usage: { tokens: 8.5 } }, { usage: { tokens: 12 } }, '12 of 9 tokens are spent'],
    [{ usage: { a: 1, b: 2 } }, { usage: { a: 0, b: 1 } }, { usage: { b: 2 } }, '2 of 2 b are spent'],
    [{ usage: { constructor: 1 } }, {}, { usage: { constructor: 1 } }, '1 of 1 constructor are spent'],
  ])('%j', ([options, left, over, reason]) => {
    const { authorize } = budget(options)

    expect(authorize?.(asking(left))).toBeUndefined()
    expect(authorize?.(asking(over))).toEqual({ policy: 'budget', reason, code: 'BUDGET_EXCEEDED' })
  })
})

test('a budget of nothing denies everything', () => {
  for (const options of [{ requests: 0 }, { attempts: 0 }, { turns: 0 }, { wallClockMs: 0 }, { usage: { t: 0 } }]) {
    expect(budget(options).authorize?.(asking({}))).toMatchObject({ code: 'BUDGET_EXCEEDED' })
  }
})

test('a bound that is left out bounds nothing', () => {
  const { authorize } = budget({ requests: 1 })

  expect(authorize?.(asking({ attempts: 1e6, turns: 1e6, wallClockMs: 1e12, usage: { tokens: 1e12 } }))).toBeUndefined()
})

test('a retry costs an attempt, time and what it uses, and is neither a request nor a turn', () => {
  const { authorizeRetry } = budget({ requests: 0, turns: 0, attempts: 5, wallClockMs: 50, usage: { tokens: 9 } })

  expect(authorizeRetry?.(retrying({ requests: 3, turns: 3, attempts: 4, wallClockMs: 49 }))).toBeUndefined()
  for (const over of [{ attempts: 5 }, { wallClockMs: 50 }, { usage: { tokens: 9 } }]) {
    expect(authorizeRetry?.(retrying(over))).toMatchObject({ policy: 'budget', code: 'BUDGET_EXCEEDED' })
  }
})

test.for<[what: string, options: unknown]>([
  ['nothing bounded', {}],
  ['nothing bounded, by an undefined bound', { requests: undefined }],
  ['nothing bounded, by no usage', { usage: {} }],
  ['a bound that does not exist', { requests: 1, tokens: 5 }],
  ['a negative count', { requests: -1 }],
  ['half an attempt', { attempts: 1.5 }],
  ['turns without end', { turns: Number.POSITIVE_INFINITY }],
  ['a count that is a text', { requests: '5' }],
  ['usage that is no number', { usage: { tokens: Number.NaN } }],
  ['usage that is undefined', { usage: { tokens: undefined } }],
  ['a negative time', { wallClockMs: -1 }],
  ['a time that is no number', { wallClockMs: Number.NaN }],
  ['usage that nobody can report', { usage: { 'input tokens': 5 } }],
  ['a count that is a symbol', { requests: Symbol('s') }],
  ['a time that is a symbol', { wallClockMs: Symbol('s') }],
  ['usage that is null', { requests: 1, usage: null }],
  ['usage that is a text', { requests: 1, usage: 'tokens' }],
  ['a number for its bounds', 5],
  ['null for its bounds', null],
])('a budget with %s is refused', ([, options]) => {
  expect(() => budget(options as BudgetOptions)).toThrow(expect.objectContaining(kernelError('INVALID_DEFINITION')))
})
