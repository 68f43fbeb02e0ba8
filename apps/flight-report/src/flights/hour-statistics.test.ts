import { expect, test } from 'vitest'
import { bandTotals, BAND_STARTS, hourStatistics, lateShare, meanDelay } from './hour-statistics.ts'

const flight = (delay: number, distance = 100) => ({ delay, distance, time: 7.5 })

test('folds one hour: totals, quartiles, and flights that are more than 15 minutes late', () => {
  const flights = [flight(-5), flight(0), flight(15), flight(16), flight(60)]

  const statistics = hourStatistics(7, flights)

  expect(statistics).toMatchObject({ hour: 7, flights: 5, delaySum: 86, late: 2 })
  expect(statistics).toMatchObject({ lowerQuartile: 0, median: 15, upperQuartile: 16 })
  expect(meanDelay(statistics)).toBe(17.2)
  expect(lateShare(statistics)).toBe(0.4)
})

test('takes the middle between two flights as the median of an even number', () => {
  const statistics = hourStatistics(0, [flight(10), flight(1), flight(4), flight(2)])

  expect(statistics.median).toBe(3)
})

test('says null, not zero, of an hour without flights', () => {
  const statistics = hourStatistics(3, [])

  expect(statistics).toMatchObject({ flights: 0, median: null, lowerQuartile: null, upperQuartile: null })
  expect(meanDelay(statistics)).toBeNull()
  expect(lateShare(statistics)).toBeNull()
})

test('puts every flight into the band that its distance begins or lies in', () => {
  const statistics = hourStatistics(7, [
    flight(1, 0),
    flight(2, 249),
    flight(4, 250),
    flight(8, 2499),
    flight(16, 9999),
  ])

  expect(statistics.bands.map(({ delaySum }) => delaySum)).toEqual([3, 4, 0, 0, 0, 8, 16])
})

test('adds bands up over hours', () => {
  const hours = [hourStatistics(0, [flight(20, 100)]), hourStatistics(1, [flight(10, 200), flight(30, 600)])]

  const bands = bandTotals(hours)

  expect(bands).toHaveLength(BAND_STARTS.length)
  expect(bands[0]).toEqual({ flights: 2, delaySum: 30, late: 1 })
  expect(bands[2]).toEqual({ flights: 1, delaySum: 30, late: 1 })
})
