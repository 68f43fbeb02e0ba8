// A process with a worker, until it is stopped. Its argument is a WorkerTask.
//
// Prints `ready <owner>` when it works, `held <text>` when a handler waits for the line `open` on its input, `recovered <run
// ids>` in answer to `recover`, `stopping` at the first SIGTERM, and `ended <counts>` before it ends by itself. Goes with the process that started it.
import { writeSync } from 'node:fs'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { createKernel, processOwner, systemClock } from '@varve/kernel'
import { createWorker } from '../worker.ts'
import { openLedger, openStore, type Place } from './place.ts'
import { workloads, type WorkloadName } from './workloads.ts'

/** What a process with a worker does. */
export interface WorkerTask {
  readonly place: Place
  readonly workload: WorkloadName
  readonly leaseMs: number
  readonly concurrency?: number
  readonly graceMs?: number
  readonly pollMs?: number
  readonly maxRecoveries?: number
  /** True: handlers that can be held are. */
  readonly holds?: boolean
  /** False: nothing is claimed; the process only does what its input says. Default true. */
  readonly works?: boolean
  /** How far the clock of this process is ahead of the machine's, in ms. */
  readonly clockAheadMs?: number
  /** In place of the process's own, where the system gives it none. */
  readonly pidNamespace?: string
}

const task = JSON.parse(process.argv[2] ?? '') as WorkerTask
const { leaseMs, workload, clockAheadMs = 0, pidNamespace, maxRecoveries } = task
const store = await openStore(task.place)
const ledger = await openLedger(task.place)
const gate = Promise.withResolvers<undefined>()
const owner = {
  ...processOwner(),
  ...(pidNamespace !== undefined && { pidNamespace, pid: 1, startedAt: `${process.pid}` }),
}
const workflow = workloads[workload]({
  write: (effect) => ledger.write(effect),
  hold: async (text) => {
    if (task.holds !== true) return
    say('held', text)
    await gate.promise
  },
  die: () => process.kill(process.pid, 'SIGKILL'),
})
const kernel = createKernel({
  ...{ store, workflows: [workflow], owner, leaseMs },
  ...(maxRecoveries !== undefined && { maxRecoveries }),
  clock: { ...systemClock, now: () => Date.now() + clockAheadMs },
  onWarning: () => undefined,
})
const worker = createWorker({
  kernel,
  concurrency: task.concurrency ?? 5,
  graceMs: task.graceMs ?? 2000,
  pollMs: task.pollMs ?? 50,
  onWarning: () => undefined,
})

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  if (line === 'open') gate.resolve(undefined)
  else if (line === 'stop') void worker.stop()
  else
    void kernel.recover().then((runs) =>
      say(
        'recovered',
        runs.map(({ runId }) => runId),
      ),
    )
})
process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL'))
// Listening is no reason for a worker's process to go on.
if (task.works !== false) (process.stdin as unknown as { unref(): void }).unref()

if (task.works !== false) worker.start()
// Heard after the worker has, and once, as by the worker: a second one is to end the process.
process.once('SIGTERM', () => {
  say('stopping', null)
})
say('ready', owner)
await worker.stopped
say('ended', worker.health().counts)
await kernel[Symbol.asyncDispose]()
await store[Symbol.asyncDispose]()
await ledger.close()

function say(what: string, value: unknown): void {
  writeSync(1, `${what} ${JSON.stringify(value)}\n`)
}
