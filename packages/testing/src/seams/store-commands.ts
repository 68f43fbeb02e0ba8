import {
  genesis,
  isStoreError,
  sealEvent,
  type Claim,
  type Owner,
  type QueueClaim,
  type RunRow,
  type RunStatus,
  type RunUpdate,
  type Store,
  type StoredEvent,
} from '@varve/store'
import fc from 'fast-check'

/** The queues and versions of all commands; the names of runs and queues get a prefix. */
export const QUEUES = ['p', 'q', 'r']
export const VERSIONS = ['1', '2']

const RUNS = 10

/** One call of a store, or a step of its clock; seen from the run as it stands, so that most calls are not refused. */
export type StoreCommand =
  | { readonly op: 'advance'; readonly ms: number }
  | { readonly op: 'claim'; readonly claim: ClaimCommand }
  | { readonly op: RunOp; readonly run: number; readonly act: (at: Standing) => (store: Store) => Promise<unknown> }

type RunOp = 'create' | 'post' | 'append' | 'release' | 'acquire' | 'renew' | 'remove'

/** What a command knows when it is carried out. */
export interface Standing {
  readonly prefix: string
  readonly runId: string
  readonly now: number
  /** The run before the command; undefined when there is none. */
  readonly row: RunRow | undefined
}

interface ClaimCommand {
  readonly who: number
  readonly leaseMs: number
  readonly limit: number
  readonly versions: readonly string[]
  readonly formats: readonly number[]
  readonly queues: readonly QueueClaim[]
}

const who = fc.nat({ max: 2 })
/** What the clock goes by, too: off by one shows where two times are equal. */
const period = fc.constantFrom(1, 4, 5, 20)
const leaseMs = period
/** From now; 0 stands for the time 0, which means at once. */
const time = fc.oneof(fc.constantFrom(null, 0, 0, -5), fc.integer({ min: -20, max: 30 }))
/** How far the caller is behind: mostly not. */
const lag = fc.constantFrom(0, 0, 0, 0, 1)

const update = fc.record(
  {
    status: fc.constantFrom<RunStatus>('running', 'running', 'blocked', 'blocked', 'completed'),
    wakeAt: time,
    owes: fc.constantFrom([], [{ to: 'x' }]),
    progressed: fc.constant(true),
    version: fc.constantFrom(...VERSIONS),
  },
  { requiredKeys: ['status', 'wakeAt'] },
)
type Update = typeof update extends fc.Arbitrary<infer T> ? T : never

const limits = fc.record(
  {
    concurrency: fc.integer({ min: 1, max: 3 }),
    concurrencyPerKey: fc.integer({ min: 1, max: 2 }),
    rate: fc.record({ limit: fc.integer({ min: 1, max: 2 }), periodMs: period }),
  },
  { requiredKeys: [] },
)

/** Half of the claims have no limit at all: a store may have a way of its own for them. */
const queues = fc
  .tuple(fc.shuffledSubarray(QUEUES, { minLength: 1 }), fc.boolean(), fc.array(limits, { minLength: 3, maxLength: 3 }))
  .map(([names, isLimited, each]) => names.map((name, n): QueueClaim => ({ name, ...(isLimited && each[n]) })))

const claim = fc.record({
  who,
  leaseMs,
  limit: fc.constantFrom(1, 2, 3, 100),
  versions: fc.constantFrom(VERSIONS, VERSIONS, VERSIONS, ['1'], []),
  formats: fc.constantFrom([1], [1], [1], [1], [1], [2]),
  queues,
})

const create = fc
  .record({
    update,
    queue: fc.constantFrom(...QUEUES),
    version: fc.constantFrom(...VERSIONS),
    more: fc.record(
      { priority: fc.constantFrom(-1, 0, 1, 100), concurrencyKey: fc.constantFrom('k', 'l') },
      { requiredKeys: [] },
    ),
    lease: fc.option(fc.record({ who, leaseMs }), { nil: undefined, freq: 1 }),
  })
  .map(({ update: { version: _, ...rest }, queue, version, more, lease: to }) => (at: Standing) => {
    const lease = to && { lease: { owner: owner(to.who), leaseMs: to.leaseMs } }
    const creation = { workflow: 'w', version, tags: [], queue: `${at.prefix}${queue}`, ...more, ...lease }
    const run = { ...updateOf(rest, at), create: creation }
    return async (store: Store) =>
      store.events.append(at.runId, eventsOf(at.runId, 1), { expectedHead: 0, fencingToken: 0, run })
  })

const post = fc.nat({ max: 3 }).map((id) => ({ runId }: Standing) => {
  return async (store: Store) => store.inbox.post(runId, { id: String(id), type: 'T', body: '{}' }, { maxWaiting: 2 })
})

