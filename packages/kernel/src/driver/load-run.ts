import { isStoreError, StoreError, type Json, type Snapshot, type StoredEvent } from '@varve/store'
import { isKernelError, type KernelErrorCode } from '../errors.ts'
import { RecordedEvent } from '../log/recorded-event.ts'
import { applyRecorded, type RunFold } from '../run/run-fold.ts'
import { decisionChecker, type DecisionChecker } from '../run/check-decisions.ts'
import { loadSnapshot, SNAPSHOT_FORMAT } from '../run/snapshot-body.ts'
import { emptySystem } from '../run/system.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import type { Environment } from './environment.ts'

/**
 * Of a log that is read as a whole so many events at the end are checked when a run is opened, twice as many as a snapshot waits for:
 * what it costs does not grow with the decisions that a run has passed.
 */
const CHECKED_EVENTS = 1000

/** A run as it was read. */
export interface LoadedRun {
  readonly fold: RunFold
  /** Seq of the snapshot it was read from; 0 when the whole log was read. */
  readonly snapshotSeq: number
  /** Length of that snapshot's body. */
  readonly snapshotLength: number
  /** How many events were read behind it, and the length of their bodies. */
  readonly tailEvents: number
  readonly tailLength: number
  /** Seq of the last decision that was read, where decisions were to be asked again and all of them lie before what was. */
  readonly unasked?: number | undefined
}

/** How to read a run. */
export interface LoadOptions {
  readonly definition: Definition
  readonly initialState?: Json
  /**
   * Ask the code again for each decision that is read; or, where the whole log is, for those that do not end before a seq. Costs one
   * call of the step each.
   */
  readonly check: boolean | { readonly from: number }
  /** Begin with the newest usable snapshot. */
  readonly snapshots: boolean
  /** Last seq to read. */
  readonly to?: number
  /** What a read would answer, where it is known: one event of a run that has no other. */
  readonly first?: StoredEvent
}

/**
 * Reads and folds a run, from its newest usable snapshot or from the beginning.
 *
 * @throws StoreError `CORRUPT_LOG` | `NEWER_FORMAT`.
 * @throws KernelError `CODE_CHANGED` (with `check`) | `INVALID_LOG` | `REDUCER_FAILED` | `NONDETERMINISM`.
 */
export async function loadRun(env: ReadingEnvironment, runId: string, options: LoadOptions): Promise<LoadedRun> {
  let before = options.to
  while (options.snapshots) {
    const snapshot = await latestSnapshot(env, runId, before)
    if (snapshot === undefined) break
    const loaded = await fromSnapshot(env, snapshot, options)
    if (loaded !== undefined) return loaded
    before = snapshot.seq - 1
  }
  return readLog(env, { fold: freshFold(env, runId, options), snapshotSeq: 0, snapshotLength: 0 }, options)
}

/** A store that cannot answer its snapshots has none, as far as a run is concerned: the log is read instead. */
async function latestSnapshot(
  { store, warn }: ReadingEnvironment,
  runId: string,
  before: number | undefined,
): Promise<Snapshot | undefined> {
  try {
    return await store.snapshots.latest(runId, before === undefined ? {} : { atOrBefore: before })
  } catch (error) {
    warn(error as Error)
    return undefined
  }
}

/** What reading needs: no executor and no appender. */
export type ReadingEnvironment = Pick<Environment, 'store' | 'limits' | 'buildOf' | 'guard' | 'warn'>

/** Undefined when there is any doubt of the snapshot: it is a cache, and an older one or the log will do. */
async function fromSnapshot(
  env: ReadingEnvironment,
  snapshot: Snapshot,
  options: LoadOptions,
): Promise<LoadedRun | undefined> {
  const { definition } = options
  if (snapshot.format !== SNAPSHOT_FORMAT || snapshot.seq < 1) return undefined
  if (snapshot.workflowVersion !== definition.version || snapshot.build !== env.buildOf(definition)) return undefined
  const fold = freshFold(env, snapshot.runId, options)
  try {
    loadSnapshot(fold, { seq: snapshot.seq, hash: snapshot.hash }, snapshot.body)
  } catch {
    return undefined
  }
  const start = { fold, snapshotSeq: snapshot.seq, snapshotLength: snapshot.body.length, snapshot }
  try {
    return await readLog(env, start, options)
  } catch (error) {
    // A tail that does not follow from the snapshot speaks against the snapshot first; the whole log will tell.
    if (isKernelError(error, 'INVALID_LOG')) return undefined
    throw error
  }
}

interface Start {
  readonly fold: RunFold
  readonly snapshotSeq: number
  readonly snapshotLength: number
  readonly snapshot?: Snapshot
}

