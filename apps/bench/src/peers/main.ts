import os from 'node:os'
import { fileURLToPath } from 'node:url'
import { startPostgres } from '../../../../test/postgres/server.ts'
import type { Amounts } from '../../peers/workloads.ts'
import { readPeersArguments, type PeersArguments } from './arguments.ts'
import { compare, type Comparison, type MeasuredPeer } from './compare.ts'
import { installPeers } from './install.ts'
import { measurePeers, onServer } from './measure-peers.ts'
import { failures, figureRows, markdownTable, ratioRows, terminalTable } from './peers-table.ts'

const amounts: Amounts = {
  sequenceSteps: 1_000,
  runs: 500,
  stepsOfRun: 5,
  resumedSteps: { W3: 10_000, 'W3 2k': 2_000, 'W3 1k': 990 },
  fanOutSteps: 500,
  starts: 50,
}

/** A tenth of {@link amounts}. */
const quickAmounts: Amounts = {
  sequenceSteps: 100,
  runs: 50,
  stepsOfRun: 5,
  resumedSteps: { W3: 1_000, 'W3 2k': 200, 'W3 1k': 99 },
  fanOutSteps: 50,
  starts: 10,
}

try {
  await benchPeers(readPeersArguments(process.argv.slice(2)))
} catch (error) {
  console.error(process.env['DEBUG'] === 'varve' ? error : `error: ${(error as Error).message}`)
  process.exitCode = 1
}

async function benchPeers(options: PeersArguments): Promise<void> {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.once(signal, () => process.exit(code))
  if (options.peers.some(({ against }) => against !== undefined)) {
    installPeers(fileURLToPath(new URL('../../peers', import.meta.url)))
  }
  const given = process.env['DATABASE_URL'] ?? ''
  const server = given === '' ? await startPostgres({ durable: true }) : undefined
  const serverUrl = server?.url ?? given
  try {
    const startedAt = performance.now()
    const plan = { ...options, amounts: options.quick === true ? quickAmounts : amounts }
    const measured = await measurePeers(serverUrl, plan, (progress) => console.error(progress))
    const comparisons = compare(measured)
    const about = {
      date: new Date().toISOString().slice(0, 10),
      machine: `${os.availableParallelism()} x ${os.cpus()[0]?.model ?? 'unknown'}, ${os.type()} ${os.release()}`,
      node: process.versions.node,
      postgres: String(await onServer(serverUrl, 'show server_version')),
      rounds: options.rounds,
      minutes: Math.round((performance.now() - startedAt) / 6_000) / 10,
    }
    print(measured, comparisons, { options, about })
    const missed = comparisons.some(({ verdict }) => verdict === 'missed')
    if (missed || failures(measured).length > 0) process.exitCode = 1
  } finally {
    await server?.stop()
  }
}

interface Report {
  readonly options: PeersArguments
  readonly about: {
    readonly date: string
    readonly machine: string
    readonly node: string
    readonly postgres: string
    readonly rounds: number
    readonly minutes: number
  }
}

function print(
  measured: readonly MeasuredPeer[],
  comparisons: readonly Comparison[],
  { options, about }: Report,
): void {
  if (options.json === true) {
    for (const { peer, cells } of measured) {
      const compared = comparisons.filter((each) => each.peer === peer.name)
      console.log(JSON.stringify({ system: peer.name, cells: Object.fromEntries(cells), compared, ...about }))
    }
    return
  }
  const [format, gap] = options.markdown === true ? [markdownTable, '\n'] : [terminalTable, '']
  const quick = options.quick === true ? ', a tenth of each workload: no figures to compare' : ''
  console.log(`${format(figureRows(measured, options.workloads))}${gap}`)
  if (comparisons.length > 0) console.log(`${format(ratioRows(comparisons, options.workloads))}${gap}`)
  console.log('! missed in every round; ~ reached in some rounds; * does less than we do, so nothing is demanded')
  console.log(`${gap}Medians of ${about.rounds} rounds, spread below, ${about.minutes} minutes in all${quick}.`)
  console.log(
    `${about.date}; ${about.machine}; Node ${about.node}; Postgres ${about.postgres}, which flushes every commit.`,
  )
  console.log('`node run.mjs bench:peers`')
  for (const failure of failures(measured)) console.log(failure)
}
