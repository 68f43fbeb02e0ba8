import { readArguments, type Arguments } from './arguments.ts'
import { measure, type Amounts } from './measure.ts'
import { measureWorkers, type WorkerAmounts } from './measure-workers.ts'
import { artifactsTable, measuredTable, plansTable, readsTable } from './measured-table.ts'
import { measureArtifacts } from './measures/artifacts.ts'
import { openTarget } from './targets/open-target.ts'
import type { Target, TargetName } from './targets/target.ts'
import { drivingTable, latenciesTable } from './workers-table.ts'

try {
  await bench(readArguments(process.argv.slice(2)))
} catch (error) {
  console.error(process.env['DEBUG'] === 'varve' ? error : `error: ${(error as Error).message}`)
  process.exitCode = 1
}

async function bench({ rounds, artifact, stores, json, workers, ...amounts }: Arguments): Promise<void> {
  const names = stores.filter((name) => name !== 'artifacts-fs')
  if (workers === true) {
    await benchWorkers(names, { rounds, ...amounts }, json)
    return
  }
  if (names.length > 0) await benchStores(names, { rounds, ...amounts }, json)
  if (names.length === stores.length) return
  const measured = await measureArtifacts(rounds, artifact)
  if (json === true) console.log(JSON.stringify(measured))
  else console.log(`${artifactsTable(measured)}\nMedians of ${rounds} rounds; Node ${process.versions.node}`)
}

async function benchStores(
  names: readonly TargetName[],
  { rounds, steps, events, states }: Amounts,
  json: true | undefined,
): Promise<void> {
  const measured = await withTargets(names, (targets) => measure(targets, { rounds, steps, events, states }))
  if (json === true) for (const each of measured) console.log(JSON.stringify(each))
  else {
    console.log(`${measuredTable(measured)}\n${readsTable(measured)}\n${plansTable(measured)}`)
    console.log(`Medians of ${rounds} rounds of ${steps}; Node ${process.versions.node}`)
  }
}

async function benchWorkers(
  names: readonly TargetName[],
  { rounds, runs, starts }: WorkerAmounts,
  json: true | undefined,
): Promise<void> {
  const measured = await withTargets(names, (targets) => measureWorkers(targets, { rounds, runs, starts }))
  if (json === true) for (const each of measured) console.log(JSON.stringify(each))
  else {
    console.log(`${drivingTable(measured)}\n${latenciesTable(measured)}`)
    console.log(`Medians of ${rounds} rounds of ${runs} runs; Node ${process.versions.node}`)
  }
}

async function withTargets<T>(
  names: readonly TargetName[],
  use: (targets: readonly Target[]) => Promise<T>,
): Promise<T> {
  const targets: Target[] = []
  try {
    for (const name of names) targets.push(await openTarget(name))
    return await use(targets)
  } finally {
    for (const target of targets) await target.close()
  }
}
