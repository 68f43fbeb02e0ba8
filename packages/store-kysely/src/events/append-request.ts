import {
  checkContentIds,
  checkId,
  isTerminal,
  StoreError,
  type AppendOptions,
  type RunCreation,
  type StoredEvent,
  checkContinuation,
  checkLease,
  checkPriority,
} from '@varve/store'
import { debtsText, updateArgs } from '../runs/run-update.ts'
import { shapeOf } from '../runs/update-shape.ts'
import type { Addition, Creation, SettledPost } from '../writes.ts'

/** Checks what every append must keep to, wherever it is stored. @throws StoreError `INVALID_ARGUMENT`. */
export function checkAppend(runId: string, events: readonly StoredEvent[], options: AppendOptions): void {
  checkId('the run id', runId)
  checkContinuation(runId, events, options.expectedHead)
  const { create, version, artifacts = [] } = options.run
  checkContentIds(artifacts, 0)
  if (version !== undefined) checkId('the version', version)
  if (create === undefined) return
  if (version !== undefined) {
    throw new StoreError('INVALID_ARGUMENT', 'a new run has the version of create', { runId })
  }
  if (options.release === true && create.lease === undefined) {
    throw new StoreError('INVALID_ARGUMENT', 'a new run has no lease to release', { runId })
  }
  checkId('the workflow', create.workflow)
  checkId('the version', create.version)
  checkId('the queue', create.queue)
  checkPriority(create.priority ?? 0)
  if (create.concurrencyKey !== undefined) checkId('the concurrency key', create.concurrencyKey)
  if (create.parent !== undefined) checkId('the parent', create.parent)
  for (const tag of create.tags) checkId('a tag', tag)
  if (create.lease !== undefined) checkLease(create.lease.owner, create.lease.leaseMs)
}

/** What an append to an existing run writes. */
export function additionOf(
  runId: string,
  events: readonly StoredEvent[],
  options: AppendOptions,
  now: number | null,
): Addition {
  const { expectedHead, fencingToken, run, release = false } = options
  const head = expectedHead + events.length
  const posts = settledPosts(options)
  const artifacts = run.artifacts === undefined ? [] : [...new Set(run.artifacts)]
  return {
    run: { runId, now, expectedHead, fencingToken, head, format: formatOf(events), ...updateArgs(run) },
    shape: { ...shapeOf(run), settles: posts.length > 0, refers: artifacts.length > 0, releases: release },
    events,
    posts,
    artifacts,
  }
}

/** What a creating append writes. */
export function creationOf(
  runId: string,
  events: readonly StoredEvent[],
  { run, release = false }: AppendOptions,
  create: RunCreation,
  now: number | null,
): Creation {
  const { workflow, version, queue, priority = 0, concurrencyKey, parent, tags, lease } = create
  const owes = debtsText(run.owes)
  const ended = isTerminal(run.status)
  const due = owes !== null || (run.wakeAt === 0 && !ended)
  const isLeased = lease !== undefined && !release && !(ended && owes === null)
  const { status, blockedOn, wakeAt } = updateArgs(run)
  return {
    run: {
      ...{ runId, workflow, version, queue, priority, now, status, blockedOn, wakeAt, owes },
      concurrencyKey: concurrencyKey ?? null,
      parent: parent ?? null,
      tags: JSON.stringify(tags),
      due: due ? 1 : 0,
      head: events.length,
      format: formatOf(events),
      token: lease === undefined ? 0 : 1,
      leaseOwner: isLeased ? JSON.stringify(lease.owner) : null,
      leaseOwnerId: isLeased ? lease.owner.id : null,
      leaseMs: isLeased ? lease.leaseMs : null,
    },
    tags: [...new Set(tags)],
    artifacts: [...new Set(run.artifacts)],
    events,
  }
}

/** A post that is both taken and rejected is taken: by the time it would be rejected it no longer waits. */
function settledPosts({ take = [], reject = [] }: AppendOptions): readonly SettledPost[] {
  if (take.length === 0 && reject.length === 0) return []
  const posts = new Map<string, SettledPost>()
  for (const id of take) posts.set(id, { id, error: null })
  for (const { id, error } of reject) if (!posts.has(id)) posts.set(id, { id, error })
  for (const id of posts.keys()) checkId('the id of a post', id)
  return [...posts.values()]
}

function formatOf(events: readonly StoredEvent[]): number {
  let format = 0
  for (const { v } of events) format = Math.max(format, v)
  return format
}

/** @returns the error for a row that an append does not fit, in the order of the port's checks. */
export function appendRefusal(
  { run, shape, posts }: Addition,
  row: {
    readonly token: number
    readonly lease_owner_id: string | null
    readonly head: number
    readonly waiting: number
  },
): StoreError | undefined {
  const { runId, fencingToken, expectedHead } = run
  if (row.lease_owner_id === null || row.token !== fencingToken) {
    return new StoreError('FENCED', `token ${fencingToken} is not that of the lease on run ${runId}`, { runId })
  }
  if (row.head !== expectedHead) {
    return new StoreError('HEAD_CONFLICT', `run ${runId} ends at seq ${row.head}, expected ${expectedHead}`, { runId })
  }
  if (shape.ended && row.waiting > 0) {
    const text = `${row.waiting} posts wait for run ${runId}, the append settles ${posts.length}; take or reject all before it ends`
    return new StoreError('INBOX_PENDING', text, { runId })
  }
  return undefined
}
