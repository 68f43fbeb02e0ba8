import type { Profiler } from 'node:inspector'
import { Session } from 'node:inspector/promises'
import type { Store } from '@varve/store'
import { kernelSteps } from '../workloads/steps.ts'

/** Time between two looks at what is being done. */
const INTERVAL_US = 100

/** Runs before those that count: they compile. */
const WARM_UPS = 5

/** Runs that are looked at, one after the other. */
export const PROFILED_RUNS = 5

/** Profiles {@link PROFILED_RUNS} runs of so many sequential steps, as `steps` measures one. */
export async function profileSteps(store: Store, steps: number): Promise<Profiler.Profile> {
  for (let run = 0; run < WARM_UPS; run++) await kernelSteps(store, steps)
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US })
    await session.post('Profiler.start')
    for (let run = 0; run < PROFILED_RUNS; run++) await kernelSteps(store, steps)
    const { profile } = await session.post('Profiler.stop')
    return profile
  } finally {
    session.disconnect()
  }
}
