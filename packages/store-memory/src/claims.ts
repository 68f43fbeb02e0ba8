import {
  admitRuns,
  checkLease,
  checkLimit,
  checkQueues,
  takeTurns,
  type Claim,
  type ClaimRequest,
  type DueRequest,
  type DueRun,
  type QueueClaim,
  type QueueUse,
} from '@varve/store'
import type { Memory } from './memory.ts'
import { dueAt, giveLease, type RunRecord } from './run-record.ts'

/** A run, and the queue whose turn it takes. */
interface Turn {
  readonly run: RunRecord
  readonly queue: QueueClaim
}

/** Leases due runs; it looks at those that are due, and at those that count against the limits. */
export function claimDue(memory: Memory, request: ClaimRequest): readonly Claim[] {
  memory.checkOpen()
  const { queues, limit, owner, leaseMs } = request
  checkLimit(limit)
  checkLease(owner, leaseMs)
  checkQueues(queues)
  const now = memory.now()
  const drives = driverOf(request)
  const turns: (readonly Turn[])[] = []
  for (const queue of queues) {
    const due = candidates(memory.index.due(queue.name, now), drives)
    const { admitted } = admitRuns(queue, useOf(memory, queue, now), due, limit)
    if (admitted.length > 0) turns.push(admitted.map(({ run }) => ({ run, queue })))
    // The first turn is enough: no queue behind these gets one.
    if (turns.length === limit) break
  }
  return takeTurns(turns, limit).map(({ run, queue }) =>
    memory.change(run, (draft) => {
      if (queue.rate !== undefined && draft.token === 0) draft.begunAt = now
      const claim = giveLease(draft, owner, leaseMs, now)
      const [first, second] = draft.events
      return first === undefined || second !== undefined ? claim : { ...claim, first }
    }),
  )
}

/** The time until the next run that is not due yet, and that such a claim could get. */
export function dueIn(memory: Memory, request: DueRequest): number | null {
  memory.checkOpen()
  checkQueues(request.queues)
  const now = memory.now()
  const drives = driverOf(request)
  let next = Infinity
  for (const { name } of request.queues) {
    for (const later of memory.index.dueLater(name, now)) {
      for (const { run } of candidates(later, drives)) {
        next = Math.min(next, dueAt(run))
        break
      }
    }
  }
  return next === Infinity ? null : next - now
}

function driverOf({ workflows, formats }: DueRequest): (run: RunRecord) => boolean {
  return ({ creation: { workflow }, version, format }) =>
    workflows.some(({ name, versions }) => name === workflow && versions.includes(version)) && formats.includes(format)
}

interface Candidate extends DueRun {
  readonly run: RunRecord
}

function* candidates(runs: Iterable<RunRecord>, drives: (run: RunRecord) => boolean): Generator<Candidate> {
  for (const run of runs) {
    if (drives(run)) yield { run, token: run.token, concurrencyKey: run.creation.concurrencyKey ?? null }
  }
}

function useOf(memory: Memory, { name, concurrency, concurrencyPerKey, rate }: QueueClaim, now: number): QueueUse {
  const leasedByKey = new Map<string, number>()
  let leased = 0
  if (concurrency !== undefined || concurrencyPerKey !== undefined) {
    for (const { creation } of memory.index.leasedAfter(name, now)) {
      const key = creation.concurrencyKey
      leased++
      if (key !== undefined) leasedByKey.set(key, (leasedByKey.get(key) ?? 0) + 1)
    }
  }
  const begun = rate === undefined ? [] : [...memory.index.begunWithin(name, now - rate.periodMs, now)]
  return { leased, leasedByKey, begun: begun.length }
}
