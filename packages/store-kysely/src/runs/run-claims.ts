import {
  admitRuns,
  checkLimit,
  checkQueues,
  heldBack,
  isLimited,
  takeTurns,
  type Claim,
  type ClaimRequest,
  type DueRequest,
  type DueRun,
  type Owner,
  type QueueClaim,
  type QueueUse,
  type StoredEvent,
} from '@varve/store'
import { all, get, type Steps } from '../executor.ts'
import type { StoreParts } from '../store-parts.ts'
import { claimQueries, type CandidateArgs, type ClaimQueries, type Level } from './claim-queries.ts'
import type { DrivenArgs } from './due-runs.ts'
import { firstOf, firstsQuery } from './first-event.ts'
import { leaseArgs, leasedClaim } from './lease.ts'
import type { ClaimRecord } from './run-columns.ts'

/** The parts of the run store that look for due runs. */
export interface RunClaims {
  claim(request: ClaimRequest): Promise<readonly Claim[]>
  dueIn(request: DueRequest): Promise<number | null>
}

type Queries = ClaimQueries & { readonly firsts: ReturnType<typeof firstsQuery> }

/** Claims from queues by turns, and within their limits. */
export function runClaims(parts: StoreParts): RunClaims {
  const queries = { ...claimQueries(parts.dialect), firsts: firstsQuery(parts.dialect) }
  return {
    claim: async (request) => {
      const { owner, leaseMs, limit, queues } = request
      checkLimit(limit)
      checkQueues(queues)
      const lease = leaseArgs(parts, owner, leaseMs)
      const driven = drivenBy(parts, request)
      const atOnce = queues.some(isLimited) ? undefined : parts.writes.claim
      if (atOnce === undefined) return claimByTurns(parts, queries, request)
      const records = await atOnce({ ...lease, ...driven, limit })
      return records.map((record) => claimWith(firstOf(record), record, owner))
    },
    dueIn: async (request) => {
      checkQueues(request.queues)
      const record = await parts.executor.get(queries.dueIn, { now: parts.now(), ...drivenBy(parts, request) })
      return record?.in ?? null
    },
  }
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

/** Looks first whether anything is due, which takes no lock; then counts, chooses and leases in one transaction. */
async function claimByTurns(parts: StoreParts, queries: Queries, request: ClaimRequest): Promise<readonly Claim[]> {
  const driven = drivenBy(parts, request)
  const levels = await parts.executor.all(queries.dueLevels, { ...driven, now: parts.now() })
  if (levels.length === 0) return []
  const byQueue = Map.groupBy(levels, ({ queue }) => queue)
  const due = request.queues.flatMap((queue) => {
    const ofQueue = byQueue.get(queue.name)
    const highestFirst = ofQueue?.toSorted((a, b) => b.priority - a.priority)
    return highestFirst === undefined ? [] : [{ queue, levels: highestFirst }]
  })
  return parts.executor.transaction('write', () => takeDue(parts, queries, { request, driven, due }))
}

/** A queue in which runs are due. */
interface DueQueue {
  readonly queue: QueueClaim
  /** Highest priority first. */
  readonly levels: readonly Level[]
}

interface Search {
  readonly request: ClaimRequest
  readonly driven: DrivenArgs
  readonly due: readonly DueQueue[]
}

function* takeDue(parts: StoreParts, queries: Queries, search: Search): Steps<readonly Claim[]> {
  const { dialect } = parts
  const { request, due } = search
  const limited = due.map(({ queue }) => queue).filter(isLimited)
  if (limited.length > 0) yield* dialect.lockQueues(limited.map(({ name }) => name))
  // Only now: while we waited for the lock, others leased, and what they have begun counts from then.
  const lease = leaseArgs(parts, request.owner, request.leaseMs)
  const uses = yield* usesOf(parts, queries, limited, lease.now)
  const turns: (readonly string[])[] = []
  for (const each of due) {
    const use = uses.get(each.queue.name)
    const runIds = yield* admitted(parts, queries, { ...search, ...each, now: lease.now, use })
    if (runIds.length > 0) turns.push(runIds)
    // The first turn is enough: no queue behind these gets one.
    if (turns.length === request.limit) break
  }
  const runIds = takeTurns(turns, request.limit)
  if (runIds.length === 0) return []
  const rated = limited.filter(({ rate }) => rate !== undefined).map(({ name }) => name)
  const taken = yield* all(queries.take, { ...lease, runIds: dialect.list(runIds), rated: dialect.list(rated) })
  // An update answers its rows in no order.
  const byId = new Map(taken.map((record) => [record.run_id, record]))
  const firsts = yield* firstsOf(parts, queries, taken)
  return runIds.flatMap((runId) => {
    const record = byId.get(runId)
    return record === undefined ? [] : claimWith(firsts.get(runId), record, request.owner)
  })
}

/** In the transaction that leases the runs: behind it, their first event may not be the last any more. */
function* firstsOf(
  { dialect }: StoreParts,
  queries: Queries,
  taken: readonly ClaimRecord[],
): Steps<ReadonlyMap<string, StoredEvent>> {
  const runIds = taken.flatMap(({ run_id: runId, head }) => (head === 1 ? [runId] : []))
  const events = runIds.length === 0 ? [] : yield* all(queries.firsts, { runIds: dialect.list(runIds) })
  return new Map(events.map(({ run_id: runId, ...event }) => [runId, { runId, ...event }]))
}

function claimWith(first: StoredEvent | undefined, record: ClaimRecord, owner: Owner): Claim {
  const claim = leasedClaim(record, owner)
  return first === undefined ? claim : { ...claim, first }
}

/** What counts against the limits of the queues. */
function* usesOf(
  { dialect }: StoreParts,
  queries: Queries,
  queues: readonly QueueClaim[],
  now: number | null,
): Steps<ReadonlyMap<string, QueueUse>> {
  const uses = new Map<string, QueueUse>()
  const counted = queues.filter((queue) => queue.concurrency !== undefined || queue.concurrencyPerKey !== undefined)
  const names = dialect.list(counted.map(({ name }) => name))
  const records = counted.length === 0 ? [] : yield* all(queries.leased, { queues: names, now })
  const byQueue = Map.groupBy(records, ({ queue }) => queue)
  for (const { name, rate } of queues) {
    const ofQueue = byQueue.get(name) ?? []
    const begun = rate && (yield* get(queries.begun, { queue: name, periodMs: rate.periodMs, now }))
    uses.set(name, {
      leased: ofQueue.reduce((sum, { leased }) => sum + leased, 0),
      leasedByKey: new Map(
        ofQueue.flatMap(({ concurrency_key: key, leased }) => (key === null ? [] : [[key, leased]])),
      ),
      begun: begun?.begun ?? 0,
    })
  }
  return uses
}

interface QueueSearch extends Search, DueQueue {
  readonly now: number | null
  readonly use: QueueUse | undefined
}

interface Candidate extends DueRun {
  readonly runId: string
}

/** Runs to read at once where one key may fill a whole page. */
const KEYED_PAGE = 100

const UNUSED: QueueUse = { leased: 0, leasedByKey: new Map(), begun: 0 }

/**
 * The due runs of a queue that its limits let through, in their order, as many as the claim may take.
 *
 * What is held back already is not read: else a key with thousands of due runs would hide those behind it.
 */
function* admitted(parts: StoreParts, queries: Queries, search: QueueSearch): Steps<readonly string[]> {
  const { queue, levels, driven, now, request } = search
  const runIds: string[] = []
  let { use = UNUSED } = search
  const size = queue.concurrencyPerKey === undefined ? request.limit : Math.max(request.limit, KEYED_PAGE)
  for (const { priority } of levels) {
    let after: Pick<CandidateArgs, 'afterAt' | 'afterId'> | undefined
    for (;;) {
      const held = heldBack(queue, use)
      const limit = request.limit - runIds.length
      if (held.all || limit === 0) return runIds
      const shape = { continues: after !== undefined, holdsKeys: held.keys.length > 0, begun: held.unbegun }
      const page = yield* all(queries.candidates(shape), {
        ...{ ...driven, now, queue: queue.name, priority, limit: size },
        ...(after ?? { afterAt: 0, afterId: '' }),
        heldKeys: parts.dialect.list(held.keys),
      })
      const candidates = page.map((row): Candidate => ({
        runId: row.run_id,
        concurrencyKey: row.concurrency_key,
        token: row.token,
      }))
      const step = admitRuns(queue, use, candidates, limit)
      runIds.push(...step.admitted.map(({ runId }) => runId))
      use = step.use
      const last = page.at(-1)
      if (last === undefined || page.length < size) break
      after = { afterAt: last.claim_at ?? 0, afterId: last.run_id }
    }
  }
  return runIds
}
