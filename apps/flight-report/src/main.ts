import { processOwner } from '@varve/kernel'
import { createEngine, type Engine } from '@varve/plan'
import type { Store } from '@varve/store'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { readArguments, type Arguments } from './app/arguments.ts'
import { driveReport } from './app/drive-report.ts'
import { AppError, describeFailure } from './app/failure.ts'
import { listenForInterruption } from './app/interruption.ts'
import { killOf } from './app/kill.ts'
import { printEnd } from './app/print-end.ts'
import { hourlyProgress } from './app/progress.ts'
import { findNewest } from './app/runs.ts'
import { openStore } from './app/store.ts'
import { verifyReport } from './app/verify-report.ts'
import { defineFlightReport, type FlightReport } from './flight-plan.ts'
import { readFlightFile } from './flights/flight-file.ts'
import { publications } from './report/publications.ts'
import { surviveLostOutput } from './terminal/output.ts'

/** Everything this program writes lies here. */
const folder = path.resolve('.varve')

/** How long a run waits for a process that died where nobody can see it. */
const LEASE_MS = 10_000

surviveLostOutput((error) => console.error(describeFailure(error)))

process.exitCode = await main(readArguments(process.argv.slice(2)))

async function main(options: Arguments): Promise<number> {
  try {
    const store = await openStore(options.store, folder)
    try {
      return await withEngine(store, options)
    } finally {
      await store[Symbol.asyncDispose]()
    }
  } catch (error) {
    console.error(describeFailure(error))
    return 1
  }
}

async function withEngine(store: Store, options: Arguments): Promise<number> {
  const owner = processOwner()
  const kill = killOf(options)
  const read = async () => readFlightFile(options.data)
  const { plan } = defineFlightReport({
    read,
    publications: publications(path.join(folder, 'published'), path.join(folder, 'report.html')),
    logEnd: async (runId) => {
      const { head, hash } = await engine.kernel.timeline(runId)
      return { head, headHash: hash }
    },
    nameOf: async (runId) => `${runId}-${await startOf(engine, runId)}`,
    pace: async (signal) => {
      if (options.pace > 0) await delay(options.pace, undefined, { signal })
    },
  })
  const engine: Engine = createEngine({
    ...{ store, plans: [plan], owner, leaseMs: LEASE_MS },
    onCommitted: (_, events) => kill.committed(events),
  })
  try {
    if (options.verify ?? options.remake) return await verify(engine, plan, options)
    const dataset = path.basename(options.data)
    const progress = hourlyProgress()
    // Not before a run can be released: until then, and where none is driven, a signal ends the process as it does any other.
    const interruption = listenForInterruption()
    return await report({ engine, plan, read, dataset, owner, progress, kill, options, interruption })
  } finally {
    await engine[Symbol.asyncDispose]()
  }
}

/** From the hash of a run's first event: runs of other stores may have its id, but not its seed. */
async function startOf(engine: Engine, runId: string): Promise<string> {
  for await (const { hash } of engine.kernel.events(runId)) return hash.slice(0, 8)
  throw new AppError('NO_RUN', `${runId} has no log`)
}

async function verify(engine: Engine, plan: FlightReport, { remake }: Arguments): Promise<number> {
  const newest = await findNewest(engine.kernel, plan)
  if (newest === undefined) throw new AppError('NO_RUN', 'there is no run to verify; start one with npm start')
  return (await verifyReport(engine, newest.runId, remake === true)) ? 0 : 1
}

async function report(driving: Parameters<typeof driveReport>[0]): Promise<number> {
  const { engine, options, interruption, progress } = driving
  // Gives up what is under way: the call that waits for it rejects, and the run is free for the next process.
  interruption.signal.addEventListener('abort', () => void engine[Symbol.asyncDispose]())
  let runId = ''
  try {
    const published = await driveReport(driving, (id) => {
      runId = id
    })
    await printEnd(engine, runId, { published, folder, explain: options.explain === true })
    driving.kill.missed((await engine.kernel.get(runId)).head)
    return 0
  } catch (error) {
    if (!interruption.signal.aborted) throw error
    console.error(howToGoOn(runId, options, progress))
    return interruption.exitCode()
  }
}

function howToGoOn(runId: string, { store }: Arguments, { hours, total }: { hours: number; total: number }): string {
  if (store === 'memory') return '\nStopped. What was kept in memory is gone.'
  if (runId === '') return '\nStopped before a run was begun'
  const again = store === 'sqlite' ? 'npm start' : `npm start -- --store ${store}`
  return `\nStopped. Run ${runId} is released with ${hours} of ${total} hours; go on with: ${again}`
}
