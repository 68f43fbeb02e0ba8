import { runInNewContext } from 'node:vm'
import reference from 'canonicalize'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isStoreError, type StoreError } from '../errors.ts'
import { canonicalize, canonicalJson, formatPath } from './canonical-json.ts'

function refusalOf(value: unknown, maxDepth?: number): StoreError {
  try {
    canonicalize(value, { name: 'input', ...(maxDepth !== undefined && { maxDepth }) })
  } catch (error) {
    if (isStoreError(error)) return error
    throw error
  }
  throw new Error('it was accepted')
}

function double(hex: string): number {
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, BigInt(`0x${hex}`))
  return view.getFloat64(0)
}

/** Own keys of an object and of every object in it, in their order. */
function keyOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(keyOrder)
  if (typeof value !== 'object' || value === null) return undefined
  return Object.keys(value).map((key) => [key, keyOrder((value as Record<string, unknown>)[key])])
}

describe('the vectors of RFC 8785', () => {
  // Appendix B. Integers beyond 2^53 - 1 are left out here: we refuse them.
  test.for([
    ['0000000000000000', '0'],
    ['8000000000000000', '0'],
    ['0000000000000001', '5e-324'],
    ['8000000000000001', '-5e-324'],
    ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
    ['3eb0c6f7a0b5ed8d', '0.000001'],
    ['41b3de4355555553', '333333333.3333332'],
    ['41b3de4355555554', '333333333.33333325'],
    ['41b3de4355555555', '333333333.3333333'],
    ['41b3de4355555556', '333333333.3333334'],
    ['41b3de4355555557', '333333333.33333343'],
    ['becbf647612f3696', '-0.0000033333333333333333'],
    ['43143ff3c1cb0959', '1424953923781206.2'],
  ] as const)('the double %s is written as %s', ([hex, text]) => {
    expect(canonicalJson(double(hex))).toBe(text)
  })

  test.for([
    '7fefffffffffffff',
    'ffefffffffffffff',
    '4340000000000000',
    'c340000000000000',
    '4430000000000000',
    '44b52d02c7e14af5',
    '44b52d02c7e14af6',
    '44b52d02c7e14af7',
    '444b1ae4d6e2ef4e',
    '444b1ae4d6e2ef4f',
    '444b1ae4d6e2ef50',
    '7fffffffffffffff',
    '7ff0000000000000',
  ])('the double %s, an integer that is not exact or no number, is refused', (hex) => {
    expect(refusalOf(double(hex)).code).toBe('NOT_JSON')
  })

  test('the example of section 3.2.2 comes out as in section 3.2.4', () => {
    // Without its 1E30, which is an integer beyond 2^53 - 1.
    const value = {
      numbers: [Number('333333333.33333329'), 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    }

    expect(canonicalJson(value)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    )
  })

  test('properties are sorted by UTF-16 code units, so an astral key comes before U+FB33', () => {
    const value = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    }

    const keys = [...canonicalJson(value).matchAll(/"([^"]+)":/g)].map(([, key]) => key)

    expect(keys).toEqual(['\\r', '1', '\u0080', '\u00f6', '\u20ac', '\ud83d\ude00', '\ufb33'])
  })

  test('control characters are escaped in their shortest form, nothing else is', () => {
    expect(canonicalJson('\b\t\n\f\r"\\/\u0000\u001f\u007f\u2028')).toBe(
      '"\\b\\t\\n\\f\\r\\"\\\\/\\u0000\\u001f\u007f\u2028"',
    )
  })
})

describe('where something has given arrays a toJSON', () => {
  test('they are written as what they hold', () => {
    const toJSON = { value: () => 'theirs', configurable: true }
    Object.defineProperty(Array.prototype, 'toJSON', toJSON)
    try {
      expect(canonicalize({ list: [1] })).toEqual({ text: '{"list":[1]}', copy: { list: [1] } })
    } finally {
      delete (Array.prototype as { toJSON?: unknown }).toJSON
    }
  })
})

