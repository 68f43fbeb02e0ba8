import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { checkList, checkNames, checkOneOf, checkOptions, isFrom, shown, type NamesOf } from './given-value.ts'

const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const refused = (text: string): object => ({ code: 'INVALID_ARGUMENT', message: `INVALID_ARGUMENT: ${text}` })

describe('a value in the text of an error', () => {
  test.for<[string, unknown]>([
    ['"a\\nb"', 'a\nb'],
    [JSON.stringify('x'.repeat(80)), 'x'.repeat(80)],
    ['a text of 81 characters', 'x'.repeat(81)],
    ['NaN', Number.NaN],
    ['undefined', undefined],
    ['null', null],
    ['false', false],
    ['a bigint', 7n],
    ['a list', [1]],
    ['an object', Object.create(null)],
    ['an object', { toString: null }],
    ['a symbol', Symbol('s')],
    ['a function', () => 1],
  ])('is %s', ([text, value]) => {
    expect(shown(value)).toBe(text)
  })
})

test.for(['text', 7, null, undefined, [], () => 1])('no options: %j', (value) => {
  expect(() => {
    checkOptions('options', value)
  }).toThrow(
    expect.objectContaining(
      refused(`options must be an object, got ${typeof value === 'string' ? 'a text' : shown(value)}`),
    ),
  )
})

test.for([{}, Object.create(null), new Map()])('options: %j', (value) => {
  expect(() => {
    checkOptions('options', value)
  }).not.toThrow()
})

test('an option that nobody reads is refused by its name, unless it is of an instance of a class', () => {
  class Whole {
    readonly a = 1
    readonly own = 2
  }
  const names: NamesOf<{ readonly a: number; readonly b?: number }> = { a: true, b: true }

  expect(() => {
    checkNames('a worker', { a: 1, own: undefined }, names)
  }).toThrow(expect.objectContaining(refused('a worker has no option "own", only a, b')))
  expect(() => {
    checkNames('a worker', new Whole(), names)
    checkNames('a worker', { a: 1 }, names)
  }).not.toThrow()
})

test('an option of another realm is refused by its name, too; one that every object has is none', () => {
  const names = { a: true } as const
  const foreign = runInNewContext('({ a: 1, own: 2 })') as object

  expect(() => {
    checkNames('a worker', foreign, names)
  }).toThrow(expect.objectContaining(refused('a worker has no option "own", only a')))
  expect(() => {
    checkNames('a worker', { constructor: 1 }, names)
  }).toThrow(expect.objectContaining(refused('a worker has no option "constructor", only a')))
})

test.for(['text', { length: 0 }, null, undefined, new Set()])('no list: %j', (value) => {
  expect(() => {
    checkList('tags', value)
  }).toThrow(
    expect.objectContaining(refused(`tags must be a list, got ${typeof value === 'string' ? 'a text' : shown(value)}`)),
  )
})

test('what cannot even be read is an object, and neither options nor a list', () => {
  expect(shown(revoked())).toBe('an object that cannot be read')
  expect(() => {
    checkOptions('options', revoked())
  }).toThrow(expect.objectContaining(refused('options must be an object, got an object that cannot be read')))
  expect(() => {
    checkList('tags', revoked())
  }).toThrow(expect.objectContaining(refused('tags must be a list, got an object that cannot be read')))
})

test('one of several names is just one of them', () => {
  expect(() => {
    checkOneOf('guard', 'warn', ['throw', 'warn'])
  }).not.toThrow()
  expect(() => {
    checkOneOf('guard', 'Warn', ['throw', 'warn'])
  }).toThrow(expect.objectContaining(refused('guard must be throw or warn, got "Warn"')))
})

test('a number from 5 on is no text of digits', () => {
  expect([5, 6.5, Infinity].every((each) => isFrom(5, each))).toBe(true)
  expect([4.9, Number.NaN, '5', 5n, true, [5], null, { valueOf: () => 5 }].some((each) => isFrom(5, each))).toBe(false)
})
