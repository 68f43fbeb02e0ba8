import type { ArtifactFolder, Workload } from '../rounds/program.ts'
import { artifacts } from './artifacts.ts'
import { fanOut } from './fan-out.ts'
import { latency } from './latency.ts'
import { plans } from './plans.ts'
import { reads } from './reads.ts'
import { resume } from './resume.ts'
import { runs } from './runs.ts'
import { steps } from './steps.ts'

/** Measured on every store. */
const onStores = { steps, runs, resume, 'fan-out': fanOut, latency, reads, plans } as const satisfies Record<
  string,
  Workload
>

/** Measured in a folder. */
const inFolder = { artifacts } as const satisfies Record<string, Workload<ArtifactFolder>>

type OnStores = keyof typeof onStores

/** What can be measured. */
export type WorkloadName = OnStores | keyof typeof inFolder

/** What can be measured, in the order in which it is. */
export const workloadNames = [...Object.keys(onStores), ...Object.keys(inFolder)] as readonly WorkloadName[]

/** Whether it is measured on stores. */
export function isOnStores(name: WorkloadName): name is OnStores {
  return name in onStores
}

/** A workload that is measured on stores. */
export function storeWorkload(name: OnStores): Workload {
  return onStores[name]
}

/** A workload that is measured in a folder. */
export function folderWorkload(name: Exclude<WorkloadName, OnStores>): Workload<ArtifactFolder> {
  return inFolder[name]
}
