import { Command, InvalidArgumentError, Option } from 'commander'
import { fileURLToPath } from 'node:url'
import { HOURS_PER_DAY } from '../flights/flight.ts'
import { stores, type StoreName } from './store.ts'

/** What the command line asks for. */
export interface Arguments {
  readonly store: StoreName
  /** Path of the file of flights. */
  readonly data: string
  /** Start another run although one is unfinished. */
  readonly new?: true
  /** Kill this process once the run has so many hourly results. */
  readonly killAfter?: number
  /** The editor's answer, given in advance. */
  readonly approved?: boolean
  /** Every hour takes at least this long, in ms. */
  readonly pace: number
}

const realFlights = new URL('../data/flights-200k.json', import.meta.resolve('vega-datasets'))

/** Reads the command line. What it cannot read ends the process with exit code 1, after the usage. */
export function readArguments(argv: readonly string[]): Arguments {
  const command = new Command('flight-report')
    .description('Folds the statistics of 200,000 flights in a durable run and publishes a report once it is approved.')
    .usage('[options], or from the root of the repository: npm start -- [options]')
    .addOption(new Option('--store <name>', 'where the run is kept').choices(stores).default('sqlite'))
    .option('--kill-after <hours>', 'SIGKILL this process once so many hourly results are committed', hours)
    .option('--approve', 'publish without asking')
    .addOption(new Option('--reject', 'end the run without publishing').conflicts('approve'))
    .option('--new', 'start another run although one is unfinished')
    .option('--pace <ms>', 'let every hour take at least so many milliseconds', milliseconds, 0)
    .addOption(
      new Option('--data <file>', 'flights to read').default(fileURLToPath(realFlights), 'those of vega-datasets'),
    )
    .allowExcessArguments(false)
    .showHelpAfterError()
    .parse(argv, { from: 'user' })
  const { approve, reject, ...options } = command.opts<Parsed>()
  if (options.killAfter !== undefined && options.store === 'memory') {
    command.error("error: --kill-after needs a store that outlives the process: leave out '--store memory'")
  }
  return { ...options, ...((approve ?? reject) && { approved: approve === true }) }
}

interface Parsed extends Omit<Arguments, 'approved'> {
  readonly approve?: true
  readonly reject?: true
}

function hours(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= HOURS_PER_DAY) return value
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${HOURS_PER_DAY}.`)
}

function milliseconds(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value <= 60_000) return value
  throw new InvalidArgumentError('It must be a whole number from 0 to 60000.')
}
