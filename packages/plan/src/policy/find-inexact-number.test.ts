import type { Json } from '@varve/store'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { findInexactNumber } from './find-inexact-number.ts'

test.for([0.5, -1.25, 1e-7, 2 ** 53, -(2 ** 53), 1e21, -0, NaN, Infinity, -Infinity])('%d is not exact', (number) => {
  expect(findInexactNumber({ list: [1, { rate: number }] })).toEqual({ path: 'value.list[1].rate', value: number })
})

test.for([0, 1, -1, 1.0, 1e3, 2 ** 53 - 1, -(2 ** 53) + 1])('%d is exact', (number) => {
  expect(findInexactNumber({ list: [1, { rate: number }] })).toBeUndefined()
})

test('numbers in texts and names are none of its business', () => {
  expect(findInexactNumber({ '0.5': '0.5', none: null, flag: true })).toBeUndefined()
})

test('the value is called as it is told', () => {
  expect(findInexactNumber(0.5, 'manifest')?.path).toBe('manifest')
  expect(findInexactNumber({ 'a b': 0.5 }, 'manifest')?.path).toBe('manifest["a b"]')
})

test('a value has an inexact number just when one of its numbers is no safe integer', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const numbers: number[] = []
      JSON.stringify(value, (_, part: unknown) => {
        if (typeof part === 'number') numbers.push(part)
        return part
      })

      const found = findInexactNumber(value as Json)

      const inexact = numbers.filter((number) => !Number.isSafeInteger(number) || Object.is(number, -0))
      expect(found?.value).toEqual(inexact[0])
    }),
  )
})
