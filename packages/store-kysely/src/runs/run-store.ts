import {
  checkId,
  isTerminal,
  StoreError,
  type AcquireRequest,
  type Claim,
  type ClaimRequest,
  type DueRequest,
  type Owner,
  type ReleaseOutcome,
  type ReleaseRequest,
  type RunStore,
  checkLease,
  checkLimit,
  checkWhole,
} from '@varve/store'
import { get, run, type Steps } from '../executor.ts'
import { referredAmong } from '../references/referred.ts'
import { runNotFound, settled, type StoreParts } from '../store-parts.ts'
import type { RunsTable } from '../schema.ts'
import type { ClaimRecord } from './run-columns.ts'
import { runLister } from './run-list.ts'
import {
  runQueries,
  type AcquireArgs,
  type DrivenArgs,
  type InspectedRecord,
  type LeaseArgs,
  type ReleasedRecord,
  type RunQueries,
} from './run-queries.ts'
import { claimOf, rowOf } from './run-record.ts'
import { updateArgs } from './run-update.ts'
import { shapeOf } from './update-shape.ts'

/** The index of runs, and the leases on them. */
export function sqlRuns(parts: StoreParts): RunStore {
  const queries = runQueries(parts.dialect)
  return {
    find: async (runId) => {
      checkId('the run id', runId)
      const record = await parts.executor.get(queries.find, { runId })
      return record && rowOf(record)
    },
    list: runLister(parts.executor, parts.dialect),
    claim: async (request) => claimDue(parts, queries, request),
    dueIn: async (request) => dueIn(parts, queries, request),
    acquire: async (runId, request) => acquire(parts, queries, runId, request),
    renew: async (claim, request) => renew(parts, queries, claim, request.leaseMs),
    release: async (claim, request) => release(parts, queries, claim, request),
    referred: referredAmong(parts, 'run_artifacts'),
    remove: async (runId, options) => {
      checkId('the run id', runId)
      return parts.executor.transaction('write', () => remove(parts, queries, runId, options.ifTerminal))
    },
  }
}

async function claimDue(parts: StoreParts, queries: RunQueries, request: ClaimRequest): Promise<readonly Claim[]> {
  const { owner, limit } = request
  checkLimit(limit)
  const records = await parts.executor.all(queries.claim, {
    ...leaseArgs(parts, owner, request.leaseMs),
    ...drivenBy(parts, request),
    limit,
  })
  // An update answers its rows in no order.
  return records.toSorted(dueLongest).map((record) => claimOf(record, owner, leaseUntilOf(record)))
}

function dueLongest(a: ClaimRecord, b: ClaimRecord): number {
  return (a.wake_at ?? 0) - (b.wake_at ?? 0) || (a.run_id < b.run_id ? -1 : 1)
}

async function dueIn(parts: StoreParts, queries: RunQueries, request: DueRequest): Promise<number | null> {
  const record = await parts.executor.get(queries.dueIn, { now: parts.now(), ...drivenBy(parts, request) })
  return record?.in ?? null
}

function drivenBy({ dialect }: StoreParts, { workflows, queues, formats }: DueRequest): DrivenArgs {
  const drives = workflows.flatMap(({ name, versions }) => versions.map((version) => [name, version] as const))
  return {
    workflows: dialect.list(drives.map(([name]) => name)),
    versions: dialect.list(drives.map(([, version]) => version)),
    queues: dialect.list(queues.map(({ name }) => name)),
    formats: dialect.list(formats),
  }
}

async function acquire(parts: StoreParts, queries: RunQueries, runId: string, request: AcquireRequest): Promise<Claim> {
  const { owner, takeover } = request
  checkId('the run id', runId)
  const args = { runId, ...leaseArgs(parts, owner, request.leaseMs), takeover: takeover ?? null }
  const record = await settled(runId, 'RUN_BUSY', async () => {
    const leased = await parts.executor.get(queries.acquire, args)
    if (leased !== undefined) return leased
    return acquireRefusal(runId, args, await parts.executor.get(queries.inspect, { runId, now: args.now }))
  })
  return claimOf(record, owner, leaseUntilOf(record))
}

