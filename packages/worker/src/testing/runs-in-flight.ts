// node --expose-gc runs-in-flight.ts <place as JSON> <begin | go on>: drives a thousand runs with a history until all of them are in the
// middle of an action at once. Who begins starts them together and ends there without a word to the store; who goes on takes them
// over from the process that has ended so, and drives them to their end. Prints a Measured.
import { readFileSync } from 'node:fs'
import { createKernel, defineWorkflow } from '@varve/kernel'
import { z } from 'zod'
import { createWorker } from '../worker.ts'
import { openStore, type Place } from './place.ts'

const RUNS = 1000
const runIds = Array.from({ length: RUNS }, (_, run) => `run ${run}`)

/** Steps that each of them has behind it. */
const STEPS = 20

/** What each of those was given, and answered. */
const payload = 'layer upon layer, one for each year that has passed over the lake. '.repeat(3).slice(0, 198)

/** What a process came to. */
export interface Measured {
  /** Runs whose last action was under way when the last of them had begun it. */
  readonly open: number
  /** Least and greatest number of events in their logs at that time. */
  readonly events: readonly [least: number, greatest: number]
  /** What was on the heap and held by it at that time, garbage aside. */
  readonly heldBytes: number
  /** The most memory that the process had at any time, in all. */
  readonly peakBytes: number
  /** Runs that had come to their end by then. */
  readonly completed: number
}

const [place = '', part] = process.argv.slice(2)
const crowd = Promise.withResolvers<undefined>()
const gate = Promise.withResolvers<undefined>()
let open = 0

/** Keeps all answers in its state, as a workflow without a reducer does. */
const historied = defineWorkflow(
  {
    ...{ name: 'historied', version: '1', input: z.null() },
    actions: {
      work: { run: async (text: string) => text },
      hold: {
        run: async (_: null) => {
          open += 1
          if (open === RUNS) crowd.resolve(undefined)
          await gate.promise
          open -= 1
        },
      },
    },
  },
  {
    step: ({ results }, next) => {
      const done = Object.keys(results).length
      if (done < STEPS) return next.run('work', payload, { key: `work ${done + 1}` })
      return results['hold'] ? next.complete(done) : next.run('hold')
    },
  },
)

const store = await openStore(JSON.parse(place) as Place)
const kernel = createKernel({ store, workflows: [historied] })
const worker = createWorker({ kernel, concurrency: RUNS, signals: [] })
worker.start()
if (part === 'begin') await Promise.all(runIds.map((runId) => kernel.start(historied, null, { runId, wait: false })))
await crowd.promise
const inFlight = { open, events: await countEvents(), heldBytes: heldBytes() }
if (part === 'go on') {
  gate.resolve(undefined)
  await Promise.all(runIds.map((runId) => kernel.follow(runId)))
}
const peak = peakBytes()
process.stdout.write(
  JSON.stringify({ ...inFlight, peakBytes: peak, completed: await countCompleted() } satisfies Measured),
)
process.exit()

async function countEvents(): Promise<Measured['events']> {
  const heads = await Promise.all(runIds.map(async (runId) => (await kernel.get(runId)).head))
  return [Math.min(...heads), Math.max(...heads)]
}

async function countCompleted(): Promise<number> {
  const statuses = await Promise.all(runIds.map(async (runId) => (await kernel.get(runId)).status))
  return statuses.filter((status) => status === 'completed').length
}

function heldBytes(): number {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Resident, with everything that Node itself takes. */
function peakBytes(): number {
  // On Linux `maxRSS` may be that of the process which has started this one.
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024
  const [, kib] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return Number(kib) * 1024
}
