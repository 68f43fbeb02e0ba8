import { StoreError } from '../errors.ts'
import { checkId } from '../limits.ts'
import type { QueueClaim } from '../ports/run-store.ts'
import { checkWhole } from './arguments.ts'

/** What the limits of a queue look at in a due run. */
export interface DueRun {
  /** Null for none. */
  readonly concurrencyKey: string | null
  /** 0 when the run was never leased. */
  readonly token: number
}

/** What counts against the limits of a queue. */
export interface QueueUse {
  /** Runs under a living lease. */
  readonly leased: number
  /** Those of each concurrency key. */
  readonly leasedByKey: ReadonlyMap<string, number>
  /** Runs that the rate let begin within its period. */
  readonly begun: number
}

/** Which due runs a queue holds back as it stands. */
export interface HeldBack {
  readonly all: boolean
  /** Those with one of these concurrency keys. */
  readonly keys: readonly string[]
  /** Those that were never leased. */
  readonly unbegun: boolean
}

/** At most this many queues go into one claim. */
const MAX_QUEUES = 1000

/** @throws StoreError `INVALID_ARGUMENT` for a name that is none or comes twice, too many queues, and a limit below 1. */
export function checkQueues(queues: readonly QueueClaim[]): void {
  if (queues.length > MAX_QUEUES) {
    throw new StoreError('INVALID_ARGUMENT', `at most ${MAX_QUEUES} queues may be named at once, got ${queues.length}`)
  }
  const names = new Set<string>()
  for (const { name, concurrency, concurrencyPerKey, rate } of queues) {
    checkId('the name of a queue', name)
    if (names.has(name)) throw new StoreError('INVALID_ARGUMENT', `queue ${name} is named twice; name it once`)
    names.add(name)
    if (concurrency !== undefined) checkWhole(`concurrency of queue ${name}`, concurrency, 1)
    if (concurrencyPerKey !== undefined) checkWhole(`concurrencyPerKey of queue ${name}`, concurrencyPerKey, 1)
    if (rate === undefined) continue
    checkWhole(`rate.limit of queue ${name}`, rate.limit, 1)
    checkWhole(`rate.periodMs of queue ${name}`, rate.periodMs, 1)
  }
}

/** True for a queue that ever holds a due run back. */
export function isLimited({ concurrency, concurrencyPerKey, rate }: QueueClaim): boolean {
  return concurrency !== undefined || concurrencyPerKey !== undefined || rate !== undefined
}

/** What a queue holds back. A store need not read it: whatever is left can be let through, one run at least. */
export function heldBack(queue: QueueClaim, use: QueueUse): HeldBack {
  const { concurrency = Infinity, concurrencyPerKey = Infinity, rate } = queue
  return {
    all: use.leased >= concurrency,
    keys: [...use.leasedByKey].filter(([, leased]) => leased >= concurrencyPerKey).map(([key]) => key),
    unbegun: rate !== undefined && use.begun >= rate.limit,
  }
}

/**
 * Lets due runs of one queue through its limits, in the order given; it takes no more of them than it needs to.
 *
 * @returns the runs to lease, at most `room`, and what counts against the limits once they are.
 */
export function admitRuns<Run extends DueRun>(
  queue: QueueClaim,
  use: QueueUse,
  due: Iterable<Run>,
  room: number,
): { readonly admitted: readonly Run[]; readonly use: QueueUse } {
  const { concurrency = Infinity, concurrencyPerKey = Infinity, rate } = queue
  const admitted: Run[] = []
  const leasedByKey = new Map(use.leasedByKey)
  let { leased, begun } = use
  for (const run of due) {
    if (admitted.length >= room || leased >= concurrency) break
    const { concurrencyKey, token } = run
    const ofKey = concurrencyKey === null ? 0 : (leasedByKey.get(concurrencyKey) ?? 0)
    if (concurrencyKey !== null && ofKey >= concurrencyPerKey) continue
    if (rate !== undefined && token === 0 && begun >= rate.limit) continue
    admitted.push(run)
    leased++
    if (concurrencyKey !== null) leasedByKey.set(concurrencyKey, ofKey + 1)
    if (rate !== undefined && token === 0) begun++
  }
  return { admitted, use: { leased, leasedByKey, begun } }
}

/** The first of each queue, in the order of the queues, then the second of each, and so on: `limit` of them at most. */
export function takeTurns<Run>(queues: readonly (readonly Run[])[], limit: number): readonly Run[] {
  const taken: Run[] = []
  let left = queues
  for (let turn = 0; left.length > 0 && taken.length < limit; turn++) {
    left = left.filter(({ length }) => length > turn)
    taken.push(...left.map((runs) => runs[turn] as Run))
  }
  return taken.slice(0, limit)
}