const append = fc
  .record({
    ...{ behind: lag, fenced: lag, events: fc.nat({ max: 1 }), posts: fc.subarray(['0', '1', '2', '3']), update },
    release: fc.boolean(),
  })
  .map(({ behind, fenced, events, posts, update: given, release }) => (at: Standing) => {
    const expectedHead = headOf(at) - behind
    const added = eventsOf(at.runId, expectedHead + events).slice(Math.max(0, expectedHead))
    const reject = posts.slice(2).map((id) => ({ id, error: '{}' }))
    const options = { expectedHead, fencingToken: tokenOf(at) - fenced, take: posts.slice(0, 2), reject, release }
    return async (store: Store) => store.events.append(at.runId, added, { ...options, run: updateOf(given, at) })
  })

const release = fc
  .record({
    behind: lag,
    fenced: lag,
    // A release ends no run.
    update: fc.option(
      update.map((given) => (given.status === 'completed' ? { ...given, status: 'blocked' as const } : given)),
      { nil: undefined },
    ),
    retryAt: fc.option(time, { nil: undefined }),
  })
  .map(({ behind, fenced, update: given, retryAt }) => (at: Standing) => {
    const problem = retryAt !== undefined && { problem: { code: 'X', message: 'x', retryAt: timeOf(retryAt, at) } }
    const run = given && { run: updateOf(given, at) }
    const held = claimOf(at, fenced)
    return async (store: Store) => store.runs.release(held, { expectedHead: headOf(at) - behind, ...run, ...problem })
  })

const acquire = fc.record({ who, leaseMs, takesOver: fc.boolean() }).map((given) => (at: Standing) => {
  const takeover = given.takesOver && { takeover: tokenOf(at) }
  const request = { owner: owner(given.who), leaseMs: given.leaseMs, ...takeover }
  return async (store: Store) => store.runs.acquire(at.runId, request)
})

const renew = fc.record({ fenced: lag, leaseMs }).map((given) => (at: Standing) => {
  return async (store: Store) => store.runs.renew(claimOf(at, given.fenced), { leaseMs: given.leaseMs })
})

const remove = fc.boolean().map((ifTerminal) => ({ runId }: Standing) => {
  return async (store: Store) => store.runs.remove(runId, { ifTerminal })
})

/** A sequence of them. */
export const storeCommands: fc.Arbitrary<readonly StoreCommand[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ op: fc.constant('claim' as const), claim }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant('advance' as const), ms: period }) },
    { weight: 8, arbitrary: ofRun('create', create) },
    { weight: 3, arbitrary: ofRun('post', post) },
    { weight: 4, arbitrary: ofRun('append', append) },
    { weight: 3, arbitrary: ofRun('release', release) },
    { weight: 2, arbitrary: ofRun('acquire', acquire) },
    { weight: 1, arbitrary: ofRun('renew', renew) },
    { weight: 1, arbitrary: ofRun('remove', remove) },
  ),
  { minLength: 5, maxLength: 50, size: 'max' },
)

/** What a store answers, or the code of its refusal. */
export async function answerOf(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return await call()
  } catch (error) {
    if (isStoreError(error)) return { refused: error.code }
    throw error
  }
}

/** The name of a run among those with the prefix. */
export function nameOf(prefix: string, run: number): string {
  return `${prefix}${run}`
}

/** Carries out a claim. */
export async function claimOn(store: Store, prefix: string, command: ClaimCommand): Promise<readonly Claim[]> {
  const { who: n, versions, queues, ...rest } = command
  return store.runs.claim({
    ...rest,
    owner: owner(n),
    workflows: [{ name: 'w', versions }],
    queues: queues.map((queue) => ({ ...queue, name: `${prefix}${queue.name}` })),
  })
}

function ofRun<Op extends RunOp>(op: Op, act: fc.Arbitrary<(at: Standing) => (store: Store) => Promise<unknown>>) {
  return fc.record({ op: fc.constant(op), run: fc.nat({ max: RUNS - 1 }), act })
}

function owner(n: number): Owner {
  return { id: `owner ${n}`, boot: null, pidNamespace: null, pid: 1, startedAt: null }
}

function updateOf({ wakeAt, ...rest }: Update, at: Standing): RunUpdate {
  return { ...rest, blockedOn: [], wakeAt: timeOf(wakeAt, at) }
}

function timeOf(offset: number | null, { now }: Standing): number | null {
  return offset === null ? null : offset === 0 ? 0 : now + offset
}

function headOf({ row }: Standing): number {
  return row?.head ?? 1
}

function tokenOf({ row }: Standing): number {
  return row?.token ?? 1
}

function claimOf(at: Standing, fenced: number): Claim {
  const { runId, row } = at
  // Of a claim the stores read no more than this.
  return { runId, token: tokenOf(at) - fenced, owner: row?.lease?.owner ?? owner(0) } as Claim
}

function eventsOf(runId: string, count: number): readonly StoredEvent[] {
  const events: StoredEvent[] = []
  while (events.length < count) {
    const end = events.at(-1) ?? genesis(runId)
    events.push(sealEvent(runId, end, { type: 'Sampled', data: {} }, 1_600_000_000_000).stored)
  }
  return events
}
