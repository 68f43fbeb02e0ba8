import type { LogEnd, StoreErrorCode } from '@varve/store'
import type { StoreInChild } from './harness.ts'
import { MIB, sampleBytes } from './sample-bytes.ts'

/** The content that all racing processes put. */
export const sharedContent: Uint8Array = sampleBytes(MIB + 1)

/** Runs for whose posts processes race: of one alone the lease would hardly ever be free. */
export const racedRuns: readonly string[] = ['run-1', 'run-2', 'run-3']

/** What the parent tells each racing process. */
export interface Race {
  readonly store: StoreInChild
  readonly runId: string
  /** The race is over when the log has so many events. */
  readonly events: number
  /** Names the process. */
  readonly writer: string
  /** The token that all write under; left out, each leases the run for every append. */
  readonly token?: number
  /** Instead of racing for heads: each keeps so many posts for {@link racedRuns}, and all take in turns what waits. */
  readonly posts?: number
}

/** What each racing process tells the parent in the end. */
export interface RaceResult {
  /** Events that this process appended. */
  readonly won: readonly LogEnd[]
  /** Who won the entry of the cache for which all race, as this process was told. */
  readonly cached?: string
  /** The leases that this process was given to take posts, by run and token. */
  readonly leases?: readonly string[]
  /** Posts that this process took. */
  readonly taken?: readonly string[]
  /** How often each refusal came. */
  readonly refusals: Readonly<Partial<Record<StoreErrorCode, number>>>
  /** What else went wrong. */
  readonly failure?: string
}