describe('for any JSON value', () => {
  const anyJson = fc.jsonValue({ maxDepth: 6, noUnicodeString: false, stringUnit: 'binary' }).filter(hasExactIntegers)

  function hasExactIntegers(value: unknown): boolean {
    if (typeof value === 'number') return !Number.isInteger(value) || Number.isSafeInteger(value)
    if (typeof value !== 'object' || value === null) return true
    return Object.values(value).every(hasExactIntegers)
  }

  test('the text is that of an independent implementation', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        expect(canonicalJson(value)).toBe(reference(value))
      }),
    )
  })

  test('the copy equals the parsed text, the order of properties included', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const { text, copy } = canonicalize(value)

        const parsed: unknown = JSON.parse(text)
        expect(copy).toStrictEqual(parsed)
        expect(keyOrder(copy)).toEqual(keyOrder(parsed))
      }),
    )
  })

  test('making the copy canonical again changes nothing', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const { text, copy } = canonicalize(value)

        expect(canonicalize(copy)).toStrictEqual({ text, copy })
      }),
    )
  })

  test('it is written alike within an object that has an integer as key, and its copy is alike', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const { text, copy } = canonicalize(value)

        const inside = canonicalize({ 7: value, '!': null })

        expect(inside.text).toBe(`{"!":null,"7":${text}}`)
        expect(keyOrder(inside.copy)).toEqual(keyOrder({ 7: copy, '!': null }))
        expect(inside.copy).toStrictEqual({ 7: copy, '!': null })
      }),
    )
  })

  test('any double that is no inexact integer survives a round trip', () => {
    fc.assert(
      fc.property(
        fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => hasExactIntegers(n)),
        (number) => {
          expect(JSON.parse(canonicalJson(number))).toBe(number === 0 ? 0 : number)
        },
      ),
    )
  })
})

describe('the copy', () => {
  test('shares nothing with the value', () => {
    const value = { list: [{ n: 1 }], inner: { deep: { n: 1 } } }

    const { copy } = canonicalize(value)
    value.list[0]!.n = 2
    value.list.push({ n: 3 })
    value.inner.deep.n = 2

    expect(copy).toEqual({ list: [{ n: 1 }], inner: { deep: { n: 1 } } })
  })

  test('has 0 for -0, as the text has', () => {
    const { text, copy } = canonicalize([-0])

    expect(text).toBe('[0]')
    expect(copy).toStrictEqual([0])
  })

  test('keeps a property named __proto__ as a property', () => {
    const { text, copy } = canonicalize(JSON.parse('{"__proto__":{"polluted":1},"a":2}'))

    expect(text).toBe('{"__proto__":{"polluted":1},"a":2}')
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype)
    expect(Object.keys(copy as object)).toEqual(['__proto__', 'a'])
    expect((copy as { polluted?: number }).polluted).toBeUndefined()
  })

  test('has integer-like keys where JSON.parse puts them, while the text sorts them as strings', () => {
    const { text, copy } = canonicalize({ b: 1, '10': 1, '9': 1, '-1': 1 })

    expect(text).toBe('{"-1":1,"10":1,"9":1,"b":1}')
    expect(Object.keys(copy as object)).toEqual(Object.keys(JSON.parse(text) as object))
  })

  test('is made of objects without a prototype and of those of another realm, too', () => {
    const bare: unknown = Object.assign(Object.create(null) as object, { a: 1 })
    const foreign: unknown = runInNewContext('({ a: 1 })')

    expect(canonicalize(bare)).toStrictEqual({ text: '{"a":1}', copy: { a: 1 } })
    expect(canonicalize(foreign)).toStrictEqual({ text: '{"a":1}', copy: { a: 1 } })
  })
})

