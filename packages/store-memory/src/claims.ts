import {
  admitRuns,
  checkLease,
  checkLimit,
  checkQueues,
  isLimited,
  takeTurns,
  type Claim,
  type ClaimRequest,
  type DueRequest,
  type DueRun,
  type QueueClaim,
  type QueueUse,
} from '@varve/store'
import type { Memory } from './memory.ts'
import { dueAt, giveLease, isDue, isLeased, type RunRecord } from './run-record.ts'

/** Looks at every run: a process that holds all its runs in memory has few enough of them, and no index can go wrong. */
export function claimDue(memory: Memory, request: ClaimRequest): readonly Claim[] {
  memory.checkOpen()
  const { queues, limit, owner, leaseMs } = request
  checkLimit(limit)
  checkLease(owner, leaseMs)
  checkQueues(queues)
  const now = memory.now()
  const drives = driverOf(request)
  const due = [...memory.runs.values()].filter((run) => isDue(run, now) && drives(run)).sort(inOrder)
  const byQueue = Map.groupBy(due.map(candidate), ({ run }) => run.creation.queue)
  const turns = queues.map((queue) => {
    const { admitted } = admitRuns(queue, useOf(memory, queue, now), byQueue.get(queue.name) ?? [], limit)
    return admitted.map(({ run }) => ({ run, queue }))
  })
  return takeTurns(turns, limit).map(({ run, queue }) => {
    if (queue.rate !== undefined && run.token === 0) run.begunAt = now
    return giveLease(run, owner, leaseMs, now)
  })
}

/** The time until the next run that is not due yet, and that such a claim could get. */
export function dueIn(memory: Memory, request: DueRequest): number | null {
  memory.checkOpen()
  checkQueues(request.queues)
  const now = memory.now()
  const drives = driverOf(request)
  const times = [...memory.runs.values()].filter(drives).map(dueAt)
  // Not by one call with all of them: there may be more than a call takes arguments.
  const next = times.reduce((least, at) => (at > now && at < least ? at : least), Infinity)
  return next === Infinity ? null : next - now
}

function driverOf({ workflows, queues, formats }: DueRequest): (run: RunRecord) => boolean {
  return ({ creation: { workflow, queue }, version, format }) =>
    workflows.some(({ name, versions }) => name === workflow && versions.includes(version)) &&
    queues.some(({ name }) => name === queue) &&
    formats.includes(format)
}

/** Highest priority first, then due longest, then by id. */
function inOrder(a: RunRecord, b: RunRecord): number {
  return b.creation.priority - a.creation.priority || dueAt(a) - dueAt(b) || (a.runId < b.runId ? -1 : 1)
}

function candidate(run: RunRecord): DueRun & { readonly run: RunRecord } {
  return { run, token: run.token, concurrencyKey: run.creation.concurrencyKey ?? null }
}

function useOf(memory: Memory, queue: QueueClaim, now: number): QueueUse {
  const { name, rate } = queue
  const ofQueue = isLimited(queue) ? [...memory.runs.values()].filter(({ creation }) => creation.queue === name) : []
  const leased = ofQueue.filter((run) => isLeased(run, now))
  const leasedByKey = new Map<string, number>()
  for (const { creation } of leased) {
    const key = creation.concurrencyKey
    if (key !== undefined) leasedByKey.set(key, (leasedByKey.get(key) ?? 0) + 1)
  }
  const since = now - (rate?.periodMs ?? 0)
  const begun = ofQueue.filter(({ begunAt }) => begunAt !== undefined && begunAt > since).length
  return { leased: leased.length, leasedByKey, begun }
}