function acquireRefusal(
  runId: string,
  { ownerId, takeover }: AcquireArgs,
  row: InspectedRecord | undefined,
): StoreError | undefined {
  if (row === undefined) return runNotFound(runId)
  if (isTerminal(row.status) && row.owes === null) {
    return new StoreError('RUN_TERMINAL', `run ${runId} has ended`, { runId })
  }
  const isAnothers = row.leased === 1 && row.lease_owner_id !== ownerId && row.token !== takeover
  return isAnothers ? busy(row) : undefined
}

async function renew(parts: StoreParts, queries: RunQueries, claim: Claim, leaseMs: number): Promise<Claim> {
  const { runId, token, owner } = claim
  checkId('the run id', runId)
  checkWhole('leaseMs', leaseMs, 1)
  const record = await parts.executor.get(queries.renew, { runId, token, leaseMs, now: parts.now() })
  if (record !== undefined) return claimOf(record, owner, leaseUntilOf(record))
  if ((await parts.executor.get(queries.find, { runId })) === undefined) throw runNotFound(runId)
  throw new StoreError('FENCED', `token ${token} is not that of the lease on run ${runId}`, { runId })
}

async function release(
  parts: StoreParts,
  queries: RunQueries,
  claim: Claim,
  request: ReleaseRequest,
): Promise<ReleaseOutcome> {
  const { runId, token } = claim
  const { expectedHead, run: update, problem } = request
  checkId('the run id', runId)
  if (update?.version !== undefined) checkId('the version', update.version)
  if (update?.artifacts !== undefined) {
    throw new StoreError('INVALID_ARGUMENT', 'a release takes no artifacts; append them', { runId })
  }
  const args = {
    runId,
    token,
    expectedHead,
    now: parts.now(),
    problem: problem === undefined ? null : JSON.stringify(problem),
    retryAt: problem?.retryAt ?? null,
  }
  const released = await (update === undefined
    ? parts.executor.get(queries.release, args)
    : parts.executor.get(queries.releaseWith(shapeOf(update)), { ...args, ...updateArgs(update) }))
  if (released !== undefined) {
    const due = isDue(released)
    parts.changes?.committed({ runId, kind: 'moved', due })
    return due ? 'due' : 'released'
  }
  if ((await parts.executor.get(queries.find, { runId })) === undefined) throw runNotFound(runId)
  return 'lost'
}

function isDue({ wake_at: wakeAt, problem, retry_at: retryAt, now }: ReleasedRecord): boolean {
  if (wakeAt === null || wakeAt > now) return false
  return problem === null || (retryAt !== null && retryAt <= now)
}

function* remove(parts: StoreParts, queries: RunQueries, runId: string, ifTerminal: boolean): Steps<boolean> {
  const row = yield* get(queries.lock, { runId, now: parts.now() })
  if (row === undefined) return false
  if (row.leased === 1) throw busy(row)
  if (ifTerminal && (!isTerminal(row.status) || row.owes !== null)) {
    throw new StoreError('RUN_NOT_TERMINAL', `run ${runId} has not ended or owes another run something`, { runId })
  }
  for (const query of queries.remove) yield* run(query, { runId })
  return true
}

function leaseArgs(parts: StoreParts, owner: Owner, leaseMs: number): LeaseArgs {
  checkLease(owner, leaseMs)
  return { now: parts.now(), owner: JSON.stringify(owner), ownerId: owner.id, leaseMs }
}

function leaseUntilOf(record: ClaimRecord): number {
  if (record.lease_until === null)
    throw new StoreError('STORE_FAILED', `run ${record.run_id} was leased without an end`)
  return record.lease_until
}

function busy({ run_id: runId, lease_owner_id: ownerId, lease_until: until }: RunsTable): StoreError {
  const text = `run ${runId} is leased to ${ownerId} until ${until}; wait, or ask its driver`
  return new StoreError('RUN_BUSY', text, { runId, retryable: true })
}
