import { readArguments, type Arguments } from './arguments.ts'
import { measure } from './measure.ts'
import { measuredTable, plansTable, readsTable } from './measured-table.ts'
import { openTarget } from './targets/open-target.ts'
import type { Target } from './targets/target.ts'

try {
  await bench(readArguments(process.argv.slice(2)))
} catch (error) {
  console.error(process.env['DEBUG'] === 'varve' ? error : `error: ${(error as Error).message}`)
  process.exitCode = 1
}

async function bench({ rounds, steps, events, states, stores, json }: Arguments): Promise<void> {
  const targets: Target[] = []
  try {
    for (const name of stores) targets.push(await openTarget(name))
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
