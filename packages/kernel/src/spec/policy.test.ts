import { expect, test } from 'vitest'
import type { ErrorInfo } from '../log/event-data.ts'
import { retryDelay } from '../policy/retry.ts'

const failure = (kind: ErrorInfo['kind'], failures: number, retryAfterMs?: number) => ({
  ...{ runId: 'run-1', key: 'call', action: 'call', failures },
  error: { message: 'x', kind, ...(retryAfterMs !== undefined && { retryAfterMs }) },
})

test('a permanent failure is not retried', () => {
  expect(retryDelay({ maxAttempts: 10, baseMs: 1 }, failure('permanent', 1))).toBeUndefined()
})

test('a transient failure is retried twice with three attempts, and then no more', () => {
  const options = { maxAttempts: 3, baseMs: 0 }

  const delays = [1, 2, 3].map((failures) => retryDelay(options, failure('transient', failures)))

  // Failures count from 1 here, and maxAttempts counts the first attempt.
  expect(delays).toEqual([0, 0, undefined])
})

test('the delay that the other side asks for wins over our own', () => {
  expect(retryDelay({ maxAttempts: 3, baseMs: 100 }, failure('rate-limited', 1, 2500))).toBe(2500)
})

test('exponential delays double: 50, 100, 200', () => {
  const options = { maxAttempts: 5, baseMs: 50, jitter: 'none' } as const

  const delays = [1, 2, 3].map((failures) => retryDelay(options, failure('transient', failures)))

  expect(delays).toEqual([50, 100, 200])
})
