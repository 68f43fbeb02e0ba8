import type { BlockedOn, Claim, Debt, Owner, Problem, RunRow } from '@varve/store'
import type { RunsTable } from '../schema.ts'
import { jsonColumn, readableColumn } from '../json-column.ts'
import type { ClaimRecord } from './run-columns.ts'

/** A run's row as the index shows it. */
export function rowOf(record: RunsTable): RunRow {
  const { run_id: runId, parent, problem, lease_owner: leaseOwner, lease_until: leaseUntil } = record
  const { concurrency_key: concurrencyKey, ended_at: endedAt, owes } = record
  return {
    runId,
    workflow: record.workflow,
    version: record.version,
    tags: jsonColumn(runId, 'tags', record.tags) as readonly string[],
    queue: record.queue,
    priority: record.priority,
    ...(concurrencyKey !== null && { concurrencyKey }),
    ...(parent !== null && { parent }),
    status: record.status,
    blockedOn: jsonColumn(runId, 'blocked_on', record.blocked_on) as readonly BlockedOn[],
    wakeAt: record.wake_at,
    head: record.head,
    format: record.format,
    waiting: record.waiting,
    owes: owes === null ? [] : (jsonColumn(runId, 'owes', owes) as readonly Debt[]),
    recoveries: record.recoveries,
    ...(problem !== null && { problem: jsonColumn(runId, 'problem', problem) as Problem }),
    token: record.token,
    ...(leaseOwner !== null &&
      leaseUntil !== null && {
        lease: { owner: jsonColumn(runId, 'lease_owner', leaseOwner) as Owner, until: leaseUntil },
      }),
    createdAt: record.created_at,
    ...(endedAt !== null && { endedAt }),
  }
}

/**
 * A row that has just been leased or renewed, as the right to drive the run. It is leased, whatever its columns hold: so
 * what cannot be read is told, or nobody would give the run back, nor know of those that were leased with it.
 */
export function claimOf(record: Omit<ClaimRecord, 'lease_until'>, owner: Owner, leaseUntil: number): Claim {
  const { run_id: runId } = record
  const owes = record.owes === null ? { value: [] } : readableColumn(runId, 'owes', record.owes)
  const problem = record.problem === null ? {} : readableColumn(runId, 'problem', record.problem)
  const damage = owes.damage ?? problem.damage
  return {
    runId,
    workflow: record.workflow,
    version: record.version,
    queue: record.queue,
    owner,
    token: record.token,
    leaseUntil,
    head: record.head,
    status: record.status,
    waiting: record.waiting,
    recoveries: record.recoveries,
    owes: (owes.value ?? []) as readonly Debt[],
    ...(problem.value !== undefined && { problem: problem.value as Problem }),
    ...(damage !== undefined && { damage }),
  }
}
