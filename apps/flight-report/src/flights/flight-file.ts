import { ActionError } from '@varve/kernel'
import { contentId, type ContentId } from '@varve/store'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { Flight, HOURS_PER_DAY, type HourOfFlights } from './flight.ts'

/** A file of flights as it was when it was read, named by its content. */
export interface FlightFile {
  /** Where it was read. */
  readonly path: string
  readonly hash: ContentId
  readonly bytes: Uint8Array
}

/** @throws ActionError `DATA_UNREADABLE`. What to do about it is said by the program, as with all errors of this file. */
export async function readFlightFile(file: string): Promise<FlightFile> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    const text = `${file} cannot be read (${String(cause)})`
    throw new ActionError('permanent', text, { code: 'DATA_UNREADABLE', cause })
  })
  return { path: path.resolve(file), hash: contentId(bytes), bytes }
}

/** The error of a run whose file is not what it was. */
export function dataChanged(file: string, recorded: ContentId, found: ContentId): ActionError {
  const text = `the run reads the flights ${recorded}, but ${file} is ${found} now`
  return new ActionError('permanent', text, { code: 'DATA_CHANGED' })
}

const Flights = z.array(Flight).min(1, 'holds no flight')

/**
 * Reads flights from JSON text: an array of `{ delay, distance, time }`.
 *
 * @throws ActionError `DATA_INVALID` with the place of what it cannot use.
 */
export function parseFlights(bytes: Uint8Array): readonly Flight[] {
  const refuse = (reason: string, cause?: unknown): ActionError => {
    const wanted = 'the file must be a JSON array of { delay, distance, time }'
    return new ActionError('permanent', `${reason}; ${wanted}`, { code: 'DATA_INVALID', cause })
  }
  let data: unknown
  try {
    data = JSON.parse(new TextDecoder().decode(bytes))
  } catch (error) {
    throw refuse((error as Error).message, error)
  }
  const parsed = Flights.safeParse(data)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw refuse(`[${issue?.path.join('.')}] ${issue?.message}`)
}

/** Puts every flight into the hour in which it left. */
export function byHour(flights: readonly Flight[]): readonly HourOfFlights[] {
  const hours = Array.from({ length: HOURS_PER_DAY }, (_, hour) => ({
    hour,
    delays: [] as number[],
    distances: [] as number[],
  }))
  for (const { delay, distance, time } of flights) {
    hours[Math.floor(time)]?.delays.push(delay)
    hours[Math.floor(time)]?.distances.push(distance)
  }
  return hours
}
