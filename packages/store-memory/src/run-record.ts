import {
  isTerminal,
  type BlockedOn,
  type Claim,
  type ContentId,
  type Debt,
  type Owner,
  type Post,
  type Problem,
  type RunCreation,
  type RunRow,
  type RunStatus,
  type RunUpdate,
  type Snapshot,
  type StoredEvent,
} from '@varve/store'
import { frozenCopy } from './frozen-copy.ts'

/** A post with the order in which it was kept, from 1. */
export interface NumberedPost {
  readonly post: Post
  readonly number: number
}

/** One run with everything that belongs to it. */
export interface RunRecord {
  readonly runId: string
  readonly creation: Omit<RunCreation, 'lease' | 'version' | 'priority'> & { readonly priority: number }
  readonly createdAt: number
  /** Its log; the head is its length. */
  readonly events: StoredEvent[]
  /** Posts that wait by id, in the order in which they were kept. */
  readonly waiting: Map<string, NumberedPost>
  /** Ids of the posts that are in the log: these are duplicates for ever. */
  readonly taken: Set<string>
  /** In the order in which they were kept. */
  readonly rejected: (NumberedPost & { readonly error: string })[]
  /** Posts ever kept: the number of the last one. */
  readonly posted: number
  /** Ascending by seq. */
  readonly snapshots: Snapshot[]
  /** What the run refers to. */
  readonly artifacts: Set<ContentId>
  readonly version: string
  readonly status: RunStatus
  readonly blockedOn: readonly BlockedOn[]
  readonly wakeAt: number | null
  readonly format: number
  readonly owes: readonly Debt[]
  readonly recoveries: number
  readonly problem: Problem | undefined
  readonly token: number
  readonly lease: { readonly owner: Owner; readonly until: number } | undefined
  readonly endedAt: number | undefined
  /** When it was leased for the first time by a claim with a rate. */
  readonly begunAt: number | undefined
}

/** A run as whoever may change it sees it: inside of `Memory.change`. */
export type RunDraft = { -readonly [Field in keyof RunRecord]: RunRecord[Field] }

/** A run that has no events yet; its creator applies the first update. */
export function newRecord(runId: string, creation: RunCreation, now: number): RunRecord {
  const { workflow, version, tags, queue, priority = 0, concurrencyKey, parent } = creation
  const optional = {
    ...(concurrencyKey !== undefined && { concurrencyKey }),
    ...(parent !== undefined && { parent }),
  }
  return {
    runId,
    creation: { workflow, tags, queue, priority, ...optional },
    createdAt: now,
    events: [],
    waiting: new Map(),
    taken: new Set(),
    rejected: [],
    posted: 0,
    snapshots: [],
    artifacts: new Set(),
    version,
    status: 'running',
    blockedOn: [],
    wakeAt: null,
    format: 0,
    owes: [],
    recoveries: 0,
    problem: undefined,
    token: 0,
    lease: undefined,
    endedAt: undefined,
    begunAt: undefined,
  }
}

/** Sets what an append or a release says of the run. */
export function applyUpdate(run: RunDraft, update: RunUpdate, now: number): void {
  run.status = update.status
  run.blockedOn = update.blockedOn
  run.owes = update.owes ?? run.owes
  run.version = update.version ?? run.version
  if (update.progressed === true) run.recoveries = 0
  for (const id of update.artifacts ?? []) run.artifacts.add(id)
  run.wakeAt = nextWakeAt(run, update, now)
  if (isTerminal(update.status)) run.endedAt ??= now
}

function nextWakeAt(run: RunRecord, update: RunUpdate, now: number): number | null {
  if (run.waiting.size > 0 || run.owes.length > 0) return dueSince(run, now)
  if (isTerminal(update.status)) return null
  return update.wakeAt === 0 ? dueSince(run, now) : update.wakeAt
}

/** Since when a run that is due at once has been due: a run that is written again and again keeps its place in the queue. */
export function dueSince(run: RunRecord, now: number): number {
  return Math.min(run.wakeAt ?? now, now)
}

/** Milliseconds until somebody may claim the run; null while it is leased, and for never. */
export function dueInMsOf(run: RunRecord, now: number): number | null {
  const at = dueAt(run)
  return isLeased(run, now) || at === Infinity ? null : Math.max(0, at - now)
}

/** When a process should drive the run if nothing else happens to it; infinity for never. */
export function dueAt({ wakeAt, problem, lease }: RunRecord): number {
  const times = [wakeAt, problem === undefined ? 0 : problem.retryAt, lease?.until ?? 0]
  return Math.max(...times.map((at) => at ?? Infinity))
}

/** True while the lease is alive. */
export function isLeased(run: RunRecord, now: number): boolean {
  return run.lease !== undefined && run.lease.until > now
}

/** Gives the run a new lease with the next token; the checks are the caller's. */
export function giveLease(run: RunDraft, owner: Owner, leaseMs: number, now: number): Claim {
  const isOwn = run.lease?.owner.id === owner.id && isLeased(run, now)
  if (run.lease !== undefined && !isOwn) run.recoveries++
  run.token++
  run.lease = Object.freeze({ owner: frozenCopy(owner), until: now + leaseMs })
  return claimOf(run, run.lease)
}

/** The right to drive a run, as it stands. */
export function claimOf(run: RunRecord, lease: { readonly owner: Owner; readonly until: number }): Claim {
  return {
    runId: run.runId,
    workflow: run.creation.workflow,
    version: run.version,
    queue: run.creation.queue,
    owner: lease.owner,
    token: run.token,
    leaseUntil: lease.until,
    head: run.events.length,
    status: run.status,
    waiting: run.waiting.size,
    recoveries: run.recoveries,
    owes: run.owes,
    ...(run.problem !== undefined && { problem: run.problem }),
  }
}

/** A run as the index shows it. */
export function rowOf(run: RunRecord): RunRow {
  return {
    runId: run.runId,
    ...run.creation,
    version: run.version,
    status: run.status,
    blockedOn: run.blockedOn,
    wakeAt: run.wakeAt,
    head: run.events.length,
    format: run.format,
    waiting: run.waiting.size,
    owes: run.owes,
    recoveries: run.recoveries,
    ...(run.problem !== undefined && { problem: run.problem }),
    token: run.token,
    ...(run.lease !== undefined && { lease: run.lease }),
    createdAt: run.createdAt,
    ...(run.endedAt !== undefined && { endedAt: run.endedAt }),
  }
}
