import { defineWorkflow } from '@varve/kernel'
import { isContentId, type ContentId } from '@varve/store'
import { clockTime, HOURS_PER_DAY, type HourOfFlights } from 'flight-report/flights/flight'
import { byHour, dataChanged, parseFlights, type FlightFile } from 'flight-report/flights/flight-file'
import { z } from 'zod'

/** Minutes: a flight that comes earlier, or later, than this is asked about. */
const PLAUSIBLE_DELAY = { from: -60, to: 300 } as const

/** What is asked: the flights that look wrong, by hour. */
export const Oddities = z.array(z.strictObject({ hour: z.string(), delays: z.array(z.number()) }))

type Oddities = z.infer<typeof Oddities>

/** What the workflow knows. Made from the log alone, so that any process can go on where another one ended. */
interface CheckState {
  /** The hash of the file's content. */
  readonly file: ContentId
  /** How many it holds; null before it has been loaded. */
  readonly flights: number | null
  /** Hours that have been looked at. */
  readonly checked: number
  readonly oddities: Oddities
  readonly accepted: boolean | null
}

/**
 * Reads a file of flights, looks at it hour by hour, and asks a person about the flights that look wrong.
 *
 * The first object says what the workflow is: its input, its doors to the outside, its questions. Only `run` functions do
 * anything. The second object decides: `reduce` folds the log into the state, and `step` says what should be in flight in
 * that state. Both are pure, so a run that was killed is rebuilt by folding its log again, and goes on with what is missing.
 */
export function defineFlightCheck(read: () => Promise<FlightFile>) {
  const hoursOf = hoursIn(read)
  return defineWorkflow(
    {
      name: 'flight-check',
      version: '1',
      // What the run depends on, and nothing else: a file that was copied or renamed is the same input.
      input: z.strictObject({ file: z.custom<ContentId>(isContentId) }),
      actions: {
        load: {
          run: async (file: ContentId) => (await hoursOf(file)).reduce((sum, { delays }) => sum + delays.length, 0),
        },
        checkHour: {
          effect: 'pure',
          // The log names the file by its hash, and never holds its rows.
          run: async ({ file, hour }: { readonly file: ContentId; readonly hour: number }) => {
            const { delays = [] } = (await hoursOf(file))[hour] ?? {}
            return { hour: clockTime(hour), delays: delays.filter(isOdd) }
          },
        },
      },
      interrupts: { accept: { ask: Oddities, answer: z.boolean() } },
      initialState: ({ file }): CheckState => ({ file, flights: null, checked: 0, oddities: [], accepted: null }),
    },
    {
      reduce: (state, event) => {
        if (event.type === 'Resumed') return { ...state, accepted: event.data.value }
        if (event.type !== 'ActionSucceeded') return state
        if (event.data.action === 'load') return { ...state, flights: event.data.output }
        const { output } = event.data
        const oddities = output.delays.length === 0 ? state.oddities : [...state.oddities, output]
        return { ...state, checked: state.checked + 1, oddities }
      },
      step: ({ file, flights, checked, oddities, accepted }, next) => {
        if (flights === null) return next.run('load', file)
        if (checked < HOURS_PER_DAY) {
          return next.run('checkHour', { file, hour: checked }, { key: `hour ${clockTime(checked)}` })
        }
        if (oddities.length > 0 && accepted === null) return next.interrupt('accept', oddities)
        const odd = oddities.flatMap(({ delays }) => delays).length
        return next.complete({ flights, odd, accepted: accepted ?? true })
      },
    },
  )
}

function isOdd(delay: number): boolean {
  return delay < PLAUSIBLE_DELAY.from || delay > PLAUSIBLE_DELAY.to
}

/** @returns what reads the file and throws ActionError `DATA_CHANGED` when it is another one; what was asked for last is kept. */
function hoursIn(read: () => Promise<FlightFile>): (hash: ContentId) => Promise<readonly HourOfFlights[]> {
  let known: { readonly hash: ContentId; readonly hours: readonly HourOfFlights[] } | undefined
  return async (hash) => {
    if (known?.hash === hash) return known.hours
    const file = await read()
    if (file.hash !== hash) throw dataChanged(file.path, hash, file.hash)
    known = { hash, hours: byHour(parseFlights(file.bytes)) }
    return known.hours
  }
}
