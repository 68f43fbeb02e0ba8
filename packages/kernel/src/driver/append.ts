import { isStoreError, StoreError, type AppendOptions, type AppendResult, type StoredEvent } from '@varve/store'
import { artifactsOf, checkArtifactCount } from '../artifacts/artifacts-in.ts'
import type { Clock } from '../clock.ts'
import { KernelError } from '../errors.ts'
import type { Environment } from './environment.ts'
import { appendFacts } from './observer.ts'
import { pause } from './pause.ts'

/** How often a call that failed without doing anything is made again, and how long to wait before the first time. */
const TRIES = 6
const PAUSE_MS = 20

/** What an append answers; after a lost answer nobody knows how many posts wait. */
export interface Appended extends Omit<AppendResult, 'waiting'> {
  readonly waiting: number | 'unknown'
  /** True when it has ended the lease, as it was asked to. */
  readonly released: boolean
}

/**
 * Appends, and settles what became of it when the answer is lost: the run's own hashes behind the expected head mean that
 * it landed, nothing means that it is to be sent again, other hashes mean that another driver came first.
 *
 * Tells the run's row which artifacts the events refer to, unless the caller has said it.
 *
 * @throws KernelError `LEASE_LOST` when another driver has the run.
 * @throws StoreError `LIMIT_EXCEEDED` (too many artifacts; nothing is sent) | `INBOX_PENDING`, or what keeps failing.
 */
export async function appendSettled(
  env: Environment,
  runId: string,
  events: readonly StoredEvent[],
  given: AppendOptions,
): Promise<Appended> {
  const options = withArtifacts(runId, events, given)
  let uncertain = false
  for (let attempt = 1; ; attempt++) {
    try {
      const append = env.observe.tellsAppends
        ? observedAppend(env, runId, events, options)
        : env.store.events.append(runId, events, options)
      const result = await append
      return { ...result, released: options.release === true && result.waiting === 0 }
    } catch (error) {
      const lost = isStoreError(error, 'UNKNOWN_OUTCOME')
      const refused = isStoreError(error, 'HEAD_CONFLICT') || isStoreError(error, 'FENCED')
      uncertain ||= lost
      if (uncertain && (lost || refused)) {
        const landed = await repeatable(env, () => whatLanded(env, runId, events, options.expectedHead))
        if (landed === 'ours') return { waiting: 'unknown', released: await isReleased(env, runId, options) }
        if (landed === 'theirs') throw options.run.create === undefined ? leaseLost(runId, error) : exists(runId, error)
      }
      if (refused) throw options.run.create === undefined ? leaseLost(runId, error) : error
      if (!lost && !(isStoreError(error) && error.retryable)) throw error
      if (attempt >= TRIES) throw error
      await pause(env.clock, PAUSE_MS * 2 ** (attempt - 1))
    }
  }
}

function withArtifacts(runId: string, events: readonly StoredEvent[], options: AppendOptions): AppendOptions {
  const { run } = options
  const artifacts = run.artifacts ?? artifactsOf(events)
  if (artifacts.length === 0) return options
  checkArtifactCount(artifacts, `an append to run ${runId}`, { runId })
  return { ...options, run: { ...run, artifacts } }
}

async function observedAppend(
  { store, observe }: Environment,
  runId: string,
  events: readonly StoredEvent[],
  options: AppendOptions,
): Promise<AppendResult> {
  const elapsed = observe.begin()
  const facts = { runId, ...appendFacts(events, options.expectedHead) }
  try {
    const result = await store.events.append(runId, events, options)
    observe.append({ ...facts, ...elapsed() })
    return result
  } catch (error) {
    observe.append({ ...facts, ...elapsed(), error: isStoreError(error) ? error.code : 'UNKNOWN_OUTCOME' })
    throw error
  }
}

async function whatLanded(
  env: Environment,
  runId: string,
  events: readonly StoredEvent[],
  expectedHead: number,
): Promise<'ours' | 'theirs' | 'nothing'> {
  const [first] = events
  // Without events nothing can be told from the log; taking posts twice is harmless, so it is sent again.
  if (first === undefined) return 'nothing'
  for await (const stored of env.store.events.read(runId, { from: expectedHead + 1, limit: 1 })) {
    return stored.hash === first.hash ? 'ours' : 'theirs'
  }
  return 'nothing'
}

function exists(runId: string, cause: unknown): StoreError {
  return new StoreError('HEAD_CONFLICT', `run ${runId} was created by another process`, { runId, cause })
}

/**
 * Whether an append that landed has ended the lease that it was made under.
 *
 * @throws KernelError `LEASE_LOST` when somebody has taken the run since: how it stands is theirs to say.
 */
async function isReleased(
  env: Environment,
  runId: string,
  { release, fencingToken, run }: AppendOptions,
): Promise<boolean> {
  if (release !== true) return false
  const row = await repeatable(env, () => env.store.runs.find(runId))
  const token = run.create === undefined ? fencingToken : FIRST_TOKEN
  if (row?.token !== token) throw leaseLost(runId)
  return row.lease === undefined
}

/** Of the lease that a run is created under. */
const FIRST_TOKEN = 1

/** Another driver has the run. */
export function leaseLost(runId: string, cause?: unknown): KernelError {
  return new KernelError('LEASE_LOST', `run ${runId} is driven by another process now`, { runId, cause })
}

/**
 * Makes a call again whose answer was lost, or that failed without doing anything. For calls that may be repeated: a post
 * of the same id, an acquire by the same owner, a release.
 *
 * @param env - the clock by which it pauses in between.
 * @throws what the last of a few calls throws.
 */
export async function repeatable<T>(env: { readonly clock: Clock }, call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      if (attempt >= TRIES || !mayRepeat(error)) throw error
      await pause(env.clock, PAUSE_MS * 2 ** (attempt - 1))
    }
  }
}

/** A lease of somebody else may last long: its run is followed, not asked for again and again. */
function mayRepeat(error: unknown): boolean {
  if (!isStoreError(error) || error.code === 'RUN_BUSY') return false
  return error.retryable || error.code === 'UNKNOWN_OUTCOME'
}
