import { readArguments, type Arguments } from './arguments.ts'
import { measure, type Amounts } from './measure.ts'
import { artifactsTable, measuredTable, plansTable, readsTable } from './measured-table.ts'
import { measureArtifacts } from './measures/artifacts.ts'
import { openTarget } from './targets/open-target.ts'
import type { Target, TargetName } from './targets/target.ts'

try {
  await bench(readArguments(process.argv.slice(2)))
} catch (error) {
  console.error(process.env['DEBUG'] === 'varve' ? error : `error: ${(error as Error).message}`)
  process.exitCode = 1
}

async function bench({ rounds, artifact, stores, json, ...amounts }: Arguments): Promise<void> {
  const names = stores.filter((name) => name !== 'artifacts-fs')
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
  const targets: Target[] = []
  try {
    for (const name of names) targets.push(await openTarget(name))
    const measured = await measure(targets, { rounds, steps, events, states })
    if (json === true) for (const each of measured) console.log(JSON.stringify(each))
    else {
      console.log(`${measuredTable(measured)}\n${readsTable(measured)}\n${plansTable(measured)}`)
      console.log(`Medians of ${rounds} rounds of ${steps}; Node ${process.versions.node}`)
    }
  } finally {
    for (const target of targets) await target.close()
  }
}
