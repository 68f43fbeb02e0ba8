import { describe, expect, test } from 'vitest'
import { kernelError } from '../testing/expected-errors.ts'
import { budget } from './budget.ts'
import type { AllowListOptions, AttemptFailure, AuthorizeRequest, Policy, RetryRequest } from './policy.ts'
import { allowAll, allowList, composePolicies } from './policy.ts'
import { networkErrors } from './network-errors.ts'
import { retryWithBackoff } from './retry.ts'

const spent = { requests: 0, attempts: 0, turns: 1, usage: {}, wallClockMs: 0 }
const asking = (action: string, labels: Pick<AuthorizeRequest, 'tool' | 'provider'> = {}): AuthorizeRequest => ({
  ...{ runId: 'r', workflow: 'w', key: action, action, input: null, effect: 'idempotent', canceling: false },
  ...{ spent, tags: [], ...labels },
})
const failure: AttemptFailure = {
  ...{ runId: 'r', key: 'k', action: 'a', failures: 1 },
  error: { message: 'x', kind: 'transient' },
}
const retrying = (attempts: number): RetryRequest => ({ ...asking('a'), ...failure, spent: { ...spent, attempts } })

test('allowing all denies nothing and retries nothing', () => {
  expect(allowAll.authorize?.(asking('rm'))).toBeUndefined()
  expect(allowAll.retryInMs?.(failure)).toBeUndefined()
})

describe('an allow-list', () => {
  test('lets its actions pass and denies every other with a reason', () => {
    const policy = allowList({ actions: ['read', 'write'] })

    expect(policy.authorize?.(asking('read'))).toBeUndefined()
    expect(policy.authorize?.(asking('rm'))).toEqual({ policy: 'allow-list', reason: 'rm is not allowed' })
    expect(policy.authorize?.(asking('constructor'))).toBeDefined()
  })

  test.for<AllowListOptions>([{ actions: [] }, { tools: [] }, { providers: [] }, { actions: ['read'], tools: [] }])(
    'with an empty list denies everything: %j',
    (options) => {
      expect(allowList(options).authorize?.(asking('read', { tool: 'web', provider: 'acme' }))).toBeDefined()
    },
  )

  test.for<[what: 'tool' | 'provider', options: AllowListOptions]>([
    ['tool', { tools: ['web'] }],
    ['provider', { providers: ['web'] }],
  ])('of %ss goes by that label, and denies what has none', ([what, options]) => {
    const { authorize } = allowList(options)

    expect(authorize?.(asking('read', { [what]: 'web' }))).toBeUndefined()
    expect(authorize?.(asking('read', { [what]: 'shell' }))?.reason).toBe(`the ${what} shell is not allowed`)
    expect(authorize?.(asking('read'))?.reason).toBe(`read names no ${what}; give it the label ${what}`)
    const other = what === 'tool' ? 'provider' : 'tool'
    expect(authorize?.(asking('read', { [other]: 'web' }))).toBeDefined()
  })

  test('of several kinds lets pass what is on all of them', () => {
    const { authorize } = allowList({ actions: ['ask'], tools: ['llm'], providers: ['acme'] })

    expect(authorize?.(asking('ask', { tool: 'llm', provider: 'acme' }))).toBeUndefined()
    expect(authorize?.(asking('ask', { tool: 'llm', provider: 'other' }))).toBeDefined()
    expect(authorize?.(asking('rm', { tool: 'llm', provider: 'acme' }))).toBeDefined()
  })

  test.for<[what: string, options: object]>([
    ['no list', {}],
    ['a list that is undefined', { tools: undefined }],
    ['a list that it does not know', { tool: ['web'] }],
    ['a text for a list', { tools: 'web' }],
    ['a list of something else', { actions: [1] }],
  ])('with %s is refused', ([, options]) => {
    expect(() => allowList(options as AllowListOptions)).toThrow(
      expect.objectContaining(kernelError('INVALID_DEFINITION')),
    )
  })
})

describe('composed policies', () => {
  test('deny what any of them denies, by the name of that one', () => {
    const policy = composePolicies(
      allowAll,
      allowList({ actions: ['read', 'write'] }),
      allowList({ actions: ['read'] }),
    )

    expect(policy.authorize?.(asking('read'))).toBeUndefined()
    expect(policy.authorize?.(asking('write'))).toMatchObject({ policy: 'allow-list' })
  })

  test('retry as the first one that wants to', () => {
    const fixed = (baseMs: number) => retryWithBackoff({ maxAttempts: 3, baseMs, jitter: 'none' })
    const policy = composePolicies(allowList({ actions: [] }), fixed(7), fixed(9))

    expect(policy.retryInMs?.(failure)).toBe(7)
    expect(policy.retryInMs?.({ ...failure, failures: 3 })).toBeUndefined()
  })

  test('deny a retry that any of them denies, wherever it stands, also within another composition', () => {
    const retries = retryWithBackoff({ maxAttempts: 9, baseMs: 7, jitter: 'none' })
    const inner = composePolicies(budget({ attempts: 3 }), allowAll)

    for (const policy of [composePolicies(retries, inner), composePolicies(inner, retries)]) {
      expect(policy.retryInMs?.(failure)).toBe(7)
      expect(policy.authorizeRetry?.(retrying(2))).toBeUndefined()
      expect(policy.authorizeRetry?.(retrying(3))).toMatchObject({ policy: 'budget', code: 'BUDGET_EXCEEDED' })
    }
  })

  test('take an error as the first one that knows it', () => {
    const shy = { name: 'shy', classify: () => undefined }
    const strict = { name: 'strict', classify: () => ({ kind: 'permanent' as const }) }

    expect(composePolicies(allowAll, shy, networkErrors, strict).classify?.({ status: 429 }, 0)?.kind).toBe(
      'rate-limited',
    )
    expect(composePolicies(shy, strict, networkErrors).classify?.({ status: 429 }, 0)?.kind).toBe('permanent')
    expect(composePolicies(shy).classify?.({ status: 429 }, 0)).toBeUndefined()
  })

  test('that are none allow everything and retry nothing', () => {
    const policy = composePolicies()

    expect(policy.authorize?.(asking('rm'))).toBeUndefined()
    expect(policy.authorizeRetry?.(retrying(99))).toBeUndefined()
    expect(policy.retryInMs?.(failure)).toBeUndefined()
  })

  test('carry the names of their parts', () => {
    expect(composePolicies(allowAll, allowList({ actions: [] })).name).toBe('allow-all+allow-list')
  })
})

test('a policy that is asked nothing may have any name', () => {
  const mine: Policy = { ...allowAll, name: 'mine' }

  expect(composePolicies(mine, allowList({ actions: [] })).name).toBe('mine+allow-list')
})

test.for<[what: string, policy: unknown]>([
  ['that was not made', retryWithBackoff],
  ['whose method is misspelled', { name: 'p', authorise: () => undefined }],
  ['that is null', null],
])('a policy %s is not composed', ([, policy]) => {
  expect(() => composePolicies(allowAll, policy as Policy)).toThrow(
    expect.objectContaining(kernelError('INVALID_DEFINITION')),
  )
})

test.for<[what: string, options: unknown]>([
  ['without lists', undefined],
  ['of a text', 'read'],
  ['of a list that does not exist, with what has no text', { actions: [1n], names: Symbol('s') }],
])('an allow-list %s is refused', ([, options]) => {
  expect(() => allowList(options as AllowListOptions)).toThrow(
    expect.objectContaining(kernelError('INVALID_DEFINITION')),
  )
})
