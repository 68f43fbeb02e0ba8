import { expect, test } from 'vitest'
import type { AttemptFailure, AuthorizeRequest } from './policy.ts'
import { allowAll, allowList, composePolicies } from './policy.ts'
import { retryWithBackoff } from './retry.ts'

const asking = (action: string): AuthorizeRequest => ({ runId: 'r', workflow: 'w', key: action, action, input: null })
const failure: AttemptFailure = {
  ...{ runId: 'r', key: 'k', action: 'a', failures: 1 },
  error: { message: 'x', kind: 'transient' },
}

test('allowing all denies nothing and retries nothing', () => {
  expect(allowAll.authorize?.(asking('rm'))).toBeUndefined()
  expect(allowAll.retryInMs?.(failure)).toBeUndefined()
})

test('an allow-list lets its actions pass and denies every other with a reason', () => {
  const policy = allowList({ actions: ['read', 'write'] })

  expect(policy.authorize?.(asking('read'))).toBeUndefined()
  expect(policy.authorize?.(asking('rm'))).toEqual({ policy: 'allow-list', reason: 'rm is not allowed' })
  expect(policy.authorize?.(asking('constructor'))).toBeDefined()
})

test('an empty allow-list denies everything', () => {
  expect(allowList({ actions: [] }).authorize?.(asking('read'))).toBeDefined()
})

test('composed policies deny what any of them denies, by the name of that one', () => {
  const policy = composePolicies(allowAll, allowList({ actions: ['read', 'write'] }), allowList({ actions: ['read'] }))

  expect(policy.authorize?.(asking('read'))).toBeUndefined()
  expect(policy.authorize?.(asking('write'))).toMatchObject({ policy: 'allow-list' })
})

test('composed policies retry as the first one that wants to', () => {
  const fixed = (baseMs: number) => retryWithBackoff({ maxAttempts: 3, baseMs, jitter: 'none' })
  const policy = composePolicies(allowList({ actions: [] }), fixed(7), fixed(9))

  expect(policy.retryInMs?.(failure)).toBe(7)
  expect(policy.retryInMs?.({ ...failure, failures: 3 })).toBeUndefined()
})

test('no policies composed allow everything and retry nothing', () => {
  const policy = composePolicies()

  expect(policy.authorize?.(asking('rm'))).toBeUndefined()
  expect(policy.retryInMs?.(failure)).toBeUndefined()
})

test('composed policies carry the names of their parts', () => {
  expect(composePolicies(allowAll, allowList({ actions: [] })).name).toBe('allow-all+allow-list')
})
