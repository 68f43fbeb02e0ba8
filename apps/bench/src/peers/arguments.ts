import { Command, InvalidArgumentError, Option } from 'commander'
import { workloads, type Workload } from '../../peers/workloads.ts'
import { peerList, type PeerEntry } from './peer-list.ts'

/** What the command line asks for. */
export interface PeersArguments {
  readonly rounds: number
  /** Ours are always among them: everybody is compared with them. */
  readonly peers: readonly PeerEntry[]
  readonly workloads: readonly Workload[]
  /** A tenth of everything: to see that it works. */
  readonly quick?: true
  readonly json?: true
  readonly markdown?: true
}

/** Reads the command line. What it cannot read ends the process with exit code 1, after the usage. */
export function readPeersArguments(argv: readonly string[]): PeersArguments {
  return new Command('bench:peers')
    .description(
      'Runs the same workloads on Varve and on other systems, in turn, and says how many times as fast we are.',
    )
    .option('--rounds <count>', 'how often everything is measured', count, 3)
    .addOption(
      new Option('--peers <names>', `some of ${peerList.map(({ name }) => name).join(',')}`)
        .argParser(withOurs)
        .default(peerList, 'all of them'),
    )
    .addOption(
      new Option('--workloads <names>', `some of ${workloads.join(',')}`)
        .argParser((text: string) => text.split(',').map((name) => oneOf(workloads, name.trim())))
        .default([...workloads], 'all of them'),
    )
    .option('--quick', 'a tenth of everything, to see that it works')
    .option('--json', 'print one line of JSON for each system instead of tables')
    .option('--markdown', 'print the tables as Markdown, with date, machine and command')
    .allowExcessArguments(false)
    .showHelpAfterError()
    .parse(argv, { from: 'user' })
    .opts<PeersArguments>()
}

function withOurs(text: string): readonly PeerEntry[] {
  const names = text.split(',').map((name) =>
    oneOf(
      peerList.map((peer) => peer.name),
      name.trim(),
    ),
  )
  const asked = peerList.filter(({ name }) => names.includes(name))
  return peerList.filter((peer) => asked.includes(peer) || asked.some(({ against }) => against === peer.name))
}

function oneOf<T extends string>(known: readonly T[], name: string): T {
  const found = known.find((each) => each === name)
  if (found === undefined) throw new InvalidArgumentError(`There is no ${name}.`)
  return found
}

function count(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= 99) return value
  throw new InvalidArgumentError('It must be a whole number from 1 to 99.')
}
