import { isTerminal } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import { endOutcome, type Outcome } from '../driver/outcome.ts'
import { readEnd } from '../views/read-end.ts'
import { aborted } from '../views/watch.ts'
import type { KernelParts } from './parts.ts'
import { findRun } from './post.ts'

/** How to follow a run. */
export interface FollowOptions {
  /** Ends the wait: the call rejects with its reason. */
  readonly signal?: AbortSignal
}

/** Waits until a run has ended. Reads its row whenever it may have moved. */
export async function followRun(
  { env, drives }: KernelParts,
  runId: string,
  { signal }: FollowOptions,
): Promise<Outcome> {
  for (;;) {
    signal?.throwIfAborted()
    const waiter = drives.waitFor(runId)
    const over = new AbortController()
    try {
      const row = await repeatable(env, () => findRun(env, runId))
      if (isTerminal(row.status)) return endOutcome(runId, await readEnd(env.store, row))
      await Promise.race([waiter.next(), aborted(signal, over.signal)])
    } finally {
      over.abort()
      waiter.cancel()
    }
  }
}
