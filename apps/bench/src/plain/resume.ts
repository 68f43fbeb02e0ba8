import { randomUUID } from 'node:crypto'
import { payloadOf, work } from '../work/sequence.ts'
import type { PlainDatabase } from './plain-database.ts'
import { addRequest, addResult, PlainRun, type Sealing } from './plain-run.ts'

/** Events of a page. */
const PAGE = 1_000

/** Takes a run up that waits: reads it in pages and reduces it. @returns it, held by us. */
export async function openRun(database: PlainDatabase, runId: string, sealing: Sealing): Promise<PlainRun> {
  const { token } = await database.acquire(runId)
  const run = new PlainRun(runId, sealing, token)
  for (let from = 1; ; from += PAGE) {
    const page = await database.read(runId, from, PAGE)
    for (const event of page) run.open(event)
    if (page.length < PAGE) return run
  }
}

/** A signal comes to a run that waits: records it, and does the step that it was waiting to do. */
export async function goOn(database: PlainDatabase, run: PlainRun): Promise<void> {
  const signalId = randomUUID()
  const step = run.state.done + 1
  run.add('SignalReceived', { signalId, name: 'go', value: null }, Date.now())
  run.add('SignalDelivered', { key: `go ${run.state.signals + 1}`, signalId, value: null }, Date.now())
  addRequest(run, step)
  await database.commit([run.take()])
  addResult(run, step, await work(payloadOf(step)))
  run.add('WaitStarted', { key: `go ${run.state.signals + 1}`, signal: 'go' }, Date.now())
  await database.commit([run.take('blocked')])
}
