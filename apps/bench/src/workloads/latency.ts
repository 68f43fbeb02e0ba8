import { createKernel } from '@varve/kernel'
import { randomUUID } from 'node:crypto'
import { plainWorkplace } from '../plain/plain-workplace.ts'
import { addRequest, addStart, PlainRun } from '../plain/plain-run.ts'
import type { PlainDatabase } from '../plain/plain-database.ts'
import type { Figures, Program, Workload } from '../rounds/program.ts'
import type { Site } from '../sites/site.ts'
import { percentile } from '../statistics.ts'
import { sequenceOf } from '../work/sequence.ts'
import { timeLatencies } from '../workers/latency.ts'
import { workerProcess } from '../workers/worker-process.ts'
import { ownWorkplace, type Workplace } from '../workers/workplace.ts'

/** How far starts are spread for those who are told of them, and for those who look every half second. */
const SPREAD_MS = { told: 20, looks: 500 }

/** From a start to the call of the first handler, by a worker that is idle. */
export const latency: Workload = {
  title: 'W5 latency',
  prepare: async (site, { starts }) => {
    const sequence = sequenceOf()
    const kernel = createKernel({ store: site.store, workflows: [sequence] })
    const spreadMs = kernel.dispatcher.notifies ? SPREAD_MS.told : SPREAD_MS.looks
    const start = (): Promise<unknown> => kernel.start(sequence, { steps: 1 }, { wait: false })
    const places = await placesOf(site, start)
    const programs = places.map(({ name, begin, workplace }): Program => ({
      name,
      measure: async () => figuresOf(await timeLatencies(begin, workplace, { starts, spreadMs })),
    }))
    return {
      programs,
      close: async () => {
        for (const { workplace } of places) await workplace[Symbol.asyncDispose]()
        await kernel[Symbol.asyncDispose]()
      },
    }
  },
}

interface Place {
  readonly name: string
  /** Starts a run of one step. */
  readonly begin: () => Promise<unknown>
  readonly workplace: Workplace
}

/**
 * The start happens here; the worker is here, too, or in a process of its own. Here it is most often that of the kernel that starts.
 *
 * @param start - by a kernel that has no worker.
 */
async function placesOf(
  { store, plain, location, plainLocation }: Site,
  start: () => Promise<unknown>,
): Promise<readonly Place[]> {
  const own = ownWorkplace(store)
  const announce = (): Promise<void> => announceRun(plain)
  const places: Place[] = [
    { name: 'varve', begin: () => own.kernel.start(own.sequence, { steps: 1 }, { wait: false }), workplace: own },
    { name: 'plain', begin: announce, workplace: plainWorkplace(plain) },
    { name: 'varve, another kernel', begin: start, workplace: ownWorkplace(store) },
  ]
  if (location !== undefined) {
    places.push({ name: 'varve, another process', begin: start, workplace: await workerProcess(location) })
  }
  if (plainLocation !== undefined) {
    const workplace = await workerProcess(plainLocation, 'plain')
    places.push({ name: 'plain, another process', begin: announce, workplace })
  }
  return places
}

async function announceRun(database: PlainDatabase): Promise<void> {
  // Nobody drives it until it is taken up.
  const run = new PlainRun(randomUUID(), { sealed: true }, 0)
  addStart(run, 'sequence', { steps: 1 })
  addRequest(run, 1)
  await database.announce(run.take())
}

function figuresOf(latencies: readonly number[]): Figures {
  return { 'p50 ms': percentile(latencies, 0.5), 'p99 ms': percentile(latencies, 0.99) }
}
