import { isStoreError } from '@varve/store'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pageOf, readCursor } from './cursor.ts'

const isNumber = (value: unknown): value is number => typeof value === 'number'

test('a page that is not the last one names the position of its last item', () => {
  const page = pageOf([1, 2, 3], 2, String, (n) => n)

  expect(page.items).toEqual(['1', '2'])
  expect(readCursor(page.next ?? '', isNumber)).toBe(2)
})

test('the last page has no next, full or not', () => {
  expect(pageOf([1, 2], 2, String, (n) => n)).toEqual({ items: ['1', '2'] })
  expect(pageOf([], 2, String, (n) => n)).toEqual({ items: [] })
})

test('a page that is bounded in bytes ends before it has more, and has one item at least', () => {
  const sizesOf = (found: readonly number[]): readonly number[] =>
    pageOf(found, 3, (n) => n, String, { bytes: 4, sizeOf: (n) => n }).items

  expect(sizesOf([1, 3, 1])).toEqual([1, 3])
  expect(sizesOf([5, 1])).toEqual([5])
  expect(sizesOf([1, 1, 1, 1])).toEqual([1, 1, 1])
  expect(sizesOf([])).toEqual([])
})

test('any text that no page gave is refused', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        return isNumber(readCursor(text, isNumber))
      } catch (error) {
        return isStoreError(error, 'INVALID_ARGUMENT')
      }
    }),
  )
})

test.for([null, undefined, 7, {}, [], Symbol('a')])('what is no text is no cursor: %s', (cursor) => {
  const reading = (): unknown => readCursor(cursor, (_): _ is unknown => false)

  expect(reading).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
})
