import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { temporaryFolder } from '../testing/program.ts'
import type { Flight } from './flight.ts'
import { byHour, parseFlights, readFlightFile } from './flight-file.ts'
import { dayStatistics, hourStatistics } from './hour-statistics.ts'

const realFlights = fileURLToPath(new URL('../data/flights-200k.json', import.meta.resolve('vega-datasets')))

describe('the 200,000 real flights', () => {
  const rows = JSON.parse(readFileSync(realFlights, 'utf8')) as readonly Flight[]
  const hours = byHour(rows)

  test('lie in the hour of their departure, each of them once', () => {
    const delaysOf = (hour: number) => rows.filter(({ time }) => Math.trunc(time) === hour).map(({ delay }) => delay)

    expect(hours).toHaveLength(24)
    expect(hours.flatMap(({ delays }) => delays)).toHaveLength(200_000)
    expect(hours.every(({ hour, delays }) => delays.join() === delaysOf(hour).join())).toBe(true)
  })

  test('are read as they stand in their file', async () => {
    const { bytes } = await readFlightFile(realFlights)

    expect(parseFlights(bytes)).toEqual(rows)
  })

  test('add up hour by hour, and band by band, to what one pass over the file finds', () => {
    const onePass = { flights: 0, delaySum: 0, late: 0 }
    for (const { delay } of rows) {
      onePass.flights += 1
      onePass.delaySum += delay
      if (delay > 15) onePass.late += 1
    }

    const day = dayStatistics(0, hours.map(hourStatistics))

    expect(onePass).toEqual({ flights: 200_000, delaySum: 1_500_159, late: 43_145 })
    expect(day.total).toEqual(onePass)
    expect(day.bands.reduce((sum, { flights }) => sum + flights, 0)).toBe(200_000)
    expect(day.bands.reduce((sum, { delaySum }) => sum + delaySum, 0)).toBe(1_500_159)
  })

  test('have the medians that sorting finds', () => {
    for (const each of hours) {
      const delays = each.delays.toSorted((a, b) => a - b)
      const middle = delays.length / 2
      const sorted = ((delays[Math.ceil(middle) - 1] ?? 0) + (delays[Math.floor(middle)] ?? 0)) / 2

      expect(hourStatistics(each).median).toBe(sorted)
    }
  })
})

describe('a file of flights', () => {
  let folder: string
  let file: string
  let remove: () => void

  beforeEach(() => {
    ;({ folder, remove } = temporaryFolder())
    file = path.join(folder, 'flights.json')
  })
  afterEach(() => remove())

  test('is named by its content', async () => {
    writeFileSync(file, '[]')
    const before = await readFlightFile(file)
    writeFileSync(file, '[ ]')
    const after = await readFlightFile(file)
    writeFileSync(file, '[]')

    expect(after.hash).not.toBe(before.hash)
    expect(await readFlightFile(file)).toEqual(before)
  })

  test('that is missing is DATA_UNREADABLE', async () => {
    await expect(readFlightFile(file)).rejects.toMatchObject({ code: 'DATA_UNREADABLE' })
  })

  test.for([
    ['no JSON', '[{"delay": 1'],
    ['no array', '{}'],
    ['no flights', '[]'],
    ['a row without a delay', '[{ "distance": 2, "time": 3 }]'],
    ['an hour that no day has', '[{ "delay": 1, "distance": 2, "time": 24 }]'],
    ['a negative distance', '[{ "delay": 1, "distance": -2, "time": 2 }]'],
  ] as const)('with %s is DATA_INVALID', ([, text]) => {
    expect(() => parseFlights(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'DATA_INVALID' }))
  })

  test('names the place of what it cannot use', () => {
    const flights = [
      { delay: 1, distance: 2, time: 3 },
      { delay: 'soon', distance: 2, time: 3 },
    ]

    expect(() => parseFlights(Buffer.from(JSON.stringify(flights)))).toThrow('[1.delay]')
  })
})
