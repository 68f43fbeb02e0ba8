// node --expose-gc blocked-runs.ts <worker | dispatcher | verbs>: tells how many bytes of its heap each blocked run takes.
import { createKernel, defineWorkflow, type Kernel } from '@varve/kernel'
import { allPages } from '@varve/store'
import { sqliteStore } from '@varve/store-sqlite'
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { createWorker } from '../worker.ts'
import { waiter } from './samples.ts'

const RUNS = 10_000

/** Compiles, and fills caches that do not grow with the runs. */
const WARM_UP = 1000

/** Does not wake up as long as it is looked at. */
const sleeper = defineWorkflow(
  { name: 'sleeper', version: '1', input: z.null() },
  { step: ({ results }, next) => (results['sleep'] ? next.complete('awake') : next.sleep(86_400_000)) },
)

/** What drives runs until they block. */
type Driver = (runs: number) => Promise<void>

// What a database in memory holds is not on the heap.
const store = await sqliteStore({ path: ':memory:' })
const kernel = createKernel({ store, workflows: [sleeper, waiter] })
const drivers: Record<string, (kernel: Kernel) => Driver> = {
  worker: byWorker,
  dispatcher: byDispatcher,
  verbs: byVerbs,
}
const drive = drivers[process.argv[2] ?? '']?.(kernel)
if (drive === undefined) throw new Error(`say who is to drive: ${Object.keys(drivers).join(', ')}`)

await drive(WARM_UP)
const before = await heapBytes()
await drive(RUNS)
const after = await heapBytes()
process.stdout.write(JSON.stringify({ bytesPerRun: (after - before) / RUNS, blocked: await countBlocked() }))
process.exit()

function byWorker(): Driver {
  const worker = createWorker({ kernel, concurrency: 100, signals: [] })
  worker.start()
  let expected = 0
  return async (runs) => {
    await enqueue(runs)
    expected += runs
    while (worker.health().counts.blocked < expected) await setImmediate()
  }
}

function byDispatcher({ dispatcher }: Kernel): Driver {
  return async (runs) => {
    await enqueue(runs)
    for (let left = runs; left > 0;) {
      const claimed = await dispatcher.claim({ queues: [{ name: 'default' }], limit: 100, leaseMs: 600_000 })
      await Promise.all(claimed.map(({ outcome }) => outcome))
      left -= claimed.length
    }
  }
}

function byVerbs(): Driver {
  return async (runs) => {
    for (let run = 0; run < runs; run++)
      await (run % 2 === 0 ? kernel.start(sleeper, null) : kernel.start(waiter, null))
  }
}

/** Half of them wait for a time, half for a signal. */
async function enqueue(runs: number): Promise<void> {
  for (let run = 0; run < runs; run++) {
    await (run % 2 === 0 ? kernel.start(sleeper, null, { wait: false }) : kernel.start(waiter, null, { wait: false }))
  }
}

async function countBlocked(): Promise<number> {
  let count = 0
  for await (const rows of allPages((page) => kernel.list({ statuses: ['blocked'] }, page))) count += rows.length
  return count
}

async function heapBytes(): Promise<number> {
  for (let turn = 0; turn < 5; turn++) {
    await setImmediate()
    globalThis.gc?.()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
