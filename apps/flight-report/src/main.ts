import { createKernel, processOwner, type Kernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import path from 'node:path'
import { readArguments, type Arguments } from './app/arguments.ts'
import { driveReport, type ReportResult } from './app/drive-report.ts'
import { describeFailure } from './app/failure.ts'
import { listenForInterruption, type Interruption } from './app/interruption.ts'
import { hourlyProgress } from './app/progress.ts'
import { openStore } from './app/store.ts'
import { timelineTable } from './app/timeline-table.ts'
import { defineFlightReport } from './flight-report.ts'
import { HOURS_PER_DAY } from './flights/flight.ts'
import { flightSource } from './flights/flight-file.ts'
import { publishReport } from './report/publish-report.ts'

/** Everything this program writes lies here. */
const folder = path.resolve('.varve')

/** How long a run waits for a process that died where nobody can see it. */
const LEASE_MS = 10_000

// Whoever read our output may leave (`npm start | head`); the run goes on.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

process.exitCode = await main(readArguments(process.argv.slice(2)))

async function main(options: Arguments): Promise<number> {
  const interruption = listenForInterruption()
  try {
    const store = await openStore(options.store, folder)
    try {
      return await report(store, options, interruption)
    } finally {
      await store[Symbol.asyncDispose]()
    }
  } catch (error) {
    console.error(describeFailure(error))
    return 1
  }
}

async function report(store: Store, options: Arguments, interruption: Interruption): Promise<number> {
  const source = flightSource(options.data)
  const dataset = path.basename(options.data)
  const owner = processOwner()
  const progress = hourlyProgress((hours) => {
    if (options.killAfter !== undefined && hours >= options.killAfter) killThisProcess(hours)
  })
  const workflow = defineFlightReport({
    source,
    paceMs: options.pace,
    publish: async (content, { runId, signal }) => {
      const { head, hash } = await kernel.timeline(runId)
      const origin = { runId, dataset, head, headHash: hash, publishedAt: Date.now() }
      return publishReport(path.join(folder, 'report.html'), content, { origin, signal })
    },
  })
  const kernel: Kernel = createKernel({
    ...{ store, workflows: [workflow], owner, leaseMs: LEASE_MS },
    onCommitted: (_, events) => {
      progress.committed(events)
    },
  })
  // Gives up what is under way: the call that waits for it rejects, and the run is free for the next process.
  interruption.signal.addEventListener('abort', () => void kernel[Symbol.asyncDispose]())
  let runId = ''
  try {
    const driving = { kernel, workflow, source, dataset, owner, progress, options, interruption }
    const result = await driveReport(driving, (id) => {
      runId = id
    })
    await printEnd(kernel, runId, result)
    return 0
  } catch (error) {
    if (!interruption.signal.aborted) throw error
    console.error(howToGoOn(runId, options, progress.hours))
    return interruption.exitCode()
  } finally {
    await kernel[Symbol.asyncDispose]()
  }
}

function killThisProcess(hours: number): void {
  console.error(`\nKilling this process: ${hours} of ${HOURS_PER_DAY} hourly results are committed`)
  process.kill(process.pid, 'SIGKILL')
}

function howToGoOn(runId: string, { store }: Arguments, hours: number): string {
  if (store === 'memory') return '\nStopped. What was kept in memory is gone.'
  const again = store === 'sqlite' ? 'npm start' : `npm start -- --store ${store}`
  return `\nStopped. Run ${runId} is released with ${hours} of ${HOURS_PER_DAY} hours; go on with: ${again}`
}

async function printEnd(kernel: Kernel, runId: string, result: ReportResult): Promise<void> {
  const timeline = await kernel.timeline(runId)
  console.log(`\n${timelineTable(timeline)}\n`)
  if (result.published) {
    console.log(`Published  ${path.join(folder, result.name)} (${result.bytes.toLocaleString('en-US')} bytes)`)
  } else {
    console.log('Rejected   nothing was published')
  }
  console.log(`Run        ${runId}, ${timeline.status}, ${timeline.head} events`)
  console.log(`Head hash  ${timeline.hash}`)
}
