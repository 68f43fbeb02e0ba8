import { median, quantile, sum } from 'd3-array'
import { z } from 'zod'
import type { HourOfFlights } from './flight.ts'

/** A flight counts as late when it arrives more than this many minutes after its time. */
export const LATE_AFTER_MINUTES = 15

/** Lower ends of the distance bands, in miles; the last band is open. */
export const BAND_STARTS = [0, 250, 500, 1000, 1500, 2000, 2500] as const

/** Flights, their delays summed up and the late ones counted. Sums add up exactly, means would not. */
export const DelayTotals = z.strictObject({
  flights: z.int(),
  /** Minutes. */
  delaySum: z.number(),
  late: z.int(),
})

/** Flights, their delays summed up and the late ones counted. */
export type DelayTotals = Readonly<z.infer<typeof DelayTotals>>

/** What is known of the flights of one hour. */
export const HourStatistics = z.strictObject({
  ...DelayTotals.shape,
  hour: z.int(),
  /** Minutes; null when there was no flight. */
  median: z.number().nullable(),
  /** Minutes: a quarter of the flights was earlier than this. */
  lowerQuartile: z.number().nullable(),
  /** Minutes: a quarter of the flights was later than this. */
  upperQuartile: z.number().nullable(),
  /** One for each of {@link BAND_STARTS}. */
  bands: z.array(DelayTotals).readonly(),
})

/** What is known of the flights of one hour. */
export type HourStatistics = Readonly<z.infer<typeof HourStatistics>>

/** What is known of a day, or of its end. */
export const DayStatistics = z.strictObject({
  /** The first hour of it. */
  since: z.int(),
  total: DelayTotals,
  hours: z.array(HourStatistics).readonly(),
  /** One for each of {@link BAND_STARTS}. */
  bands: z.array(DelayTotals).readonly(),
})

/** What is known of a day, or of its end. */
export type DayStatistics = Readonly<z.infer<typeof DayStatistics>>

/** Folds the flights of one hour into its statistics. */
export function hourStatistics({ hour, delays, distances }: HourOfFlights): HourStatistics {
  return {
    hour,
    ...delayTotals(delays),
    median: median(delays) ?? null,
    lowerQuartile: quantile(delays, 0.25) ?? null,
    upperQuartile: quantile(delays, 0.75) ?? null,
    bands: BAND_STARTS.map((from, band) => {
      const to = BAND_STARTS[band + 1] ?? Infinity
      return delayTotals(delays.filter((_, i) => isWithin(distances[i], from, to)))
    }),
  }
}

/** Adds the hours of a day up. */
export function dayStatistics(since: number, hours: readonly HourStatistics[]): DayStatistics {
  const bands = BAND_STARTS.map((_, band) => addTotals(hours.flatMap((hour) => hour.bands[band] ?? [])))
  return { since, total: addTotals(hours), hours, bands }
}

/** Mean delay in minutes; null without flights. */
export function meanDelay({ flights, delaySum }: DelayTotals): number | null {
  return flights === 0 ? null : delaySum / flights
}

/** Share of late flights, 0 to 1; null without flights. */
export function lateShare({ flights, late }: DelayTotals): number | null {
  return flights === 0 ? null : late / flights
}

function isWithin(distance: number | undefined, from: number, to: number): boolean {
  return distance !== undefined && distance >= from && distance < to
}

function delayTotals(delays: readonly number[]): DelayTotals {
  return {
    flights: delays.length,
    delaySum: sum(delays),
    late: delays.filter((delay) => delay > LATE_AFTER_MINUTES).length,
  }
}

function addTotals(parts: readonly DelayTotals[]): DelayTotals {
  return {
    flights: sum(parts, ({ flights }) => flights),
    delaySum: sum(parts, ({ delaySum }) => delaySum),
    late: sum(parts, ({ late }) => late),
  }
}
