import { payloadOf, work } from '../work/sequence.ts'
import type { PlainDatabase } from './plain-database.ts'
import { addRequest, addResult, addStart, PlainRun, type Sealing } from './plain-run.ts'

/** Drives a run of so many actions at once: one commit asks for all of them, one has all that they came to. */
export async function driveFanOut(
  database: PlainDatabase,
  fan: number,
  { runId, sealed }: Sealing & { readonly runId: string },
): Promise<void> {
  const run = new PlainRun(runId, { sealed })
  const all = Array.from({ length: fan }, (_, at) => at + 1)
  addStart(run, 'fan-out', { fan })
  for (const step of all) addRequest(run, step)
  await database.commit([run.take()])
  await Promise.all(all.map(async (step) => addResult(run, step, await work(payloadOf(step)))))
  run.add('Completed', { output: run.state.done }, Date.now())
  await database.commit([run.take('completed')])
}
