import { Command, InvalidArgumentError, Option } from 'commander'
import { namesOf } from '../names.ts'
import { siteNames, type SiteName } from '../sites/site.ts'

/** What the command line asks for. */
export interface ProfileArguments {
  readonly stores: readonly SiteName[]
  readonly steps: number
  /** Parts in which less is done are not told one by one, in percent. */
  readonly least: number
  /** The folder for a profile and a flame graph of each store. */
  readonly out?: string
}

/** Reads the command line. @throws CommanderError for what it cannot read, after the usage. */
export function readProfileArguments(argv: readonly string[]): ProfileArguments {
  return new Command('bench:profile')
    .description('Says where the time of a step goes, by package, folder, file and function, on each store.')
    .addOption(
      new Option('--stores <names>', `some of ${siteNames.join(',')}`)
        .argParser(namesOf(siteNames))
        .default([...siteNames], 'all'),
    )
    .option('--steps <count>', 'sequential steps of each run that is looked at', count, 1_000)
    .option('--least <percent>', 'what is less is not told by itself', percent, 2)
    .option(
      '--out <folder>',
      'write <store>.svg, a flame graph, and <store>.cpuprofile, for its viewers, into a folder',
    )
    .allowExcessArguments(false)
    .showHelpAfterError()
    .exitOverride()
    .parse(argv, { from: 'user' })
    .opts<ProfileArguments>()
}

function count(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= 100_000) return value
  throw new InvalidArgumentError('It must be a whole number from 1 to 100000.')
}

function percent(text: string): number {
  const value = Number(text)
  if (/^\d+(\.\d+)?$/.test(text) && value <= 100) return value
  throw new InvalidArgumentError('It must be a number from 0 to 100.')
}
