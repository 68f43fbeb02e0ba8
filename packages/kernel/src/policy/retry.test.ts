import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ErrorInfo } from '../log/event-data.ts'
import { kernelError } from '../testing/expected-errors.ts'
import type { AttemptFailure } from './policy.ts'
import { retryDelay, retryWithBackoff, type RetryOptions } from './retry.ts'

function failure(failures: number, error: Partial<ErrorInfo> = {}, runId = 'r', key = 'k'): AttemptFailure {
  return { runId, key, action: 'a', failures, error: { message: 'x', kind: 'transient', ...error } }
}

const delays = (options: Omit<RetryOptions, 'jitter'>, count: number): (number | undefined)[] =>
  Array.from({ length: count }, (_, i) => retryDelay({ ...options, jitter: 'none' }, failure(i + 1)))

describe('delays without jitter', () => {
  test.for<[what: string, options: Omit<RetryOptions, 'jitter'>, expected: (number | undefined)[]]>([
    ['double by default', { maxAttempts: 5, baseMs: 50 }, [50, 100, 200, 400, undefined]],
    ['stay fixed with factor 1', { maxAttempts: 4, baseMs: 10, factor: 1 }, [10, 10, 10, undefined]],
    ['grow by their factor', { maxAttempts: 4, baseMs: 10, factor: 3 }, [10, 30, 90, undefined]],
    ['never exceed the cap', { maxAttempts: 6, baseMs: 50, capMs: 150 }, [50, 100, 150, 150, 150, undefined]],
    ['are none with a base of 0', { maxAttempts: 3, baseMs: 0 }, [0, 0, undefined]],
    ['are not had with one attempt', { maxAttempts: 1, baseMs: 50 }, [undefined]],
  ])('%s', ([, options, expected]) => {
    expect(delays(options, expected.length)).toEqual(expected)
  })

  test('are capped at 5 minutes by default, however many failures there were', () => {
    expect(retryDelay({ maxAttempts: 5000, baseMs: 50, jitter: 'none' }, failure(4000))).toBe(300_000)
  })

  test('are none where none is asked for, however many failures there were', () => {
    for (const jitter of ['none', 'full'] as const) {
      expect(retryDelay({ maxAttempts: 5000, baseMs: 0, jitter }, failure(4000))).toBe(0)
    }
  })

  test('are whole milliseconds', () => {
    expect(delays({ maxAttempts: 4, baseMs: 1.5, factor: 1.1 }, 3)).toEqual([2, 2, 2])
  })
})

describe('what the failure says', () => {
  const options: RetryOptions = { maxAttempts: 3, baseMs: 100, capMs: 1000, jitter: 'none' }

  test('a permanent failure is never retried, not even with a hint', () => {
    expect(retryDelay(options, failure(1, { kind: 'permanent', retryAfterMs: 5 }))).toBeUndefined()
  })

  test('a rate-limited failure without a hint is retried as a transient one', () => {
    expect(retryDelay(options, failure(2, { kind: 'rate-limited' }))).toBe(200)
  })

  test('a hint wins over the base, is capped, and has no jitter', () => {
    expect(retryDelay(options, failure(1, { kind: 'rate-limited', retryAfterMs: 250 }))).toBe(250)
    expect(retryDelay(options, failure(1, { kind: 'rate-limited', retryAfterMs: 60_000 }))).toBe(1000)
    expect(retryDelay({ ...options, jitter: 'full' }, failure(1, { kind: 'rate-limited', retryAfterMs: 250 }))).toBe(
      250,
    )
  })

  test('a hint buys no further attempt', () => {
    expect(retryDelay(options, failure(3, { kind: 'rate-limited', retryAfterMs: 5 }))).toBeUndefined()
  })
})

describe('full jitter', () => {
  const options: RetryOptions = { maxAttempts: 20, baseMs: 100, capMs: 10_000 }

  test('stays between 0 and the bound and depends on run, key and failure alone', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.integer({ min: 1, max: 19 }), (runId, key, failures) => {
        const asked = failure(failures, {}, runId, key)

        const delay = retryDelay(options, asked)

        expect(delay).toBeGreaterThanOrEqual(0)
        expect(delay).toBeLessThanOrEqual(Math.min(10_000, 100 * 2 ** (failures - 1)))
        expect(Number.isInteger(delay)).toBe(true)
        expect(retryDelay(options, structuredClone(asked))).toBe(delay)
      }),
    )
  })

  test('spreads runs over the whole range', () => {
    const spread = Array.from({ length: 1000 }, (_, n) => retryDelay(options, failure(7, {}, `run-${n}`)) ?? 0)

    const mean = spread.reduce((sum, delay) => sum + delay, 0) / spread.length
    expect(mean).toBeGreaterThan(2900)
    expect(mean).toBeLessThan(3500)
    expect(Math.min(...spread)).toBeLessThan(100)
    expect(Math.max(...spread)).toBeGreaterThan(6300)
  })

  test('differs from failure to failure and from key to key', () => {
    const some = [failure(7), failure(8), failure(7, {}, 'r', 'other'), failure(7, {}, 'other')]

    expect(new Set(some.map((each) => retryDelay(options, each))).size).toBe(4)
  })
})

describe('options that cannot work are refused when they are given', () => {
  test.for<[field: string, value: unknown]>([
    ['maxAttempts', 0],
    ['maxAttempts', 1.5],
    ['maxAttempts', Number.POSITIVE_INFINITY],
    ['maxAttempts', undefined],
    ['baseMs', -1],
    ['baseMs', Number.NaN],
    ['baseMs', Number.POSITIVE_INFINITY],
    ['factor', 0.5],
    ['factor', Number.NaN],
    ['factor', Number.POSITIVE_INFINITY],
    ['capMs', -1],
    ['capMs', Number.NaN],
    ['capMs', Number.POSITIVE_INFINITY],
    ['jitter', 'half'],
    ['maxAttempts', Symbol('s')],
    ['baseMs', Symbol('s')],
    ['factor', Symbol('s')],
    ['capMs', Symbol('s')],
    ['jitter', Object.create(null)],
  ])('%s %j', ([field, value]) => {
    const making = (): unknown => retryWithBackoff({ maxAttempts: 3, baseMs: 10, [field]: value })

    expect(making).toThrow(expect.objectContaining(kernelError('INVALID_DEFINITION')))
    expect(making).toThrow(field)
  })

  test.for([undefined, null, '3'])('as %j', (options) => {
    const making = (): unknown => retryWithBackoff(options as never)

    expect(making).toThrow(expect.objectContaining(kernelError('INVALID_DEFINITION')))
  })
})
