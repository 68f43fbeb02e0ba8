import { Command, InvalidArgumentError, Option } from 'commander'
import { fileURLToPath } from 'node:url'
import { HOURS_PER_DAY } from '../flights/flight.ts'
import { contradictionIn } from './contradictions.ts'
import { stores, type StoreName } from './store.ts'

/** What the command line asks for. */
export interface Arguments {
  readonly store: StoreName
  /** Path of the file of flights. */
  readonly data: string
  /** True when the file was named, and is not the one that is read by default. */
  readonly dataNamed: boolean
  /** The report is on flights that left in this hour or later; undefined for all, or as the unfinished run has it. */
  readonly since?: number
  /** Say why each state did or did not run. */
  readonly explain?: true
  /** Check the newest run instead of starting one. */
  readonly verify?: true
  /** Check it, and make damaged artifacts again. */
  readonly remake?: true
  /** Start another run although one is unfinished. */
  readonly new?: true
  /** Kill this process once the run has so many hourly results. */
  readonly killAfter?: number
  /** Kill this process once the run has so many events. */
  readonly killAtEvent?: number
  /** The editor's answer, given in advance. */
  readonly approved?: boolean
  /** States of a new run that are executed at once. */
  readonly atOnce: number
  /** Every hour takes at least this long, in ms. */
  readonly pace: number
}

const realFlights = new URL('../data/flights-200k.json', import.meta.resolve('vega-datasets'))

/** Reads the command line. What it cannot read ends the process with exit code 1, after the usage. */
export function readArguments(argv: readonly string[]): Arguments {
  const command = new Command('flight-report')
    .description(
      'Folds the statistics of 200,000 flights in a durable plan and publishes a report once it is approved.',
    )
    .usage('[options], or from the root of the repository: npm start -- [options]')
    .addOption(new Option('--store <name>', 'where the run is kept').choices(stores).default('sqlite'))
    .option('--since <hour>', 'report on flights that left in this hour or later, such as 18 or 18:00', sinceHour)
    .option('--explain', 'say at the end why each state did or did not run')
    .option('--kill-after <hours>', 'SIGKILL this process once so many hourly results are committed', hours)
    .option('--kill-at-event <seq>', 'SIGKILL this process once so many events are committed', events)
    .option('--approve', 'publish without asking')
    .addOption(new Option('--reject', 'end the run without publishing').conflicts('approve'))
    .option('--new', 'start another run although one is unfinished')
    .option('--verify', 'check the newest run, down to every artifact, and start none')
    .option('--remake', 'as --verify, and make damaged artifacts again')
    .option('--at-once <states>', 'states of a new run that are executed at once', atOnce, 1)
    .option('--pace <ms>', 'let every hour take at least so many milliseconds', milliseconds, 0)
    .addOption(
      new Option('--data <file>', 'flights to read').default(fileURLToPath(realFlights), 'those of vega-datasets'),
    )
    .allowExcessArguments(false)
    .showHelpAfterError()
    .parse(argv, { from: 'user' })
  const { approve, reject, ...options } = command.opts<Parsed>()
  const isNamed = (option: string): boolean => command.getOptionValueSource(option) === 'cli'
  const contradiction = contradictionIn(options, isNamed)
  if (contradiction !== undefined) command.error(`error: ${contradiction}`)
  return { ...options, dataNamed: isNamed('data'), ...((approve ?? reject) && { approved: approve === true }) }
}

interface Parsed extends Omit<Arguments, 'approved' | 'dataNamed'> {
  readonly approve?: true
  readonly reject?: true
}

function hours(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= HOURS_PER_DAY) return value
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${HOURS_PER_DAY}.`)
}

function sinceHour(text: string): number {
  const [, hour = ''] = /^(\d{1,2})(?::00)?$/.exec(text) ?? []
  if (hour !== '' && Number(hour) < HOURS_PER_DAY) return Number(hour)
  throw new InvalidArgumentError('It must be an hour of the day, from 0 to 23 or 00:00 to 23:00.')
}

function events(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && Number.isSafeInteger(value)) return value
  throw new InvalidArgumentError('It must be a whole number from 1.')
}

function atOnce(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= 64) return value
  throw new InvalidArgumentError('It must be a whole number from 1 to 64.')
}

function milliseconds(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value <= 60_000) return value
  throw new InvalidArgumentError('It must be a whole number from 0 to 60000.')
}
