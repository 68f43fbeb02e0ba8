import {
  genesis,
  type AcquireRequest,
  type AppendOptions,
  type Claim,
  type ClaimRequest,
  type LogEnd,
  type Owner,
  type Problem,
  type ReleaseOutcome,
  type RunCreation,
  type RunUpdate,
  type Store,
  type StoredEvent,
} from '@varve/store'
import { ok } from 'node:assert/strict'
import { endOf, sampleEvents } from './sample-events.ts'

/** How long leases last unless a case is about that. */
export const LEASE_MS = 60_000

/** A run as its driver knows it: where its log ends, and the lease. An old value is a driver that has not noticed. */
export interface TestRun {
  readonly runId: string
  readonly end: LogEnd
  readonly claim: Claim
  /** Posts that waited after the last append. */
  readonly waiting: number
}

/** What a case wants to be special about a new run. */
export interface StartOptions {
  readonly runId?: string
  /** Default 1. */
  readonly events?: number | readonly StoredEvent[]
  readonly update?: Partial<RunUpdate>
  readonly creation?: Partial<RunCreation>
  /** Id of the starter. Default `a`. */
  readonly owner?: string
}

/** What a case wants to be special about an append. */
export interface ExtendOptions extends Partial<Omit<AppendOptions, 'run'>> {
  /** Default 1. */
  readonly events?: number | readonly StoredEvent[]
  readonly run?: Partial<RunUpdate>
}

export function owner(id: string): Owner {
  return { id, boot: 'boot-1', pidNamespace: null, pid: 4711, startedAt: '123456' }
}

export const running: RunUpdate = { status: 'running', blockedOn: [], wakeAt: 0 }

export const blocked: RunUpdate = {
  status: 'blocked',
  blockedOn: [{ kind: 'interrupt', key: 'approve' }],
  wakeAt: null,
}

export const completed: RunUpdate = { status: 'completed', blockedOn: [], wakeAt: null }

export const parkedProblem: Problem = { code: 'VERSION_MISSING', message: 'version 1 is not registered', retryAt: null }

export function creation(changes: Partial<RunCreation> = {}): RunCreation {
  return { workflow: 'sample', version: '1', tags: [], queue: 'default', ...changes }
}

/** The options of an append that creates a run and leases it to its starter. */
export function creating(options: StartOptions = {}): AppendOptions {
  const lease = { owner: owner(options.owner ?? 'a'), leaseMs: LEASE_MS }
  const create = creation({ lease, ...options.creation })
  return { expectedHead: 0, fencingToken: 0, run: { ...running, ...options.update, create } }
}

/** Creates a run, `run-1` unless named, under a lease of its starter. */
export async function startRun(store: Store, options: StartOptions = {}): Promise<TestRun> {
  const { runId = 'run-1' } = options
  const events = eventsFrom(runId, options.events, genesis(runId))
  const { claim, waiting } = await store.events.append(runId, events, creating(options))
  ok(claim !== undefined, 'a create with a lease answers the claim')
  return { runId, end: endOf(events, genesis(runId)), claim, waiting }
}

/** Creates a run that was never leased. */
export async function createRun(store: Store, runId: string, changes: Partial<RunCreation> = {}): Promise<string> {
  const run = { ...running, create: creation(changes) }
  await store.events.append(runId, sampleEvents(runId, 1), { expectedHead: 0, fencingToken: 0, run })
  return runId
}

/** Creates a run that nobody drives. */
export async function startIdleRun(store: Store, options: StartOptions = {}): Promise<string> {
  const run = await startRun(store, options)
  await store.runs.release(run.claim, { expectedHead: run.end.seq })
  return run.runId
}

/** Appends under the run's lease. */
export async function extend(store: Store, run: TestRun, options: ExtendOptions = {}): Promise<TestRun> {
  const { events: given, run: update, ...rest } = options
  const events = eventsFrom(run.runId, given, run.end)
  const expected = { expectedHead: run.end.seq, fencingToken: run.claim.token, ...rest }
  const { waiting } = await store.events.append(run.runId, events, { ...expected, run: { ...running, ...update } })
  return { ...run, end: endOf(events, run.end), waiting }
}

/** Releases the run's lease with what its last fold says. */
export async function release(store: Store, run: TestRun, update: RunUpdate = blocked): Promise<ReleaseOutcome> {
  return store.runs.release(run.claim, { expectedHead: run.end.seq, run: update })
}

/** Leases the run to somebody. */
export async function acquire(
  store: Store,
  runId: string,
  by: string,
  more: Partial<AcquireRequest> = {},
): Promise<Claim> {
  return store.runs.acquire(runId, { owner: owner(by), leaseMs: LEASE_MS, ...more })
}

/** Claims whatever sample run is due. */
export async function claimDue(
  store: Store,
  by: string,
  changes: Partial<ClaimRequest> = {},
): Promise<readonly Claim[]> {
  const workflows = [{ name: 'sample', versions: ['1'] }]
  const limits = { limit: 100, leaseMs: LEASE_MS }
  return store.runs.claim({
    owner: owner(by),
    workflows,
    queues: [{ name: 'default' }],
    formats: [1],
    ...limits,
    ...changes,
  })
}

/** Posts with a body that names the post. */
export async function post(store: Store, runId: string, id: string, maxWaiting = 1000): Promise<'kept' | 'duplicate'> {
  return store.inbox.post(runId, { id, type: 'Resumed', body: JSON.stringify({ id }) }, { maxWaiting })
}

/** The ids of the runs that were claimed, in their order. */
export function runIds(claims: readonly { readonly runId: string }[]): readonly string[] {
  return claims.map(({ runId }) => runId)
}

function eventsFrom(runId: string, events: number | readonly StoredEvent[] = 1, end: LogEnd): readonly StoredEvent[] {
  return typeof events === 'number' ? sampleEvents(runId, events, end) : events
}
