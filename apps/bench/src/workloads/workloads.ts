import type { Workload } from '../rounds/program.ts'
import { counts } from './counts.ts'
import { fanOut } from './fan-out.ts'
import { growth } from './growth.ts'
import { latency } from './latency.ts'
import { plans } from './plans.ts'
import { reads } from './reads.ts'
import { resume } from './resume.ts'
import { runs } from './runs.ts'
import { steps } from './steps.ts'

const onStores = {
  steps,
  runs,
  resume,
  'fan-out': fanOut,
  latency,
  reads,
  plans,
  growth,
  counts,
} as const satisfies Record<string, Workload>

/** What can be measured on a store. */
export type StoreWorkloadName = keyof typeof onStores

/** What can be measured. */
export type WorkloadName = StoreWorkloadName | 'artifacts'

/** What can be measured, in the order in which it is. */
export const workloadNames = [...Object.keys(onStores), 'artifacts'] as readonly WorkloadName[]

/** What is measured where flushes are slow, too: the rest does not depend on it. */
export const slowWorkloads: readonly WorkloadName[] = ['steps', 'runs']

/** A workload that is measured on stores. */
export function storeWorkload(name: StoreWorkloadName): Workload {
  return onStores[name]
}
