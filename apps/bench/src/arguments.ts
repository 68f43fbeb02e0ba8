import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import { namesOf } from './names.ts'
import type { Amounts } from './rounds/program.ts'
import { siteNames, slowNames, type SiteName, type SlowName } from './sites/site.ts'
import { workloadNames, type WorkloadName } from './workloads/workloads.ts'

/** What `--stores` may name. */
export const storeNames = [...siteNames, ...slowNames] as const
type StoreName = SiteName | SlowName

/** What the command line asks for. */
export interface Arguments {
  readonly workloads: readonly WorkloadName[]
  readonly stores: readonly StoreName[]
  readonly rounds: number
  readonly amounts: Amounts
  /** Where JSON lines go: a file, or `-` for standard output in place of tables. */
  readonly json?: string
  /** The file for the chart. */
  readonly chart?: string
}

type Options = Omit<Arguments, 'workloads' | 'amounts'> & Amounts

/** Reads the command line. @throws CommanderError for what it cannot read, after the usage. */
export function readArguments(argv: readonly string[]): Arguments {
  const command = new Command('bench')
    .description(
      'Measures Varve next to programs that do the same work without it, in the same rounds. Exits with 1 when a target is missed by more than the rounds differ.',
    )
    .addArgument(new Argument('[workload...]', 'what is measured; all of it unless named').choices(workloadNames))
    .addOption(
      new Option('--stores <names>', `some of ${storeNames.join(',')}`)
        .argParser(namesOf(storeNames))
        .default([...storeNames], 'all'),
    )
    .option('--rounds <count>', 'how often everything is measured', count, 5)
    .option('--steps <count>', 'steps: sequential steps of one run', count, 1_000)
    .option('--runs <count>', 'runs: runs of five steps each', count, 500)
    .option('--recorded <count>', 'resume, reads: recorded steps of the run that is resumed or read', count, 10_000)
    .option('--fan <count>', 'fan-out: actions at once', count, 500)
    .option('--starts <count>', 'latency: starts that an idle worker hears of', count, 100)
    .option('--indexed <count>', 'growth: runs in the index of the larger store', count, 100_000)
    .option('--longest <count>', 'growth: steps of the longer run', count, 5_000)
    .option('--timers <count>', 'growth: timers of the run that has more of them', count, 10_000)
    .option('--states <count>', 'plans: states of the plan', count, 10_000)
    .option('--artifact <MiB>', 'artifacts: size of the artifact', count, 1_024)
    .option('--json <file>', 'write JSON lines into a file; - prints them in place of tables')
    .option('--chart <file>', 'draw a chart into an SVG file')
    .showHelpAfterError()
    .exitOverride()
    .parse(argv, { from: 'user' })
  const { stores, rounds, json, chart, ...amounts } = command.opts<Options>()
  const named = command.args as WorkloadName[]
  return {
    workloads: named.length === 0 ? workloadNames : named,
    ...{ stores, rounds, amounts },
    ...(json !== undefined && { json }),
    ...(chart !== undefined && { chart }),
  }
}

function count(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= 1_000_000) return value
  throw new InvalidArgumentError('It must be a whole number from 1 to 1000000.')
}
