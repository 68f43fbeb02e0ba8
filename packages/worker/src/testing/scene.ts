import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createKernel, type Kernel } from '@varve/kernel'
import type { RunRow, Store } from '@varve/store'
import { onTestFinished } from 'vitest'
import { openLedger, openStore, type Ledger, type Place } from './place.ts'
import { spawnWorker, type WorkerProcess } from './spawn-worker.ts'
import type { WorkerTask } from './worker-process.ts'
import { workloads, type WorkloadName } from './workloads.ts'

/** A store that processes share, as the test sees it. */
export interface ProcessScene {
  readonly place: Place
  readonly store: Store
  readonly ledger: Ledger
  /** Knows the workflows; its handlers are those of a process where nobody is held and nobody dies. */
  readonly kernel: Kernel
  /** Records a run, and drives it not. */
  readonly enqueue: (runId: string, input?: unknown) => Promise<unknown>
  /** Starts a process with a worker, which is killed with the test at the latest, and waits until it works. */
  readonly launch: (task?: Partial<WorkerTask>, before?: readonly string[]) => Promise<WorkerProcess>
  /** Waits until the row of a run is as it should be. */
  readonly rowOf: (runId: string, holds: (row: RunRow) => boolean) => Promise<RunRow>
}

/** How long something may take that is to happen, in ms. */
const PATIENCE_MS = 30_000

/** A place with the workflow of a workload; by default one SQLite file. */
export async function openScene(workload: WorkloadName, place: Place = newFolder()): Promise<ProcessScene> {
  const store = await openStore(place)
  const ledger = await openLedger(place)
  const workflow = workloads[workload]({
    write: (effect) => ledger.write(effect),
    hold: async () => undefined,
    die: () => undefined,
  })
  const kernel = createKernel({ store, workflows: [workflow], onWarning: () => undefined })
  const launched: WorkerProcess[] = []
  onTestFinished(async () => {
    for (const worker of launched) worker.kill('SIGKILL')
    await Promise.all(launched.map(({ ended }) => ended))
    await kernel[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
    await ledger.close()
    if (place.kind === 'sqlite') rmSync(place.folder, { recursive: true, force: true })
  })
  return {
    ...{ place, store, ledger, kernel },
    enqueue: (runId, input = null) => kernel.start(workflow, input as never, { runId, wait: false }),
    launch: async (task = {}, before = []) => {
      const worker = spawnWorker({ place, workload, leaseMs: 60_000, ...task }, before)
      launched.push(worker)
      if ((await worker.said('ready')) === undefined) throw new Error((await worker.ended).error)
      return worker
    },
    rowOf: (runId, holds) => eventually(() => kernel.get(runId), holds),
  }
}

/** Looks again and again until what is seen is as it should be. */
export async function eventually<T>(look: () => Promise<T>, holds: (seen: T) => boolean): Promise<T> {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    const seen = await look()
    if (holds(seen)) return seen
    if (performance.now() > until) throw new Error(`it stays as it is: ${JSON.stringify(seen)}`)
    await delay(20)
  }
}

function newFolder(): Place {
  return { kind: 'sqlite', folder: mkdtempSync(path.join(tmpdir(), 'varve-worker-')) }
}
