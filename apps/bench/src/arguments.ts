import { Command, InvalidArgumentError, Option } from 'commander'
import { targetNames } from './targets/target.ts'

/** What `--stores` may name: stores, and artifacts in a folder. */
const measuredNames = [...targetNames, 'artifacts-fs'] as const
type MeasuredName = (typeof measuredNames)[number]

/** What the command line asks for. */
export interface Arguments {
  readonly rounds: number
  readonly steps: number
  readonly events: number
  /** States of the plan that is run. */
  readonly states: number
  /** MiB of the artifact that is streamed. */
  readonly artifact: number
  /** True: workers are measured, and nothing else. */
  readonly workers?: true
  /** Runs that workers drive. */
  readonly runs: number
  /** Starts that an idle worker hears of. */
  readonly starts: number
  readonly stores: readonly MeasuredName[]
  readonly json?: true
}

/** Reads the command line. What it cannot read ends the process with exit code 1, after the usage. */
export function readArguments(argv: readonly string[]): Arguments {
  return new Command('bench')
    .description(
      'Measures writing against the raw commits of each database, reading a long run, running a large plan, streaming an artifact, and driving runs with workers.',
    )
    .option('--rounds <count>', 'how often everything is measured', count, 5)
    .option('--steps <count>', 'actions of a run, appends and raw commits in each round', count, 500)
    .option('--events <count>', 'events of the run that is replayed, verified and opened', count, 10_000)
    .option('--states <count>', 'states of the plan that is run, and run again from the cache', count, 10_000)
    .option('--artifact <MiB>', 'size of the artifact that is streamed in and out', count, 200)
    .addOption(
      new Option('--stores <names>', `some of ${measuredNames.join(',')}`)
        .argParser(names)
        .default([...measuredNames], 'all of them'),
    )
    .option('--workers', 'measure what workers make of many runs, and nothing else')
    .option('--runs <count>', 'runs that workers drive in each round', count, 500)
    .option('--starts <count>', 'starts in each round that an idle worker hears of', count, 100)
    .option('--json', 'print one line of JSON per store instead of tables')
    .allowExcessArguments(false)
    .showHelpAfterError()
    .parse(argv, { from: 'user' })
    .opts<Arguments>()
}

function count(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= 20_000) return value
  throw new InvalidArgumentError('It must be a whole number from 1 to 20000.')
}

function names(text: string): readonly MeasuredName[] {
  return [...new Set(text.split(','))].map((each) => {
    const name = measuredNames.find((known) => known === each.trim())
    if (name === undefined) throw new InvalidArgumentError(`There is no ${each}.`)
    return name
  })
}
