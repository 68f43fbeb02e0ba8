import {
  checkId,
  isTerminal,
  StoreError,
  type AcquireRequest,
  type Claim,
  type ReleaseOutcome,
  type ReleaseRequest,
  type RunStore,
  checkWhole,
} from '@varve/store'
import { get, run, type Steps } from '../executor.ts'
import { referredAmong } from '../references/referred.ts'
import { runNotFound, settled, type StoreParts } from '../store-parts.ts'
import type { RunsTable } from '../schema.ts'
import { leaseArgs, leasedClaim } from './lease.ts'
import { runClaims } from './run-claims.ts'
import { runLister } from './run-list.ts'
import {
  runQueries,
  type AcquireArgs,
  type InspectedRecord,
  type ReleasedRecord,
  type RunQueries,
} from './run-queries.ts'
import { rowOf } from './run-record.ts'
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
    ...runClaims(parts),
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

async function acquire(parts: StoreParts, queries: RunQueries, runId: string, request: AcquireRequest): Promise<Claim> {
  const { owner, takeover } = request
  checkId('the run id', runId)
  const args = { runId, ...leaseArgs(parts, owner, request.leaseMs), takeover: takeover ?? null }
  const record = await settled(runId, 'RUN_BUSY', async () => {
    const leased = await parts.executor.get(queries.acquire, args)
    if (leased !== undefined) return leased
    return acquireRefusal(runId, args, await parts.executor.get(queries.inspect, { runId, now: args.now }))
  })
  return leasedClaim(record, owner)
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
  if (record !== undefined) return leasedClaim(record, owner)
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
    const dueInMs = dueInOf(released)
    parts.changes?.committed({ runId, kind: 'moved', dueInMs })
    return dueInMs === 0 ? 'due' : 'released'
  }
  if ((await parts.executor.get(queries.find, { runId })) === undefined) throw runNotFound(runId)
  return 'lost'
}

function dueInOf({ wake_at: wakeAt, problem, retry_at: retryAt, now }: ReleasedRecord): number | null {
  if (wakeAt === null || (problem !== null && retryAt === null)) return null
  return Math.max(0, wakeAt - now, (retryAt ?? 0) - now)
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

function busy({ run_id: runId, lease_owner_id: ownerId, lease_until: until }: RunsTable): StoreError {
  const text = `run ${runId} is leased to ${ownerId} until ${until}; wait, or ask its driver`
  return new StoreError('RUN_BUSY', text, { runId, retryable: true })
}
