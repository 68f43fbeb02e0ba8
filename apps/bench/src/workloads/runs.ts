import { createKernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import { randomUUID } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { v7 as orderedId } from 'uuid'
import { groupCommit } from '../plain/group-commit.ts'
import type { PlainDatabase } from '../plain/plain-database.ts'
import type { Sealing } from '../plain/plain-run.ts'
import { driveSequence } from '../plain/sequence.ts'
import type { Figures, Program, Workload } from '../rounds/program.ts'
import { sequenceOf } from '../work/sequence.ts'
import { crewsOf } from '../workers/crews.ts'
import { STEPS_PER_RUN } from '../workers/dispatch.ts'

/** How many runs are in flight while the delay of the event loop is watched. */
const WATCHED_RUNS = 100

/**
 * As many as fill the commits: on Postgres all of them, elsewhere, where one commit is under way at a time, so many. What more of
 * them hold would only drive each other from the caches of the processor.
 */
const RUNS_AT_ONCE = 128

/** Many short runs, many of them in flight at once. */
export const runs: Workload = {
  title: 'W2 runs',
  warmUps: 2,
  prepare: async (site, { runs }) => {
    const { store, plain, location } = site
    const crews = await crewsOf(site)
    const watched = Math.min(runs, WATCHED_RUNS)
    const both = (name: string, drive: (runs: number) => Promise<void>): readonly Program[] => [
      { name, measure: () => rateOf(runs, () => drive(runs)) },
      { name: `${name}, ${watched} at once`, measure: () => loopDelay(runs, watched, drive) },
    ]
    return {
      programs: [
        ...crews.programs(runs),
        ...both('varve', (count) => kernelRuns(store, count, location?.kind === 'postgres' ? count : RUNS_AT_ONCE)),
        ...both('plain', (count) => plainRuns(plain, count, { sealed: true })),
        { name: 'plain, unsealed', measure: () => rateOf(runs, () => plainRuns(plain, runs, { sealed: false })) },
        {
          name: 'plain, ordered ids',
          measure: () => rateOf(runs, () => plainRuns(plain, runs, { sealed: true }, orderedId)),
        },
      ],
      close: crews.close,
    }
  },
}

async function rateOf(runs: number, drive: () => Promise<void>): Promise<Figures> {
  const startedAt = performance.now()
  await drive()
  return { 'runs/s': (runs / (performance.now() - startedAt)) * 1000 }
}

/** As many runs in all, but never more than so many at once. */
async function loopDelay(runs: number, atOnce: number, drive: (runs: number) => Promise<void>): Promise<Figures> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  for (let left = runs; left > 0; left -= atOnce) await drive(Math.min(left, atOnce))
  delay.disable()
  return { 'loop delay p99 ms': delay.percentile(99) / 1e6 }
}

/** `start` drives a run to its end; when one has ended the next begins. */
export async function kernelRuns(store: Store, runs: number, atOnce = RUNS_AT_ONCE): Promise<void> {
  const sequence = sequenceOf()
  const kernel = createKernel({ store, workflows: [sequence] })
  let started = 0
  const startNext = async (): Promise<void> => {
    while (started++ < runs) {
      const { status } = await kernel.start(sequence, { steps: STEPS_PER_RUN })
      if (status !== 'completed') throw new Error(`a run ended ${status}`)
    }
  }
  await Promise.all(Array.from({ length: Math.min(runs, atOnce) }, startNext))
  await kernel[Symbol.asyncDispose]()
}

/**
 * The same by a plain program with shared commits.
 *
 * @param newId - makes the ids of the runs; by default as most programs make them.
 */
export async function plainRuns(
  database: PlainDatabase,
  runs: number,
  sealing: Sealing,
  newId: () => string = randomUUID,
): Promise<void> {
  const commit = groupCommit(database)
  const drive = (): Promise<void> => driveSequence(commit, STEPS_PER_RUN, { runId: newId(), ...sealing })
  await Promise.all(Array.from({ length: runs }, drive))
}
