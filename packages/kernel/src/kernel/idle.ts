import type { RunRow } from '@varve/store'
import type { StoreClock } from '../store-clock.ts'

/** True for a blocked run that nothing has happened to: its row says all there is to say. */
export async function isIdle(clock: StoreClock, row: RunRow): Promise<boolean> {
  const { status, wakeAt, waiting, owes, problem, lease } = row
  const quiet = waiting === 0 && owes.length === 0 && problem === undefined && lease === undefined
  if (status !== 'blocked' || !quiet || wakeAt === null) return status === 'blocked' && quiet
  await clock.check()
  return wakeAt > clock.now()
}
