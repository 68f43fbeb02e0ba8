import { checkWhole, isTerminal, type Debt, type RunUpdate } from '@varve/store'
import type { UpdateArgs } from './run-columns.ts'

/** What a `RunUpdate` binds. @throws StoreError `INVALID_ARGUMENT` for an instant that is none. */
export function updateArgs(update: RunUpdate): Omit<UpdateArgs, 'now'> {
  if (update.wakeAt !== null) checkWhole('wakeAt', update.wakeAt, 0)
  return {
    status: update.status,
    blockedOn: JSON.stringify(update.blockedOn),
    // An ended run has nothing to do again, unless it owes something, which the row decides.
    wakeAt: isTerminal(update.status) ? null : update.wakeAt,
    owes: debtsText(update.owes),
    newVersion: update.version ?? '',
  }
}

/** Debts as the row keeps them: null for none, so that "owes nothing" is a test for null. */
export function debtsText(owes: readonly Debt[] | undefined): string | null {
  return owes === undefined || owes.length === 0 ? null : JSON.stringify(owes)
}
