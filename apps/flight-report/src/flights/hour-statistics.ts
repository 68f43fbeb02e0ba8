import { median, quantile, sum } from 'd3-array'
import type { Flight } from './flight.ts'

/** A flight counts as late when it arrives more than this many minutes after its time. */
export const LATE_AFTER_MINUTES = 15

/** Lower ends of the distance bands, in miles; the last band is open. */
export const BAND_STARTS = [0, 250, 500, 1000, 1500, 2000, 2500] as const

/** Flights, their delays summed up and the late ones counted. Sums add up exactly, means would not. */
export interface DelayTotals {
  readonly flights: number
  /** Minutes. */
  readonly delaySum: number
  readonly late: number
}

/** What is known of the flights of one hour, or of one day. */
export interface HourStatistics extends DelayTotals {
  readonly hour: number
  /** Minutes; null when there was no flight. */
  readonly median: number | null
  /** Minutes: a quarter of the flights was earlier than this. */
  readonly lowerQuartile: number | null
  /** Minutes: a quarter of the flights was later than this. */
  readonly upperQuartile: number | null
  /** One for each of {@link BAND_STARTS}. */
  readonly bands: readonly DelayTotals[]
}

/** Folds the flights of one hour into its statistics. */
export function hourStatistics(hour: number, flights: readonly Flight[]): HourStatistics {
  const delays = flights.map(({ delay }) => delay)
  return {
    hour,
    ...delayTotals(flights),
    median: median(delays) ?? null,
    lowerQuartile: quantile(delays, 0.25) ?? null,
    upperQuartile: quantile(delays, 0.75) ?? null,
    bands: BAND_STARTS.map((from, band) => {
      const to = BAND_STARTS[band + 1] ?? Infinity
      return delayTotals(flights.filter(({ distance }) => distance >= from && distance < to))
    }),
  }
}

/** Sums up the delays of some flights. */
function delayTotals(flights: readonly Flight[]): DelayTotals {
  return {
    flights: flights.length,
    delaySum: sum(flights, ({ delay }) => delay),
    late: flights.filter(({ delay }) => delay > LATE_AFTER_MINUTES).length,
  }
}

/** Adds totals up. */
export function addTotals(parts: readonly DelayTotals[]): DelayTotals {
  return {
    flights: sum(parts, ({ flights }) => flights),
    delaySum: sum(parts, ({ delaySum }) => delaySum),
    late: sum(parts, ({ late }) => late),
  }
}

/** The totals of every distance band over all hours. */
export function bandTotals(hours: readonly HourStatistics[]): readonly DelayTotals[] {
  return BAND_STARTS.map((_, band) => addTotals(hours.flatMap(({ bands }) => bands[band] ?? [])))
}

/** Mean delay in minutes; null without flights. */
export function meanDelay({ flights, delaySum }: DelayTotals): number | null {
  return flights === 0 ? null : delaySum / flights
}

/** Share of late flights, 0 to 1; null without flights. */
export function lateShare({ flights, late }: DelayTotals): number | null {
  return flights === 0 ? null : late / flights
}
