import { ActionError } from '@varve/kernel'
import { contentId, type ContentId } from '@varve/store'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { Flight, HOURS_PER_DAY } from './flight.ts'

/** A file of flights, named by its content, so that a log can say for good what it speaks of. */
export interface FlightFile {
  readonly hash: ContentId
  readonly flights: number
  /** By hour of departure. */
  readonly byHour: readonly (readonly Flight[])[]
}

/** Where flights are read from. */
export interface FlightSource {
  /** Reads the file as it is now. */
  read(): Promise<FlightFile>
  /**
   * The flights that depart within an hour of the file with this hash. Rows never enter the log: they are read here, once per
   * process.
   *
   * @throws ActionError `DATA_CHANGED` when the file is another one by now.
   */
  departures(hash: ContentId, hour: number): Promise<readonly Flight[]>
}

/** Flights from a JSON file: an array of `{ delay, distance, time }`. */
export function flightSource(path: string): FlightSource {
  const cache = new Map<ContentId, FlightFile>()
  const read = async (): Promise<FlightFile> => {
    const file = await readFlights(path)
    cache.set(file.hash, file)
    return file
  }
  return {
    read,
    departures: async (hash, hour) => {
      const file = cache.get(hash) ?? (await read())
      if (file.hash !== hash) throw dataChanged(path, hash, file.hash)
      return file.byHour[hour] ?? []
    },
  }
}

/** The error of a run whose file is not what it was. */
export function dataChanged(path: string, recorded: ContentId, found: ContentId): ActionError {
  const text =
    `the run reads the file ${recorded}, but ${path} is ${found} now; ` +
    'bring that file back, or start another run with --new'
  return new ActionError('permanent', text, { code: 'DATA_CHANGED' })
}

async function readFlights(path: string): Promise<FlightFile> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    const text = `${path} cannot be read (${String(cause)}); name a readable file with --data`
    throw new ActionError('permanent', text, { code: 'DATA_UNREADABLE', cause })
  })
  const flights = parseFlights(path, bytes.toString())
  const byHour: Flight[][] = Array.from({ length: HOURS_PER_DAY }, () => [])
  for (const flight of flights) byHour[Math.floor(flight.time)]?.push(flight)
  return { hash: contentId(bytes), flights: flights.length, byHour }
}

const Flights = z.array(Flight).min(1, 'holds no flight')

function parseFlights(path: string, text: string): readonly Flight[] {
  const refuse = (reason: string, cause?: unknown): ActionError => {
    const remedy = 'it must be a JSON array of { delay, distance, time }; restore it, or name another file with --data'
    return new ActionError('permanent', `${path}: ${reason}; ${remedy}`, { code: 'DATA_INVALID', cause })
  }
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (error) {
    throw refuse((error as Error).message, error)
  }
  const parsed = Flights.safeParse(data)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw refuse(`[${issue?.path.join('.')}] ${issue?.message}`)
}
