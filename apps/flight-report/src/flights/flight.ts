import { z } from 'zod'

/** One flight, as the file of the airline statistics has it. */
export const Flight = z.object({
  /** Delay on arrival in minutes; negative when it came early. */
  delay: z.number(),
  /** Distance flown in miles. */
  distance: z.number().min(0),
  /** When it left, as a fraction of hours: 7.5 is half past seven. */
  time: z.number().min(0).lt(24),
})

/** One flight, as the file of the airline statistics has it. */
export type Flight = Readonly<z.infer<typeof Flight>>

/** The flights that left within one hour, column by column: that is what a day takes the least room as. */
export const HourOfFlights = z.strictObject({
  hour: z.int(),
  delays: z.array(z.number()).readonly(),
  distances: z.array(z.number()).readonly(),
})

/** The flights that left within one hour. */
export type HourOfFlights = Readonly<z.infer<typeof HourOfFlights>>

/** Hours of a day. */
export const HOURS_PER_DAY = 24

/** An hour as people write it: `07:00`. */
export function clockTime(hour: number): string {
  return `${String(hour).padStart(2, '0')}:00`
}
