import type { Limits, Owner, RunRow, Store } from '@varve/store'
import type { Clock } from '../clock.ts'
import type { LogEvent } from '../log/log-event.ts'
import type { Policy } from '../policy/policy.ts'
import type { Definition } from '../workflow/define-workflow.ts'

/** What all drives of one kernel share. */
export interface Environment {
  readonly store: Store
  readonly clock: Clock
  readonly owner: Owner
  readonly policy: Policy
  readonly limits: Limits
  readonly leaseMs: number
  /** What to do with a run whose recorded decisions the code does not repeat. */
  readonly onDrift: 'stop' | 'warn'
  /** Identifies this build of the code; snapshots of another are passed over. */
  readonly buildOf: (definition: Definition) => string
  /** @throws KernelError `WORKFLOW_MISSING`. */
  readonly definitionOf: (row: Pick<RunRow, 'runId' | 'workflow' | 'version'>) => Definition
  /** Tells of events that have become durable. */
  readonly committed: (runId: string, events: readonly LogEvent[]) => void
  /** Tells of something that went wrong and does not matter to the run's outcome. */
  readonly warn: (warning: Error) => void
}
