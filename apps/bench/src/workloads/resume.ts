import { createKernel } from '@varve/kernel'
import type { Store, StoredEvent } from '@varve/store'
import { randomUUID } from 'node:crypto'
import type { PlainDatabase } from '../plain/plain-database.ts'
import type { Sealing } from '../plain/plain-run.ts'
import { goOn, openRun } from '../plain/resume.ts'
import { watchedStore } from '../rounds/memory-peak.ts'
import type { Figures, Workload } from '../rounds/program.ts'
import { countedStore } from '../work/counted-store.ts'
import { longLog, waiting, writeLog, writePlainLog } from '../work/long-run.ts'

/** Recorded steps of a run that is no longer than what stands behind a snapshot. */
const TAIL_STEPS = 2

/** A long run goes on after a signal and does one step more, in a kernel that has just been made. */
export const resume: Workload = {
  title: 'W3 resume',
  prepare: async ({ store, plain }, { recorded }) => {
    const log = await longLog(`resume-${randomUUID()}`, recorded)
    const tail = await longLog(`resume-${randomUUID()}`, TAIL_STEPS)
    const unsealed = log.map((event) => ({ ...event, runId: `${event.runId}-unsealed` }))
    await writeLog(store, log)
    for (const each of [log, tail, unsealed]) await writePlainLog(plain, each)
    return {
      programs: [
        { name: 'varve', measure: () => kernelResume(withoutSnapshots(store), idOf(log)) },
        { name: 'plain', measure: () => plainResume(plain, idOf(log), { sealed: true }) },
        { name: 'plain, unsealed', measure: () => plainResume(plain, idOf(unsealed), { sealed: false }) },
        // The first of them leaves the snapshot for the next.
        { name: 'varve, from a snapshot', measure: () => kernelResume(store, idOf(log)) },
        { name: 'plain, a tail', measure: () => plainResume(plain, idOf(tail), { sealed: true }) },
        { name: 'varve, memory', collects: true, measure: () => heldOfLog(withoutSnapshots(store), log) },
      ],
    }
  },
}

async function kernelResume(store: Store, runId: string): Promise<Figures> {
  const counted = countedStore(store)
  await sendSignal(store, runId)
  const startedAt = performance.now()
  const kernel = createKernel({ store: counted.store, workflows: [waiting] })
  const { status } = await kernel.run(runId)
  const elapsedMs = performance.now() - startedAt
  await kernel[Symbol.asyncDispose]()
  if (status !== 'blocked') throw new Error(`the run is ${status} after its signal`)
  return { ms: elapsedMs, 'events read': counted.calls.eventsRead }
}

/** Not timed: it lies there when the kernel comes. */
async function sendSignal(store: Store, runId: string): Promise<void> {
  await using kernel = createKernel({ store, workflows: [waiting] })
  await kernel.signal(runId, { name: 'go', value: null, wait: false })
}

function withoutSnapshots(store: Store): Store {
  const snapshots = { ...store.snapshots, latest: async () => undefined, save: async () => undefined }
  return { ...store, snapshots, [Symbol.asyncDispose]: async () => undefined }
}

async function plainResume(plain: PlainDatabase, runId: string, sealing: Sealing): Promise<Figures> {
  const startedAt = performance.now()
  await goOn(plain, await openRun(plain, runId, sealing))
  return { ms: performance.now() - startedAt }
}

async function heldOfLog(store: Store, log: readonly StoredEvent[]): Promise<Figures> {
  const watched = watchedStore(store)
  await kernelResume(watched.store, idOf(log))
  return { 'held / log': watched.peakBytes() / bytesOf(log) }
}

function idOf(log: readonly StoredEvent[]): string {
  return log[0]?.runId ?? ''
}

/** As it lies in a database. */
function bytesOf(log: readonly StoredEvent[]): number {
  return log.reduce(
    (sum, { runId, type, body, hash }) => sum + runId.length + type.length + body.length + hash.length,
    0,
  )
}
