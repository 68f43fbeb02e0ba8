import { expect, test } from 'vitest'
import { BAND_STARTS, dayStatistics, hourStatistics, lateShare, meanDelay } from './hour-statistics.ts'

/** Flights of an hour, each as its delay and its distance. */
const hourOf = (hour: number, flights: readonly (readonly [delay: number, distance: number])[]) => ({
  hour,
  delays: flights.map(([delay]) => delay),
  distances: flights.map(([, distance]) => distance),
})

const near = (...delays: readonly number[]) =>
  hourOf(
    7,
    delays.map((delay) => [delay, 100] as const),
  )

test('folds one hour: totals, quartiles, and flights that are more than 15 minutes late', () => {
  const statistics = hourStatistics(near(-5, 0, 15, 16, 60))

  expect(statistics).toMatchObject({ hour: 7, flights: 5, delaySum: 86, late: 2 })
  expect(statistics).toMatchObject({ lowerQuartile: 0, median: 15, upperQuartile: 16 })
  expect(meanDelay(statistics)).toBe(17.2)
  expect(lateShare(statistics)).toBe(0.4)
})

test('takes the middle between two flights as the median of an even number', () => {
  expect(hourStatistics(near(10, 1, 4, 2)).median).toBe(3)
})

test('says null, not zero, of an hour without flights', () => {
  const statistics = hourStatistics(near())

  expect(statistics).toMatchObject({ flights: 0, median: null, lowerQuartile: null, upperQuartile: null })
  expect(meanDelay(statistics)).toBeNull()
  expect(lateShare(statistics)).toBeNull()
})

test('puts every flight into the band that its distance begins or lies in', () => {
  const flights = [
    [1, 0],
    [2, 249],
    [4, 250],
    [8, 2499],
    [16, 9999],
  ] as const

  const { bands } = hourStatistics(hourOf(7, flights))

  expect(bands.map(({ delaySum }) => delaySum)).toEqual([3, 4, 0, 0, 0, 8, 16])
})

test('adds hours and their bands up to a day', () => {
  const early = hourStatistics(hourOf(0, [[20, 100]]))
  const later = hourStatistics(
    hourOf(1, [
      [10, 200],
      [30, 600],
    ]),
  )

  const { total, bands } = dayStatistics(0, [early, later])

  expect(total).toEqual({ flights: 3, delaySum: 60, late: 2 })
  expect(bands).toHaveLength(BAND_STARTS.length)
  expect(bands[0]).toEqual({ flights: 2, delaySum: 30, late: 1 })
  expect(bands[2]).toEqual({ flights: 1, delaySum: 30, late: 1 })
})
