import { createKernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import { randomUUID } from 'node:crypto'
import type { PlainDatabase } from '../plain/plain-database.ts'
import type { Sealing } from '../plain/plain-run.ts'
import { driveSequence } from '../plain/sequence.ts'
import type { Figures, Workload } from '../rounds/program.ts'
import type { Site } from '../sites/site.ts'
import { sequenceOf } from '../work/sequence.ts'
import { timeAppends } from './appends.ts'

/** One run of sequential steps. */
export const steps: Workload = {
  title: 'W1 steps',
  // After some 20,000 steps a step takes no less any more.
  warmUps: 10,
  prepare: async (site, { steps }) => {
    const { store, plain, commitRows } = site
    const perSecond = (ms: number): number => (steps / ms) * 1000
    return {
      programs: [
        { name: 'varve', measure: async () => costs(site, steps, () => kernelSteps(store, steps)) },
        { name: 'plain', measure: async () => costs(site, steps, () => plainSteps(plain, steps, { sealed: true })) },
        {
          name: 'plain, unsealed',
          measure: async () => costs(site, steps, () => plainSteps(plain, steps, { sealed: false })),
        },
        { name: 'appends alone', measure: async () => ({ 'appends/s': perSecond(await timeAppends(store, steps)) }) },
        {
          name: 'raw commits',
          measure: async () => {
            const startedAt = performance.now()
            await commitRows(steps)
            return { 'commits/s': perSecond(performance.now() - startedAt) }
          },
        },
      ],
    }
  },
}

/** Rate and CPU time of the steps of one run. */
async function costs({ cpuMs }: Site, steps: number, drive: () => Promise<void>): Promise<Figures> {
  const cpuBefore = cpuMs()
  const startedAt = performance.now()
  await drive()
  const elapsedMs = performance.now() - startedAt
  return { 'steps/s': (steps / elapsedMs) * 1000, 'CPU ms/step': (cpuMs() - cpuBefore) / steps }
}

/** A run of so many steps through the kernel. */
export async function kernelSteps(store: Store, steps: number): Promise<void> {
  const sequence = sequenceOf()
  const kernel = createKernel({ store, workflows: [sequence] })
  const { status } = await kernel.start(sequence, { steps })
  if (status !== 'completed') throw new Error(`the run of ${steps} steps ended ${status}`)
  await kernel[Symbol.asyncDispose]()
}

/** The same by a plain program. */
export async function plainSteps(database: PlainDatabase, steps: number, sealing: Sealing): Promise<void> {
  await driveSequence((append) => database.commit([append]), steps, { runId: randomUUID(), ...sealing })
}
