import { createKernel } from '@varve/kernel'
import type { Figures, Program, Workload } from '../rounds/program.ts'
import type { Site } from '../sites/site.ts'
import { fillIndex, timeIndex } from '../work/full-index.ts'
import { blobSizes, timeBlobs } from '../work/blobs.ts'
import { sequenceOf } from '../work/sequence.ts'
import { driveTimers } from '../work/timers.ts'

/** Runs in the index, steps and timers of a run that are few. */
const FEW = { runs: 10, steps: 100, timers: 100 }

/** What the cost of the same work is where there is little of something, and where there is much of it. */
export const growth: Workload = {
  title: 'Growth',
  prepare: async (site, { indexed, longest, timers }) => ({
    programs: [
      ...(await indexPrograms(site, indexed)),
      ...[FEW.steps, longest].map((steps) => ({
        name: `varve, ${steps} steps`,
        measure: () => timeSteps(site, steps),
      })),
      // Their own store: time has to pass at once.
      ...(site.location === undefined ? [FEW.timers, timers] : []).map((count) => ({
        name: `varve, ${count} timers`,
        measure: () => driveTimers(count),
      })),
      ...blobSizes.map(({ name, bytes }) => ({
        name: `varve, ${name} payloads`,
        measure: () => timeBlobs(site.store, bytes),
      })),
    ],
  }),
}

/** Two stores, one of which knows many runs. */
async function indexPrograms(site: Site, indexed: number): Promise<readonly Program[]> {
  const programs: Program[] = []
  for (const runs of [FEW.runs, indexed]) {
    const store = await site.another()
    await fillIndex(store, runs)
    await site.settle?.()
    programs.push({ name: `varve, ${runs} runs`, measure: () => timeIndex(store) })
  }
  return programs
}

async function timeSteps({ store }: Site, steps: number): Promise<Figures> {
  const sequence = sequenceOf()
  await using kernel = createKernel({ store, workflows: [sequence] })
  const startedAt = performance.now()
  await kernel.start(sequence, { steps })
  return { 'ms/step': (performance.now() - startedAt) / steps }
}
