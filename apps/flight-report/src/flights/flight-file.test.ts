import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { temporaryFolder } from '../testing/program.ts'
import type { Flight } from './flight.ts'
import { flightSource } from './flight-file.ts'
import { addTotals, bandTotals, hourStatistics } from './hour-statistics.ts'

const realFlights = fileURLToPath(new URL('../data/flights-200k.json', import.meta.resolve('vega-datasets')))

describe('the 200,000 real flights', () => {
  test('lie in the hour of their departure, each of them once', async () => {
    const file = await flightSource(realFlights).read()

    expect(file.flights).toBe(200_000)
    expect(file.byHour).toHaveLength(24)
    expect(file.byHour.flat()).toHaveLength(200_000)
    expect(file.byHour.every((flights, hour) => flights.every(({ time }) => Math.trunc(time) === hour))).toBe(true)
  })

  test('add up hour by hour, and band by band, to what one pass over the file finds', async () => {
    const rows = JSON.parse(readFileSync(realFlights, 'utf8')) as readonly Flight[]
    const onePass = { flights: 0, delaySum: 0, late: 0 }
    for (const { delay } of rows) {
      onePass.flights += 1
      onePass.delaySum += delay
      if (delay > 15) onePass.late += 1
    }
    const source = flightSource(realFlights)
    const { hash } = await source.read()

    const folding = Array.from({ length: 24 }, async (_, hour) =>
      hourStatistics(hour, await source.departures(hash, hour)),
    )
    const hours = await Promise.all(folding)

    expect(onePass).toEqual({ flights: 200_000, delaySum: 1_500_159, late: 43_145 })
    expect(addTotals(hours)).toEqual(onePass)
    expect(addTotals(bandTotals(hours))).toEqual(onePass)
  })

  test('have the medians that sorting finds', async () => {
    const source = flightSource(realFlights)
    const { hash, byHour } = await source.read()

    for (const [hour, flights] of byHour.entries()) {
      const delays = flights.map(({ delay }) => delay).sort((a, b) => a - b)
      const middle = delays.length / 2
      const sorted = ((delays[Math.ceil(middle) - 1] ?? 0) + (delays[Math.floor(middle)] ?? 0)) / 2

      expect(hourStatistics(hour, await source.departures(hash, hour)).median).toBe(sorted)
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

  const write = (flights: unknown): void => writeFileSync(file, JSON.stringify(flights))

  test('is read once per process', async () => {
    write([{ delay: 1, distance: 2, time: 3.5 }])
    const source = flightSource(file)
    const { hash } = await source.read()
    rmSync(file)

    const departures = await source.departures(hash, 3)

    expect(departures).toEqual([{ delay: 1, distance: 2, time: 3.5 }])
  })

  test('that changed since its hash was recorded is refused', async () => {
    write([{ delay: 1, distance: 2, time: 3 }])
    const { hash } = await flightSource(file).read()
    write([{ delay: 99, distance: 2, time: 3 }])

    const departures = flightSource(file).departures(hash, 3)

    await expect(departures).rejects.toMatchObject({ code: 'DATA_CHANGED' })
  })

  test('that is missing is DATA_UNREADABLE', async () => {
    await expect(flightSource(file).read()).rejects.toMatchObject({ code: 'DATA_UNREADABLE' })
  })

  test.for([
    ['no JSON', '[{"delay": 1'],
    ['no array', '{}'],
    ['no flights', '[]'],
    ['a row without a delay', '[{ "distance": 2, "time": 3 }]'],
    ['an hour that no day has', '[{ "delay": 1, "distance": 2, "time": 24 }]'],
    ['a negative distance', '[{ "delay": 1, "distance": -2, "time": 2 }]'],
  ])('with %s is DATA_INVALID', async ([, text]) => {
    writeFileSync(file, text ?? '')

    await expect(flightSource(file).read()).rejects.toMatchObject({ code: 'DATA_INVALID' })
  })

  test('names the place of what it cannot use', async () => {
    write([
      { delay: 1, distance: 2, time: 3 },
      { delay: 'soon', distance: 2, time: 3 },
    ])

    await expect(flightSource(file).read()).rejects.toThrow('[1.delay]')
  })
})
