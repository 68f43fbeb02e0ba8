import { expect, test } from 'vitest'
import { ActionError, errorInfoOf } from './action-error.ts'

test('an action error is recorded with its kind, code and hint', () => {
  const error = new ActionError('rate-limited', 'slow down', { code: 'HTTP_429', retryAfterMs: 2500, cause: 'x' })

  expect(errorInfoOf(error)).toEqual({
    ...{ message: 'slow down', kind: 'rate-limited', name: 'ActionError', code: 'HTTP_429', retryAfterMs: 2500 },
  })
})

test('an action error of a second installed copy counts, for its fields are looked at', () => {
  const foreign = Object.assign(new Error('later'), { name: 'ActionError', kind: 'transient' })

  expect(errorInfoOf(foreign)).toEqual({ message: 'later', kind: 'transient', name: 'ActionError' })
})

test('any other error is permanent, and its stack and cause are left out', () => {
  expect(errorInfoOf(new Error('boom', { cause: 'secret' }))).toEqual({ message: 'boom', kind: 'permanent' })
  expect(errorInfoOf(new TypeError('no'))).toEqual({ message: 'no', kind: 'permanent', name: 'TypeError' })
})

test.for<[what: string, thrown: unknown, message: string]>([
  ['text', 'boom', 'boom'],
  ['a number', 42, '42'],
  ['nothing', undefined, 'undefined'],
  ['null', null, 'null'],
  ['an object', { reason: 'boom' }, '{"reason":"boom"}'],
  ['a BigInt', 1n, 'bigint'],
  ['a symbol', Symbol('s'), 'symbol'],
  ['a function', () => 1, 'function'],
])('%s that is thrown becomes a message', ([, thrown, message]) => {
  expect(errorInfoOf(thrown)).toMatchObject({ message, kind: 'permanent' })
})

test.for<[what: string, thrown: unknown]>([
  ['an error whose message is no text', Object.assign(new Error('x'), { message: 42 })],
  [
    'an error whose message cannot be read',
    Object.defineProperty(new Error('x'), 'message', {
      get: () => {
        throw new Error('no')
      },
    }),
  ],
  [
    'an object whose fields cannot be read',
    new Proxy(
      {},
      {
        get: () => {
          throw new Error('no')
        },
      },
    ),
  ],
])('%s is recorded all the same', ([, thrown]) => {
  const { message, kind } = errorInfoOf(thrown)

  expect(kind).toBe('permanent')
  expect(typeof message).toBe('string')
})

test('long texts are cut, and never in the middle of a character', () => {
  const error = Object.assign(new Error('😀'.repeat(4000)), {
    name: `n${'😀'.repeat(200)}`,
    code: `c${'😀'.repeat(200)}`,
  })

  const info = errorInfoOf(error)

  expect(info.message.length).toBeLessThanOrEqual(4000)
  for (const text of [`x${info.message}`, info.name, info.code]) expect(text?.isWellFormed()).toBe(true)
  expect(errorInfoOf(new Error(`x${'😀'.repeat(4000)}`)).message.isWellFormed()).toBe(true)
})

test('a lone surrogate in a text is replaced', () => {
  expect(errorInfoOf(new Error('a\ud800b')).message).toBe('a\ufffdb')
})

test.for([-1, Number.NaN, Number.POSITIVE_INFINITY, '5'])('a hint of %j is left out', (retryAfterMs) => {
  expect(errorInfoOf(Object.assign(new Error('x'), { retryAfterMs }))).not.toHaveProperty('retryAfterMs')
})
