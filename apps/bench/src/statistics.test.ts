import { expect, test } from 'vitest'
import { median, percentile, spreadOf } from './statistics.ts'

test('takes the middle of an odd number of rounds, and the mean of the middle two of an even one', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 3, 2])).toBe(2.5)
})

test('takes for a percentile the least number that so many do not exceed', () => {
  const numbers = Array.from({ length: 200 }, (_, i) => 200 - i)

  expect([0.5, 0.99, 1].map((part) => percentile(numbers, part))).toEqual([100, 198, 200])
  expect(percentile([7], 0.99)).toBe(7)
})

test('spreads from the least to the greatest around the middle', () => {
  expect(spreadOf([5, 1, 2])).toEqual({ median: 2, min: 1, max: 5 })
})
