import {
  checkContentIds,
  checkId,
  isTerminal,
  StoreError,
  type AcquireRequest,
  type Claim,
  type ReleaseOutcome,
  type ReleaseRequest,
  type RunStore,
  checkLease,
  checkWhole,
} from '@varve/store'
import { claimDue, dueIn } from './claims.ts'
import { frozenCopy } from './frozen-copy.ts'
import type { Memory } from './memory.ts'
import { listRuns } from './run-list.ts'
import { applyUpdate, claimOf, dueInMsOf, dueSince, giveLease, isLeased, rowOf } from './run-record.ts'

/** The index of runs, and the leases. */
export function memoryRuns(memory: Memory): RunStore {
  return {
    find: async (runId) => {
      memory.checkOpen()
      const run = memory.find(runId)
      return run && rowOf(run)
    },
    list: async (filter, page) => listRuns(memory, filter, page),
    claim: async (request) => claimDue(memory, request),
    dueIn: async (request) => dueIn(memory, request),
    acquire: async (runId, request) => acquire(memory, runId, request),
    renew: async (claim, request) => renew(memory, claim, request.leaseMs),
    release: async (claim, request) => release(memory, claim, request),
    referred: async (artifacts) => {
      memory.checkOpen()
      checkContentIds(artifacts, 1)
      const runs = [...memory.runs()]
      return artifacts.filter((id) => runs.some((run) => run.artifacts.has(id)))
    },
    remove: async (runId, options) => remove(memory, runId, options.ifTerminal),
  }
}

function acquire(memory: Memory, runId: string, request: AcquireRequest): Claim {
  memory.checkOpen()
  checkLease(request.owner, request.leaseMs)
  const run = memory.get(runId)
  const { owner, leaseMs, takeover } = request
  const now = memory.now()
  if (isTerminal(run.status) && run.owes.length === 0) {
    throw new StoreError('RUN_TERMINAL', `run ${runId} has ended`, { runId })
  }
  const isAnothers = isLeased(run, now) && run.lease?.owner.id !== owner.id
  if (isAnothers && takeover !== run.token) {
    const text = `run ${runId} is leased to ${run.lease?.owner.id ?? 'nobody'} until ${run.lease?.until ?? 0}`
    throw new StoreError('RUN_BUSY', text, { runId, retryable: true })
  }
  return memory.change(run, (draft) => giveLease(draft, owner, leaseMs, now))
}

function renew(memory: Memory, claim: Claim, leaseMs: number): Claim {
  memory.checkOpen()
  checkWhole('leaseMs', leaseMs, 1)
  const { runId, token } = claim
  const run = memory.get(runId)
  if (run.lease === undefined || run.token !== token) {
    throw new StoreError('FENCED', `token ${token} is not that of the lease on run ${runId}`, { runId })
  }
  const lease = Object.freeze({ ...run.lease, until: memory.now() + leaseMs })
  memory.change(run, (draft) => {
    draft.lease = lease
  })
  return claimOf(run, lease)
}

function release(memory: Memory, claim: Claim, given: ReleaseRequest): ReleaseOutcome {
  memory.checkOpen()
  if (given.run?.version !== undefined) checkId('the version', given.run.version)
  if (given.run !== undefined && given.run.wakeAt !== null) checkWhole('wakeAt', given.run.wakeAt, 0)
  if (given.run?.artifacts !== undefined) {
    throw new StoreError('INVALID_ARGUMENT', 'a release takes no artifacts; append them', { runId: claim.runId })
  }
  const run = memory.get(claim.runId)
  if (run.lease === undefined || run.token !== claim.token) return 'lost'

  const { expectedHead, run: update, problem } = frozenCopy(given)
  const now = memory.now()
  const isCurrent = run.events.length === expectedHead && run.waiting.size === 0
  memory.change(run, (draft) => {
    if (!isCurrent) draft.wakeAt = dueSince(draft, now)
    else if (update !== undefined) applyUpdate(draft, update, now)
    draft.problem = problem
    draft.lease = undefined
  })
  const dueInMs = dueInMsOf(run, now)
  memory.notify({ runId: run.runId, kind: 'moved', dueInMs })
  return dueInMs === 0 ? 'due' : 'released'
}

function remove(memory: Memory, runId: string, ifTerminal: boolean): boolean {
  memory.checkOpen()
  const run = memory.find(runId)
  if (run === undefined) return false
  if (isLeased(run, memory.now()))
    throw new StoreError('RUN_BUSY', `run ${runId} is leased`, { runId, retryable: true })
  if (ifTerminal && (!isTerminal(run.status) || run.owes.length > 0)) {
    throw new StoreError('RUN_NOT_TERMINAL', `run ${runId} has not ended or owes another run something`, { runId })
  }
  return memory.remove(runId)
}
