import { payloadOf, work } from '../work/sequence.ts'
import type { Commit } from './group-commit.ts'
import { addRequest, addResult, addStart, PlainRun, type Sealing } from './plain-run.ts'

/** Drives a run of so many steps in sequence from its start to its end, one commit for each step. */
export async function driveSequence(
  commit: Commit,
  steps: number,
  { runId, sealed }: Sealing & { readonly runId: string },
): Promise<void> {
  const run = new PlainRun(runId, { sealed })
  addStart(run, 'sequence', { steps })
  addRequest(run, 1)
  await commit(run.take())
  await driveSteps(commit, run, steps)
}

/** Drives a run on whose first step is requested. */
export async function driveSteps(commit: Commit, run: PlainRun, steps: number): Promise<void> {
  for (let step = run.state.done + 1; step <= steps; step++) {
    addResult(run, step, await work(payloadOf(step)))
    if (step < steps) addRequest(run, step + 1)
    else run.add('Completed', { output: run.state.done }, Date.now())
    await commit(run.take(step < steps ? 'running' : 'completed'))
  }
}
