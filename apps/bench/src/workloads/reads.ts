import { createKernel, type Kernel } from '@varve/kernel'
import { genesis, openEvent, sealEvent, type Store } from '@varve/store'
import { randomUUID } from 'node:crypto'
import type { Figures, Workload } from '../rounds/program.ts'
import { longLog, waiting, writeLog } from '../work/long-run.ts'

/** A long run is read from its first event to its last, and nothing is written. */
export const reads: Workload = {
  title: 'Reads',
  prepare: async ({ store }, { recorded }) => {
    const runId = `reads-${randomUUID()}`
    const log = await longLog(runId, recorded)
    await writeLog(store, log)
    const kernel = createKernel({ store, workflows: [waiting] })
    const measure = (read: () => Promise<number>) => () => eventsPerSecond(log.length, read)
    return {
      programs: [
        { name: 'varve, replay', measure: measure(async () => (await kernel.replay(runId)).head) },
        // Order and hash of each event checked, its data parsed.
        { name: 'plain', measure: measure(() => readBare(store, runId, openAndParse)) },
        { name: 'varve, verify', measure: measure(() => verify(kernel, runId)) },
        // Besides, each event's data made canonical and hashed again, as asking the code again does.
        { name: 'plain, sealing again', measure: measure(() => readBare(store, runId, openAndSeal)) },
      ],
      close: async () => kernel[Symbol.asyncDispose](),
    }
  },
}

async function eventsPerSecond(events: number, read: () => Promise<number>): Promise<Figures> {
  const startedAt = performance.now()
  const head = await read()
  const elapsedMs = performance.now() - startedAt
  if (head !== events) throw new Error(`${head} events were read of ${events}`)
  return { 'events/s': (events / elapsedMs) * 1000 }
}

/** @returns the last seq. */
async function readBare(store: Store, runId: string, open: typeof openEvent): Promise<number> {
  let end = genesis(runId)
  for await (const event of store.events.read(runId)) end = open(end, event).stored
  return end.seq
}

const openAndParse: typeof openEvent = (end, event) => {
  const { stored, data } = openEvent(end, event)
  return { stored, data }
}

const openAndSeal: typeof openEvent = (end, event) => {
  const { data } = openEvent(end, event)
  const sealed = sealEvent(event.runId, end, { type: event.type, data }, event.at)
  if (sealed.stored.hash !== event.hash) throw new Error(`seq ${event.seq} is sealed otherwise than before`)
  return sealed
}

async function verify(kernel: Kernel, runId: string): Promise<number> {
  const verification = await kernel.verify(runId)
  if (!verification.ok) throw new Error(verification.message)
  return verification.head
}
