import type { Owner, RunRow } from '@varve/store'
import { isKnownDead } from '../owner.ts'

/**
 * When a run may be taken up, Unix milliseconds, 0 for at once; undefined when only somebody else can move it.
 *
 * @param owner - who wants to: a lease of an owner that is known to be dead need not be waited for.
 */
export function dueAt(
  owner: Owner,
  { wakeAt, lease, problem }: Pick<RunRow, 'wakeAt' | 'lease' | 'problem'>,
): number | undefined {
  if (problem?.retryAt === null || wakeAt === null) return undefined
  const free = lease === undefined || isKnownDead(lease.owner, owner) ? 0 : lease.until
  return Math.max(wakeAt, problem?.retryAt ?? 0, free)
}
