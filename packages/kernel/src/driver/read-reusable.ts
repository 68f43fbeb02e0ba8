import type { Store } from '@varve/store'
import { KernelError } from '../errors.ts'
import { ReusableResults, type FindReusable } from '../run/reuse.ts'
import type { Reuse, System } from '../run/system.ts'
import { readSystem } from '../views/read-fold.ts'
import type { Definition } from '../workflow/define-workflow.ts'

/**
 * What a fork with `reuse` need not execute: the results that the run it was taken from has recorded behind the fork. Read
 * anew whenever the fork is taken up, so that results come in while that run goes on.
 *
 * @returns undefined for a run that reuses nothing. What was done already must not be done again because a log is missing, or
 * does not say yet what came of it: the function throws `REUSE_GONE` without the log that was forked, and `REUSE_IN_DOUBT` for an
 * at-most-once action that is under way there, or that was done by a run which that one reuses, without having come to it.
 */
export async function readReusable(
  store: Store,
  system: System,
  { actions }: Pick<Definition, 'actions'>,
): Promise<FindReusable | undefined> {
  if (system.reuse === undefined) return undefined
  // What may be done again need not be looked for in the logs before the one that was forked.
  const isOnce = Object.values(actions).some(({ effect }) => effect === 'at-most-once')
  return reusableFor(store, system, { fork: system.runId, isOnce })
}

interface Asking {
  /** The run that is driven: the system is that, or one that it was forked from. */
  readonly fork: string
  /** True when something that it does must not happen twice. */
  readonly isOnce: boolean
}

async function reusableFor(store: Store, { runId, reuse }: System, asking: Asking): Promise<FindReusable | undefined> {
  if (reuse === undefined) return undefined
  const { fork, isOnce } = asking
  const { fromRunId, atSeq, fromHash } = reuse
  const results = new ReusableResults(fromRunId, atSeq)
  let hash = ''
  const from = await readSystem(store, fromRunId, (event) => {
    results.add(event)
    if (event.seq === atSeq) hash = event.hash
  })
  // Another run may have got the id since.
  if (hash !== fromHash) {
    // Not the run that was forked, but one before it: whoever removed that log has given up what it says.
    if (runId !== fork) return undefined
    return ({ key }) => {
      throw gone(reuse, { runId: fork, key })
    }
  }
  const former = isOnce ? await reusableFor(store, from, asking) : undefined
  return (request) => {
    const result = results.find(request)
    if (result !== undefined) return result
    const where = { runId: fork, key: request.key }
    if (results.isInDoubt(request)) {
      throw inDoubt(where, doubtOf(from))
    }
    if (request.effect !== 'at-most-once') return undefined
    const done = former?.(request)
    if (done !== undefined) throw inDoubt(where, notTakenOver(from, done.from.runId))
    return undefined
  }
}

type Where = { readonly runId: string; readonly key: string }

function gone({ fromRunId, atSeq }: Reuse, where: Where): KernelError {
  const text =
    `run ${where.runId} reuses what run ${fromRunId} did behind seq ${atSeq}, and that log is not in this store any more; ` +
    `restore it, or fork run ${where.runId} once more without reuse`
  return new KernelError('REUSE_GONE', text, where)
}

function doubtOf({ runId, terminal }: System): string {
  if (terminal !== undefined) return `run ${runId} ended without knowing what became of it`
  return `it is under way in run ${runId}; wait for that, or settle it`
}

/** What a run has done that `system` was forked from. */
function notTakenOver({ runId, terminal }: System, doneBy: string): string {
  const remedy =
    terminal === undefined
      ? `has not come to take that over; wait for that, or fork run ${doneBy} with reuse`
      : `ended without taking that over; fork run ${doneBy} with reuse`
  return `run ${doneBy} has done it, and run ${runId} ${remedy}`
}

function inDoubt(where: Where, why: string): KernelError {
  const text =
    `run ${where.runId} would do ${where.key} a second time, which must happen at most once: ${why}; ` +
    `to do it all the same, fork run ${where.runId} once more without reuse`
  return new KernelError('REUSE_IN_DOUBT', text, where)
}
