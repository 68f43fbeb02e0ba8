import type { RunRow } from '@varve/store'

/** True for a blocked run that nothing has happened to: its row says all there is to say. */
export function isIdle(row: RunRow, now: number): boolean {
  const due = row.wakeAt !== null && row.wakeAt <= now
  const quiet = row.waiting === 0 && row.owes.length === 0 && row.problem === undefined && row.lease === undefined
  return row.status === 'blocked' && quiet && !due
}
