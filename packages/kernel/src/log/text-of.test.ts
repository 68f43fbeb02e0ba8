import { canonicalJson, isStoreError, type Json } from '@varve/store'
import fc from 'fast-check'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { isSameJson, textOfJson } from './text-of.ts'

const DEPTH = 100

const anyJson = fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }) as fc.Arbitrary<Json>

function textOf(value: unknown, maxDepth = DEPTH): string | undefined {
  try {
    return canonicalJson(value, { maxDepth })
  } catch (error) {
    if (isStoreError(error)) return undefined
    throw error
  }
}

/** The same with its properties the other way round. */
function reversed(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(reversed)
  const entries = Object.entries(value).map(([key, part]) => [key, reversed(part)] as const)
  return Object.fromEntries(entries.reverse())
}

class Point {
  readonly x = 1
}

/** Values that look like what their text is parsed to, and bodies that look canonical. */
const odd: readonly unknown[] = [
  ...[undefined, NaN, Infinity, -0, 1e300, 2 ** 53, 10n, Symbol('s'), () => 1, '\ud800', '\\ud800', 'é\ud83d\ude00'],
  ...([
    new Date(0),
    new Point(),
    new Map([['x', 1]]),
    new Set([1]),
    /x/,
    Object(1),
    Object('x'),
    new Uint8Array(1),
  ] as unknown[]),
  ...[
    { x: undefined },
    { x: 1, [Symbol('s')]: 1 },
    Object.assign([1], { x: 1 }),
    Object.assign([1], { [Symbol('s')]: 1 }),
  ],
  ...[[undefined], Array(1), Object.assign(Array(2), { 0: 1, x: 1 }), { x: 1, toJSON: () => 2 }],
  ...([
    Object.create({ x: 1 }),
    Object.create(null),
    Object.assign(Object.create(null) as object, { x: 1 }),
  ] as unknown[]),
  ...[Object.defineProperty({ y: 1 }, 'x', { value: 1 }), Object.defineProperty({ x: 1 }, 'y', { value: 1 })],
  ...[
    Object.defineProperty({ x: 1 }, 'toJSON', { value: () => 2 }),
    {
      get x() {
        return 1
      },
    },
  ],
  ...([
    JSON.parse('{"__proto__":{}}'),
    JSON.parse('{"__proto__":{"x":1}}'),
    JSON.parse('{"constructor":1}'),
  ] as unknown[]),
  ...([
    { 2: 1, 10: 1 },
    { 10: 1, 9: 1, x: 1 },
    { b: 1, a: 1 },
    { x: -0 },
    [-0],
    runInNewContext('({ x: 1 })'),
  ] as unknown[]),
]

const bodies = [
  ...[
    'null',
    'true',
    '0',
    '-0',
    '1',
    '1.0',
    '1e2',
    '100',
    '1e300',
    '1e400',
    '9007199254740992',
    '9007199254740993',
    '10',
  ],
  ...['""', '"x"', '"\\ud800"', '"\\\\ud800"', '"\\u0078"', '"é😀"', '[]', '[null]', '[0]', '[1]', '[1,null]', '[ 1]'],
  ...[
    '{}',
    '{"x":1}',
    '{"x":0}',
    '{"y":1}',
    '{"x":1,"y":1}',
    '{"y":1,"x":1}',
    '{"x":1,"x":1}',
    '{"x":2,"x":1}',
    '{"x":1} ',
  ],
  ...[
    '{"__proto__":{}}',
    '{"__proto__":{"x":1}}',
    '{"constructor":1}',
    '{"a":1,"b":1}',
    '{"b":1,"a":1}',
    '{"0":1}',
    '2',
  ],
  ...[
    '{"10":1,"2":1}',
    '{"2":1,"10":1}',
    '{"10":1,"9":1,"x":1}',
    '{"0":1,"x":1}',
    '"1970-01-01T00:00:00.000Z"',
    '{"x":{}}',
  ],
]

test('what is said to be the same as what a log holds is written like it, however odd it is', () => {
  for (const value of odd) for (const body of bodies) checkLaw(value, body)
  const anything = fc.anything({
    ...{ withDate: true, withMap: true, withNullPrototype: true, withObjectString: true, withSparseArray: true },
    ...{ withBigInt: true, withSet: true, withBoxedValues: true, withTypedArray: true, stringUnit: 'binary' },
  })

  fc.assert(
    fc.property(anything, fc.constantFrom(...odd), fc.boolean(), (value, part, nested) => {
      const whole = nested ? { value, part, list: [value, part] } : value
      let body: string | undefined
      try {
        body = JSON.stringify(whole)
      } catch {
        // A value of BigInt.
      }
      checkLaw(whole, body ?? 'null')
      checkLaw(whole, textOf(whole) ?? 'null')
    }),
  )
})

function checkLaw(value: unknown, body: string): void {
  const parsed = JSON.parse(body) as Json
  if (isSameJson(value, parsed, DEPTH)) expect(textOf(value)).toBe(textOf(parsed))
}

test('two values of JSON are the same only when they are equal', () => {
  fc.assert(
    fc.property(anyJson, anyJson, fc.boolean(), (a, b, sorted) => {
      const body = (sorted ? textOf(b) : undefined) ?? JSON.stringify(b)

      checkLaw(a, body)
      checkLaw(b, body)
      checkLaw(reversed(b), body)
      checkLaw({ a, b }, JSON.stringify({ a, b }))
      checkLaw({ a, b: a }, JSON.stringify({ a, b }))
    }),
  )
})

test('an ordinary value is told to be the same, in whatever order its properties are', () => {
  const names = fc.string({ unit: 'grapheme' }).filter((name) => !/^\d/.test(name) && name !== '__proto__')
  const parts = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.double({ min: -1, max: 1, noNaN: true }),
  )
  const { value: ordinary } = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      parts,
      fc.array(tie('value')),
      fc.dictionary(names, tie('value'), { noNullPrototype: true }),
    ),
  }))

  fc.assert(
    fc.property(ordinary, (value) => {
      const parsed = JSON.parse(canonicalJson(value)) as Json

      expect(isSameJson(value, parsed, DEPTH)).toBe(true)
      expect(isSameJson(reversed(value), parsed, DEPTH)).toBe(true)
    }),
  )
})

test('a value that nests too deep is not said to be the same', () => {
  const nested = (depth: number): Json => (depth === 0 ? [] : { x: nested(depth - 1) })

  expect(textOf(nested(3), 4)).toBe(canonicalJson(nested(3)))
  expect(isSameJson(nested(3), nested(3), 4)).toBe(true)
  expect(textOf(nested(3), 3)).toBeUndefined()
  expect(isSameJson(nested(3), nested(3), 3)).toBe(false)
})

test('the text of what a log holds is its canonical JSON, also where a foreign log holds what is not canonical', () => {
  const tried = (write: () => string): string | undefined => {
    try {
      return write()
    } catch (error) {
      return isStoreError(error) ? error.code : undefined
    }
  }
  const checkText = (value: Json): void => {
    expect(tried(() => textOfJson(value))).toBe(tried(() => canonicalJson(value)))
  }

  for (const body of bodies) checkText(JSON.parse(body) as Json)
  checkText(JSON.parse(`${'['.repeat(100)}${']'.repeat(100)}`) as Json)
  checkText(JSON.parse(`${'['.repeat(101)}${']'.repeat(101)}`) as Json)
  fc.assert(
    fc.property(anyJson, (value) => {
      checkText(value)
      checkText(reversed(value))
    }),
  )
})
