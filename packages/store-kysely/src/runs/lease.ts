import { checkLease, StoreError, type Claim, type Owner } from '@varve/store'
import type { StoreParts } from '../store-parts.ts'
import type { ClaimRecord, LeaseArgs } from './run-columns.ts'
import { claimOf } from './run-record.ts'

/** What gives a lease binds. @throws StoreError `INVALID_ARGUMENT`. */
export function leaseArgs(parts: StoreParts, owner: Owner, leaseMs: number): LeaseArgs {
  checkLease(owner, leaseMs)
  return { now: parts.now(), owner: JSON.stringify(owner), ownerId: owner.id, leaseMs }
}

/** A row that has just been leased or renewed, as the owner's right to drive the run. */
export function leasedClaim(record: ClaimRecord, owner: Owner): Claim {
  const { run_id: runId, lease_until: leaseUntil } = record
  if (leaseUntil === null) throw new StoreError('STORE_FAILED', `run ${runId} was leased without an end`, { runId })
  return claimOf(record, owner, leaseUntil)
}
