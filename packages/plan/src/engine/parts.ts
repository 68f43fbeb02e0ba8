import type { Clock, Kernel } from '@varve/kernel'
import type { ArtifactStore, Store } from '@varve/store'
import type { WorkflowRuntime } from '../execution/plan-workflow.ts'
import type { RunConfigInput } from '../manifest/prepare-run.ts'
import type { PlanRegistry } from './plan-registry.ts'

/** What the verbs of one engine share. */
export interface EngineParts {
  readonly kernel: Kernel
  readonly store: Store
  readonly artifacts: ArtifactStore
  readonly plans: PlanRegistry
  readonly runtime: WorkflowRuntime
  readonly config: RunConfigInput
  readonly clock: Clock
}