describe('what JSON cannot keep is refused with its path', () => {
  const revoked = (): object => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }
  class Money {
    readonly cents = 1
  }
  const withNamedProperty = Object.assign([1], { extra: 2 })
  const withSymbolKey = Object.assign([1], { [Symbol('s')]: 2 })

  test.for<[what: string, value: unknown, path: string]>([
    ['undefined', undefined, 'input'],
    ['an undefined property', { a: undefined }, 'input.a'],
    ['undefined in an array', { a: [1, undefined] }, 'input.a[1]'],
    ['NaN', { a: { b: [Number.NaN] } }, 'input.a.b[0]'],
    ['Infinity', [Number.POSITIVE_INFINITY], 'input[0]'],
    ['-Infinity', [Number.NEGATIVE_INFINITY], 'input[0]'],
    ['a BigInt', { n: 1n }, 'input.n'],
    ['a symbol', { s: Symbol('s') }, 'input.s'],
    ['a symbol as key', { a: { [Symbol('s')]: 1 } }, 'input.a'],
    ['a symbol as key of an array', { a: withSymbolKey }, 'input.a'],
    ['a function', { f: () => 1 }, 'input.f'],
    ['a toJSON method', { toJSON: () => 1 }, 'input.toJSON'],
    ['a Date', { 'due at': new Date(0) }, 'input["due at"]'],
    ['a Map', { items: [{ m: new Map() }] }, 'input.items[0].m'],
    ['a Set', [new Set()], 'input[0]'],
    ['a RegExp', [/a/], 'input[0]'],
    ['bytes', { b: new Uint8Array(1) }, 'input.b'],
    ['a class instance', { price: new Money() }, 'input.price'],
    ['a boxed number', { n: Object(1) as unknown }, 'input.n'],
    ['an object that inherits from another', Object.create({ a: 1 }), 'input'],
    // eslint-disable-next-line no-sparse-arrays
    ['a hole', { a: [1, , 3] }, 'input.a'],
    ['a named property of an array', { a: withNamedProperty }, 'input.a'],
    ['a lone surrogate', { s: 'a\ud800' }, 'input.s'],
    ['a lone surrogate in a key', { a: { 'x\udc00': 1 } }, 'input.a["x\\udc00"]'],
    ['2^53', [2 ** 53], 'input[0]'],
    ['-2^53', { n: -(2 ** 53) }, 'input.n'],
    ['an integer of many digits', { n: 1e300 }, 'input.n'],
  ])('%s', ([, value, path]) => {
    const error = refusalOf(value)

    expect(error.code).toBe('NOT_JSON')
    expect(error.where.path).toBe(path)
    expect(error.message).toContain(path)
  })

  test.for<[what: string, make: () => unknown, path: string]>([
    [
      'a getter that throws',
      () => ({
        a: [
          {
            get b() {
              throw new Error('SECRET')
            },
          },
        ],
      }),
      'input.a[0].b',
    ],
    ['a proxy that was revoked', () => ({ a: revoked() }), 'input.a'],
    [
      'a proxy that shows no keys',
      () => ({
        a: new Proxy(
          {},
          {
            ownKeys: () => {
              throw new Error('SECRET')
            },
          },
        ),
      }),
      'input.a',
    ],
  ])('%s', ([, make, path]) => {
    const error = refusalOf(make())

    expect(error.code).toBe('NOT_JSON')
    expect(error.where.path).toBe(path)
    expect(error.message).toContain(`${path} cannot be read`)
    expect(error.message).not.toContain('SECRET')
    expect(error.cause).toBeInstanceOf(Error)
  })

  test('the error names the class of an instance', () => {
    expect(refusalOf({ price: new Money() }).message).toContain('an instance of Money')
  })

  test('the largest exact integers are kept', () => {
    expect(canonicalJson([2 ** 53 - 1, -(2 ** 53) + 1])).toBe('[9007199254740991,-9007199254740991]')
  })
})

describe('depth', () => {
  const nested = (levels: number, wrap: (inner: unknown) => unknown): unknown => {
    let value: unknown = 1
    for (let i = 0; i < levels; i++) value = wrap(value)
    return value
  }

  test('100 levels are allowed, of arrays and of objects', () => {
    const arrays = nested(100, (inner) => [inner])
    const objects = nested(100, (a) => ({ a }))

    expect(canonicalJson(arrays)).toHaveLength(201)
    expect(JSON.parse(canonicalJson(objects))).toEqual(objects)
  })

  test('the 101st level is refused with its path', () => {
    const error = refusalOf(nested(101, (inner) => [inner]))

    expect(error.code).toBe('LIMIT_EXCEEDED')
    expect(error.where.path).toBe(`input${'[0]'.repeat(100)}`)
  })

  test('the bound can be set', () => {
    expect(refusalOf([[1]], 1).code).toBe('LIMIT_EXCEEDED')
    expect(canonicalJson([1], { maxDepth: 1 })).toBe('[1]')
  })

  test('a cycle is refused', () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle

    expect(refusalOf(cycle).code).toBe('LIMIT_EXCEEDED')
  })

  test('the same object in two places is no cycle', () => {
    const shared = { a: 1 }

    const { copy } = canonicalize([shared, shared])

    expect(copy).toEqual([{ a: 1 }, { a: 1 }])
    expect((copy as unknown[])[0]).not.toBe((copy as unknown[])[1])
  })
})

test('a path quotes keys that are no identifiers', () => {
  expect(formatPath(['input', 'items', 3, 'a b', 'größe', '1a', '$_'])).toBe('input.items[3]["a b"].größe["1a"].$_')
})
