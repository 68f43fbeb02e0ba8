import type { Claim, Json, RunCreation } from '@varve/store'
import type { LogDraft } from '../log/log-event.ts'
import type { Definition } from '../workflow/define-workflow.ts'

/** Which run to drive, and with what. */
export interface DriveOptions {
  readonly runId: string
  readonly definition: Definition
  readonly initialState?: Json
  /** The lease to drive under; without it the run is created. */
  readonly claim?: Claim
  /** Drive it although it is poisoned. */
  readonly revive?: boolean
  /** Monotonic time before the lease was asked for. */
  readonly claimedAt: number
  /** Present when the run is to be created. */
  readonly create?: { readonly started: LogDraft; readonly row: RunCreation }
}
