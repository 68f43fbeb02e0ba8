import type { BlockedOn, Claim, Debt, Owner, Problem, RunRow } from '@varve/store'
import type { RunsTable } from '../schema.ts'
import { jsonColumn } from '../json-column.ts'
import type { ClaimRecord } from './run-columns.ts'

/** A run's row as the index shows it. */
export function rowOf(record: RunsTable): RunRow {
  const { run_id: runId, parent, problem, lease_owner: leaseOwner, lease_until: leaseUntil } = record
  const { concurrency_key: concurrencyKey, ended_at: endedAt } = record
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
    owes: debtsOf(record),
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

/** A row that has just been leased or renewed, as the right to drive the run. */
export function claimOf(record: Omit<ClaimRecord, 'lease_until'>, owner: Owner, leaseUntil: number): Claim {
  const { run_id: runId, problem } = record
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
    owes: debtsOf(record),
    ...(problem !== null && { problem: jsonColumn(runId, 'problem', problem) as Problem }),
  }
}

function debtsOf({ owes, run_id: runId }: Pick<RunsTable, 'owes' | 'run_id'>): readonly Debt[] {
  return owes === null ? [] : (jsonColumn(runId, 'owes', owes) as readonly Debt[])
}
