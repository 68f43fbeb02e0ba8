import type { Store } from '@varve/store'
import type { PlainDatabase } from '../plain/plain-database.ts'
import type { CpuClock } from '../rounds/cpu-time.ts'
import type { StoreLocation } from './store-location.ts'

/** A store to measure, and the plain program's database of the same kind beside it. */
export interface Site {
  readonly store: Store
  readonly plain: PlainDatabase
  /** Where other processes open the same store; absent where none can. */
  readonly location?: StoreLocation
  /** Where a plain program in another process opens the same database, and hears of it; absent where it cannot. */
  readonly plainLocation?: StoreLocation
  /** CPU time of this process and of the database's. */
  readonly cpuMs: CpuClock
  /** Commits so many small rows, one after the other and as plainly as the database allows. */
  readonly commitRows: (rows: number) => Promise<void>
  /** Opens a store of the same kind that holds nothing; closed and removed with the site. */
  readonly another: () => Promise<Store>
  /** Does at once what the database does by itself within a minute after much was written; absent where it does nothing. */
  readonly settle?: () => Promise<void>
  readonly close: () => Promise<void>
}

/** What can be measured. */
export const siteNames = ['memory', 'sqlite-full', 'sqlite-normal', 'postgres'] as const

/** What can be measured. */
export type SiteName = (typeof siteNames)[number]

/** The same on a disk that takes a millisecond more for each flush. */
export const slowNames = ['sqlite-full-slow', 'postgres-slow'] as const

/** The same on a disk that takes a millisecond more for each flush. */
export type SlowName = (typeof slowNames)[number]

/** Where something was measured. */
export type PlaceName = SiteName | SlowName | 'artifacts-fs'

/** What the rows of the raw commits hold: about as much as an event. */
export const rowBody = JSON.stringify({ key: 'step-1', output: { ok: true, text: 'x'.repeat(80) }, attempts: 1 })
