import type { Store } from '@varve/store'
import type { StoreLocation } from './store-location.ts'

/** A store to measure, and the database under it to measure it against. */
export interface Target {
  readonly name: TargetName
  readonly store: Store
  /** Where other processes open the same store; absent where none can. */
  readonly location?: StoreLocation
  /** Commits so many small rows, one after the other and as plainly as the database allows. */
  readonly commitRows: (rows: number) => Promise<void>
  readonly close: () => Promise<void>
}

/** What can be measured. */
export const targetNames = ['memory', 'sqlite-full', 'sqlite-normal', 'postgres'] as const

/** What can be measured. */
export type TargetName = (typeof targetNames)[number]

/** What the rows of the raw commits hold: about as much as an event. */
export const rowBody = JSON.stringify({ key: 'step-1', output: { ok: true, text: 'x'.repeat(80) }, attempts: 1 })
