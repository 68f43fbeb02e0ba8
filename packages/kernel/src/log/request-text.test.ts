import { canonicalJson, type Json } from '@varve/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { inputIn, requestIn } from './request-text.ts'

/** A log holds no integers beyond 2^53 - 1. */
function isWritable(value: unknown): boolean {
  try {
    canonicalJson(value)
    return true
  } catch {
    return false
  }
}

describe('the text of a request', () => {
  test('is taken apart into what it says, or not at all', () => {
    // Some look like what stands around an input.
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('","key":"k"}', ',"effect":"pure","input":', '{"action":"a', '"', '\\', ',"key":"a","tool":"t"}'),
    )
    const plain = fc.string({ unit: fc.constantFrom('a', 'b', ' ', ',', ':', '{', '}', 'é') })
    const name = fc.oneof({ weight: 1, arbitrary: text }, { weight: 4, arbitrary: plain })
    const anyInput = fc.oneof(
      fc.jsonValue({ stringUnit: 'binary' }).filter(isWritable),
      text,
      fc.record({ action: text, effect: fc.constant('pure'), input: text, key: text, provider: text, tool: text }),
    )
    const label = fc.option(name, { nil: undefined })
    const key = fc.oneof(
      plain.filter((key) => key !== ''),
      name.filter((key) => key !== ''),
    )
    const data = fc.record({
      ...{ key, action: name, input: anyInput },
      ...{ effect: fc.constantFrom('pure', 'idempotent', 'at-most-once'), tool: label, provider: label },
    })
    let apart = 0
    fc.assert(
      fc.property(data, (data) => {
        const { input, ...rest } = JSON.parse(JSON.stringify(data)) as { input: Json }

        const body = canonicalJson({ ...rest, input })
        const request = requestIn(body)

        expect(inputIn(body)).toBe(canonicalJson(input))
        if (request === undefined) return
        apart++
        expect(request).toEqual({ ...rest, input: canonicalJson(input) })
      }),
      { numRuns: 1000 },
    )
    expect(apart).toBeGreaterThan(300)
  })

  test.for([
    ['no labels', { action: 'charge', effect: 'pure', input: { cents: 1 }, key: 'charge:1' }],
    ['a label', { action: 'charge', effect: 'idempotent', input: null, key: 'k', tool: 'shell' }],
    ['both labels', { action: 'é', effect: 'at-most-once', input: [], key: 'k', provider: 'bank', tool: 'transfer' }],
    [
      'an input like itself',
      { action: 'a', effect: 'pure', input: { action: 'b', effect: 'pure', key: 'k' }, key: 'c' },
    ],
  ] as const)('with %s is taken apart', ([, data]) => {
    const { input, ...rest } = data

    expect(requestIn(canonicalJson(data))).toEqual({ ...rest, input: canonicalJson(input) })
  })

  test.for([
    ['nothing', ''],
    ['other data', '{"key":"k","output":1}'],
    ['another order', '{"key":"k","action":"a","effect":"pure","input":1}'],
    ['something before its input', '{"action":"a","effect":"pure","extra":1,"input":1,"key":"k"}'],
    ['something behind its key', '{"action":"a","effect":"pure","input":1,"key":"k","other":"o"}'],
    ['an effect that there is not', '{"action":"a","effect":"twice","input":1,"key":"k"}'],
    ['no input', '{"action":"a","effect":"pure","input":,"key":"k"}'],
    ['no key', '{"action":"a","effect":"pure","input":{"a":1,"key":"k"}}'],
    ['an empty key', '{"action":"a","effect":"pure","input":1,"key":""}'],
    ['a key that is too long', `{"action":"a","effect":"pure","input":1,"key":"${'k'.repeat(201)}"}`],
    ['an escaped key', '{"action":"a","effect":"pure","input":1,"key":"\\u0001"}'],
    ['a key that should be escaped', '{"action":"a","effect":"pure","input":1,"key":"a\n long one to copy"}'],
    ['a label that should be escaped', '{"action":"a","effect":"pure","input":1,"key":"k","tool":"\t"}'],
    ['an escaped name', '{"action":"\\n","effect":"pure","input":1,"key":"k"}'],
    ['no end', '{"action":"a","effect":"pure","input":1,"key":"k"'],
  ] as const)('with %s is not', ([, text]) => {
    expect(requestIn(text)).toBeUndefined()
  })
})
