import type { ArtifactStore, Limits, Owner, RunRow, Store } from '@varve/store'
import type { LogEvent } from '../log/log-event.ts'
import type { Observation } from './observer.ts'
import type { Guard } from '../guard/guard.ts'
import type { Policy } from '../policy/policy.ts'
import type { SecretsSetup } from '../secrets/options.ts'
import type { StoreClock } from '../store-clock.ts'
import type { Definition } from '../workflow/define-workflow.ts'

/** Work that goes on behind an outcome. */
export interface TrailingWork {
  /** True while something is left to begin when nobody waits any more: it may take long. */
  readonly isLate: boolean
  /** Begins what is left. */
  begin(): void
  /** Since it began, how much text it holds in memory until it is done, in UTF-16 code units. */
  readonly unwritten: number
  /** Resolves when it is done. */
  settled(): Promise<void>
}

/** What all drives of one kernel share. */
export interface Environment {
  readonly store: Store
  /** Where artifacts are: the store's own, or another. */
  readonly artifacts: ArtifactStore
  /** The store's clock, which leases and due times are compared with. */
  readonly clock: StoreClock
  /** What a drive waits for before each turn, once in a while: everybody else's turn. */
  readonly breathe: () => Promise<void> | undefined
  readonly owner: Owner
  readonly policy: Policy
  readonly limits: Limits
  readonly leaseMs: number
  /** A time that is nearer than this, in ms, is waited for in process; until a later one the run blocks. */
  readonly holdMs: number
  readonly secrets: SecretsSetup
  /** What to do with a run whose recorded decisions the code does not repeat. */
  readonly onDrift: 'stop' | 'warn'
  /** Calls the pure functions of workflows. */
  readonly guard: Guard
  /** Identifies this build of the code; snapshots of another are passed over. */
  readonly buildOf: (definition: Definition) => string
  /** @throws KernelError `WORKFLOW_MISSING`. */
  readonly definitionOf: (row: Pick<RunRow, 'runId' | 'workflow' | 'version'>) => Definition
  /** The code of a new run: the version asked for, or the newest registered one. @throws KernelError `WORKFLOW_MISSING`. */
  readonly definitionFor: (run: {
    readonly runId: string
    readonly workflow: string
    readonly version?: string
  }) => Definition
  /** Makes run ids and seeds. */
  readonly newId: () => string
  /** After so many recoveries in which no item closed, a run is parked as poisoned. */
  readonly maxRecoveries: number
  /** True where runs come by claims, which honour the limits of queues: one that was given back and is due is claimed anew, not taken. */
  readonly byClaims?: boolean
  /** Says that something was done to another run: whoever may drive it here does so, in the background. */
  readonly moved: (runId: string) => void
  /** Resolves when this kernel stops moving one of these runs; undefined when it is at work on none of them. */
  readonly moving: (runs: ReadonlyMap<string, unknown>) => Promise<void> | undefined
  /** Takes work over for which nobody has to wait, and which does not fail; resolves when the next may come. */
  readonly trailing: (work: TrailingWork | undefined) => Promise<void>
  /** Tells what this kernel does. */
  readonly observe: Observation
  /** Tells of events that have become durable. */
  readonly committed: (runId: string, events: readonly LogEvent[]) => void
  /** Tells of something that went wrong and does not matter to the run's outcome. */
  readonly warn: (warning: Error) => void
}
