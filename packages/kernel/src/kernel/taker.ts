import { isLimited, isStoreError, type Claim, type QueueClaim } from '@varve/store'
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Environment } from '../driver/environment.ts'
import type { NewRun } from '../driver/new-run.ts'
import type { Outcome } from '../driver/outcome.ts'
import { KernelError } from '../errors.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import type { Drives } from './drives.ts'

/** What became of a new run that was offered: `refused` where nobody takes it, or nothing could be written of it. */
export type Taking = 'begun' | 'exists' | 'refused'

/** Drives new runs of its kernel from their first append on. */
export interface Taker {
  /** True when it has a place for such a run, and knows of none that should come first. */
  readonly isFree: (workflow: string, queue: string) => boolean
  /** Creates a run and begins to drive it. Resolves when the run is durable. @throws StoreError when the store did not answer. */
  readonly take: (definition: Definition, run: NewRun) => Promise<Taking>
}

/**
 * Hands a run that is due at once to whoever would claim it next in this very process. So its first append holds its first
 * decisions, too, and there is neither a claim nor a read between its start and its first action.
 */
export async function handOver(
  { drives, takers }: { readonly drives: Drives; readonly takers: ReadonlySet<Taker> },
  definition: Definition,
  run: NewRun,
): Promise<Taking> {
  const { runId, row, secrets, started } = run
  // Secrets are kept for an append that may be refused; a run that is delayed would only be put down again.
  if (secrets.length > 0 || 'startAt' in started.data) return 'refused'
  if (drives.has(runId) || !drives.isOpen) return 'refused'
  for (const taker of takers) if (taker.isFree(definition.name, row.queue)) return taker.take(definition, run)
  return 'refused'
}

/** Where new runs may be driven. */
export interface Place<Run> {
  /** Asked for every new run: false also while older runs may be due. */
  readonly isFree: () => boolean
  /** Told of the run when it is durable; undefined when it was not created. Its place is taken until then, too. */
  readonly take: (begun: Promise<Run | undefined>) => void
}

/** What a taker takes, where, and how it is followed from there. */
export interface Taken<Run> {
  readonly queues: readonly QueueClaim[]
  /** Default: all. */
  readonly workflows?: readonly string[]
  readonly place: Place<Run>
  readonly follow: (run: Pick<Claim, 'runId' | 'workflow' | 'queue'>, driving: Promise<Outcome | undefined>) => Run
}

/** Takes runs of queues without limits: the others have to be counted by a claim. */
export function newTaker<Run extends { readonly outcome: Promise<unknown> }>(
  env: Environment,
  drives: Drives,
  { queues, workflows, place, follow }: Taken<Run>,
): Taker {
  const names = new Set(queues.filter((queue) => !isLimited(queue)).map(({ name }) => name))
  // What surrounds a call of `start` is not to be what surrounds a handler: for a run that is claimed it never is.
  const apart = AsyncLocalStorage.snapshot()
  return {
    isFree: (workflow, queue) => names.has(queue) && workflows?.includes(workflow) !== false && place.isFree(),
    take: (definition, newRun) => {
      const { driving, created } = apart(() => begin(env, drives, definition, newRun))
      const run = follow({ ...newRun.row, runId: newRun.runId }, driving)
      const durable = Promise.race([created, unlessGivenUp(run.outcome)])
      const begun = durable.then(() => run)
      place.take(begun.catch(() => undefined))
      return takingOf(begun)
    },
  }
}

/** A drive that gave its run up has an outcome without having created it. */
async function unlessGivenUp(outcome: Promise<unknown>): Promise<void> {
  if ((await outcome) === undefined) throw new KernelError('DRAINED', 'the run was given up before it was created')
}

/** A run that is being created by its own drive. */
interface Beginning {
  readonly driving: Promise<Outcome | undefined>
  /** Resolves when its first events are durable; never, when they will not be. */
  readonly created: Promise<undefined>
}

/** Creates a run under a lease and drives it. */
function begin(env: Environment, drives: Drives, definition: Definition, run: NewRun): Beginning {
  const { runId, started } = run
  const created = Promise.withResolvers<undefined>()
  const drivingEnv: Environment = {
    ...env,
    committed: (id, events) => {
      env.committed(id, events)
      created.resolve(undefined)
    },
  }
  const create = { started, row: { ...run.row, lease: { owner: env.owner, leaseMs: env.leaseMs } } }
  const options = { runId, definition, claimedAt: env.clock.monotonic(), create }
  return { driving: drives.begin(drivingEnv, runId, async () => options), created: created.promise }
}

/**
 * What became of a run, by what kept it from being durable. One whose first decision fails is recorded without it, so that
 * whoever claims it parks it.
 *
 * @throws StoreError when the store did not answer, and may have the run or not.
 */
async function takingOf(durable: Promise<unknown>): Promise<Taking> {
  try {
    await durable
    return 'begun'
  } catch (error) {
    if (isStoreError(error, 'HEAD_CONFLICT')) return 'exists'
    if (isStoreError(error) && (error.retryable || error.code === 'UNKNOWN_OUTCOME')) throw error
    return 'refused'
  }
}
