import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { BoundaryName } from '../boundaries.ts'
import {
  formatPoints,
  isLostAnswer,
  livesOf,
  parsePoints,
  pointsAlong,
  sampleOf,
  type CrashPoint,
} from './crash-point.ts'

const point = fc
  .tuple(
    fc.constantFrom('append', 'acquire', 'action'),
    fc.integer({ min: 1, max: 99 }),
    fc.constantFrom('before', 'after', 'lost'),
  )
  .map((parts) => parts.join(':') as CrashPoint)
const points = fc.array(point, { maxLength: 5 })

test('a case is found again by its name', () => {
  fc.assert(
    fc.property(points, (crashes) => {
      expect(parsePoints(formatPoints(crashes))).toEqual(crashes)
    }),
  )
})

test('every point strikes one process, in order, and each but the last process dies of its last point', () => {
  fc.assert(
    fc.property(points, (crashes) => {
      const lives = livesOf(crashes)

      expect(lives.flat()).toEqual(crashes)
      for (const [index, life] of lives.entries()) {
        const deaths = life.filter((each) => !isLostAnswer(each))
        expect(deaths).toEqual(index === lives.length - 1 ? [] : life.slice(-1))
      }
    }),
  )
})

test('a sample has the wanted size, keeps the order and follows from the seed', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat()), fc.nat(20), fc.nat(), (items, count, seed) => {
      const sample = sampleOf(items, count, seed)

      expect(sample).toHaveLength(Math.min(count, items.length))
      expect(items.filter((item) => sample.includes(item))).toEqual(sample)
      expect(sampleOf(items, count, seed)).toEqual(sample)
    }),
  )
})

test('answers can be lost to calls of the store only, and only after them', () => {
  const passed: BoundaryName[] = [
    'append:1:before',
    'append:1:after',
    'action:1:before',
    'action:1:after',
    'effect:1:after',
  ]

  const along = pointsAlong(passed)

  expect(along).toEqual([...passed.slice(0, 2), 'append:1:lost', ...passed.slice(2)])
})
