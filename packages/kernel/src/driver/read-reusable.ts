import type { Store } from '@varve/store'
import { KernelError } from '../errors.ts'
import { ReusableResults, type FindReusable } from '../run/reuse.ts'
import type { System } from '../run/system.ts'
import { readSystem } from '../views/read-fold.ts'

/**
 * What a fork with `reuse` need not execute: the results that the run it was taken from has recorded behind the fork. Read
 * anew whenever the fork is taken up, so that results come in while that run goes on.
 *
 * @returns undefined for a run that reuses nothing. Without the log that was forked, the function throws `REUSE_GONE`: what
 * was done already must not be done again because a log is missing.
 */
export async function readReusable(store: Store, { runId, reuse }: System): Promise<FindReusable | undefined> {
  if (reuse === undefined) return undefined
  const { fromRunId, atSeq, fromHash } = reuse
  const results = new ReusableResults(fromRunId, atSeq)
  let hash = ''
  await readSystem(store, fromRunId, (event) => {
    results.add(event)
    if (event.seq === atSeq) hash = event.hash
  })
  // Another run may have got the id since.
  if (hash === fromHash) return results.find
  return ({ key }) => {
    const text =
      `run ${runId} reuses what run ${fromRunId} did behind seq ${atSeq}, and that log is not in this store any more; ` +
      'restore it, or fork this run once more without reuse'
    throw new KernelError('REUSE_GONE', text, { runId, key })
  }
}
