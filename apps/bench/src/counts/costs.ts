import type { Store } from '@varve/store'
import { postgresStore } from '@varve/store-postgres'
import { postgresDatabase } from '../plain/postgres-database.ts'
import type { PlainDatabase } from '../plain/plain-database.ts'
import type { Figures } from '../rounds/program.ts'
import { countingStore, totalOf } from '../workers/call-counts.ts'
import { countingPool } from './counting-pool.ts'
import { serverCounts } from './server-counts.ts'

/** So much work, done through a store. */
export type StoreWork = (store: Store, amount: number) => Promise<void>

/** So much work, done by a plain program. */
export type PlainWork = (database: PlainDatabase, amount: number) => Promise<void>

/** Two amounts of work: what each costs alike, like opening a store, is in neither's difference. */
export interface TwoAmounts {
  readonly few: number
  readonly many: number
}

/** What one more piece of work asks of a store. */
export async function storeCosts(store: Store, work: StoreWork, amounts: TwoAmounts): Promise<Figures> {
  return costOfOne(amounts, async (amount) => {
    const counting = countingStore(store)
    await work(counting.store, amount)
    const calls = counting.take()
    const { 'events.append': appends = 0, 'snapshots.save': saved = 0, 'snapshots.prune': pruned = 0 } = calls
    // Snapshots are a cache, written beside the run's own commits.
    return { appends, 'other calls': totalOf(calls) - appends - saved - pruned }
  })
}

/** What one more piece of work asks of Postgres. */
export async function postgresCosts(url: string, work: StoreWork, amounts: TwoAmounts): Promise<Figures> {
  return costOfOne(amounts, async (amount) => {
    let statements = 0
    const { commits, walBytes } = await serverCounts(url, async (own) => {
      const { pool, take } = countingPool(own)
      const store = await postgresStore({ pool })
      await work(store, amount)
      await store[Symbol.asyncDispose]()
      statements = take()
      await pool.end()
    })
    return { statements, commits, 'WAL bytes': walBytes }
  })
}

/** What one more piece of work asks of Postgres where a plain program does it. */
export async function plainPostgresCosts(url: string, work: PlainWork, amounts: TwoAmounts): Promise<Figures> {
  return costOfOne(amounts, async (amount) => {
    const { commits, walBytes } = await serverCounts(url, async (own) => {
      const database = await postgresDatabase(own, 'plain')
      await work(database, amount)
      await database.close()
    })
    return { commits, 'WAL bytes': walBytes }
  })
}

async function costOfOne({ few, many }: TwoAmounts, costOf: (amount: number) => Promise<Figures>): Promise<Figures> {
  const less = await costOf(few)
  const more = await costOf(many)
  return Object.fromEntries(
    Object.entries(more).map(([name, cost]) => [name, (cost - (less[name] ?? 0)) / (many - few)]),
  )
}
