import { canonicalJson, isStoreError, sha256 } from '@varve/store'
import type { LogDraft } from '../log/log-event.ts'
import type { Environment } from './environment.ts'

/**
 * Hands in outcomes that a driver learned after it had lost its run, or had given it up: whoever drives the run takes them,
 * instead of trying again. Best effort: without it the attempt counts as unknown, which is what it would be anyway.
 */
export async function handIn(env: Environment, runId: string, results: readonly LogDraft[]): Promise<void> {
  for (const { type, data } of results) {
    if (type !== 'ActionSucceeded') continue
    try {
      const body = canonicalJson(data)
      const id = `outcome:${sha256(canonicalJson([data.key, data.attempts]))}`
      await env.store.inbox.post(runId, { id, type, body }, { maxWaiting: env.limits.waitingPosts })
      env.moved(runId)
    } catch (error) {
      if (!isStoreError(error)) env.warn(error as Error)
    }
  }
}