function readLog(
  env: ReadingEnvironment,
  start: Start & { readonly snapshot?: undefined },
  options: LoadOptions,
): Promise<LoadedRun>
function readLog(env: ReadingEnvironment, start: Start, options: LoadOptions): Promise<LoadedRun | undefined>
async function readLog(env: ReadingEnvironment, start: Start, options: LoadOptions): Promise<LoadedRun | undefined> {
  const { fold, snapshot, snapshotSeq, snapshotLength } = start
  const { to } = options
  const checker = checkerOf(env, start, options)
  let tailEvents = 0
  let tailLength = 0
  let { end } = fold.system
  let anchored = snapshot === undefined
  const range = { from: Math.max(1, snapshotSeq), ...(to !== undefined && { to }) }
  for await (const stored of options.first === undefined
    ? env.store.events.read(fold.system.runId, range)
    : [options.first]) {
    if (!anchored) {
      // The tail is read from the snapshot's own event on: in one read, it also shows that the snapshot fits the log.
      if (stored.seq !== snapshotSeq || stored.hash !== snapshot?.hash) return undefined
      anchored = true
      continue
    }
    const recorded = new RecordedEvent(end, stored)
    end = stored
    if (checker === undefined) applyRecorded(fold, recorded)
    else checker.add(recorded)
    tailEvents += 1
    tailLength += stored.body.length
  }
  if (!anchored) return undefined
  const unasked = checker?.end()
  return { fold, snapshotSeq, snapshotLength, tailEvents, tailLength, unasked }
}

function checkerOf(
  { limits }: ReadingEnvironment,
  { fold, snapshot }: Start,
  { check, definition }: LoadOptions,
): DecisionChecker | undefined {
  if (check === false) return undefined
  return decisionChecker(fold, definition, limits, check === true || snapshot !== undefined ? undefined : check.from)
}

/** A run before its creation: nothing to read. */
export function unreadRun(
  env: ReadingEnvironment,
  options: Pick<LoadOptions, 'definition' | 'initialState'> & { readonly runId: string },
): LoadedRun {
  return {
    fold: freshFold(env, options.runId, options),
    snapshotSeq: 0,
    snapshotLength: 0,
    tailEvents: 0,
    tailLength: 0,
  }
}

function freshFold(
  { guard }: ReadingEnvironment,
  runId: string,
  { definition, initialState }: Pick<LoadOptions, 'definition' | 'initialState'>,
): RunFold {
  return { system: emptySystem(runId), stepper: definition.stepper(guard, initialState) }
}

/**
 * Reads a run for driving: the end of it checked against the code, at least the last decision, unless the kernel only warns of drift.
 *
 * @param options - with the head that the run had when it was claimed: a log only grows, so one that ends before was cut, and
 * nothing could ever be appended to what is left. `again` when this drive has read the run before, and may have saved snapshots.
 */
export async function loadForDrive(
  env: Environment,
  runId: string,
  { head, again, first, ...options }: Pick<LoadOptions, 'definition' | 'initialState'> & HeadOptions,
): Promise<LoadedRun> {
  // A run that was only enqueued has no snapshot worth asking for, and under its lease nobody else makes its log longer.
  const isEnqueued = head === 1 && !again
  const loaded = await loadUnlessDrifted(env, runId, {
    ...options,
    check: { from: head - CHECKED_EVENTS + 1 },
    snapshots: !isEnqueued,
    ...(isEnqueued && { to: head }),
    ...(isEnqueued && first !== undefined && { first }),
  })
  const { seq } = loaded.fold.system.end
  if (seq >= head) return loaded
  const text = `the log of run ${runId} ends at seq ${seq}, its row says ${head}; restore what is missing from a backup`
  throw new StoreError('CORRUPT_LOG', text, { runId, seq: seq + 1 })
}

interface HeadOptions {
  readonly head: number
  readonly again: boolean
  /** What the claim told of a run that was only enqueued. */
  readonly first: StoredEvent | undefined
}

async function loadUnlessDrifted(env: Environment, runId: string, options: LoadOptions): Promise<LoadedRun> {
  try {
    const loaded = await loadRun(env, runId, options)
    if (loaded.unasked === undefined) return loaded
    // Much came behind the last decision. It is checked all the same: that shows best whether the code is another.
    return await loadRun(env, runId, { ...options, check: { from: loaded.unasked } })
  } catch (error) {
    if (env.onDrift !== 'warn' || !isDrift(error)) throw error
    env.warn(error)
    return await loadRun(env, runId, { ...options, check: false })
  }
}

/** What code that has changed may answer where it is asked for a recorded decision. */
const DRIFT: ReadonlySet<KernelErrorCode> = new Set<KernelErrorCode>([
  'CODE_CHANGED',
  'NO_PROGRESS',
  'KEY_REUSED',
  'UNKNOWN_ACTION',
  'INVALID_STEP',
  'STEP_FAILED',
  'NONDETERMINISM',
])

function isDrift(error: unknown): error is Error {
  return (isKernelError(error) && DRIFT.has(error.code)) || isStoreError(error, 'NOT_JSON')
}
