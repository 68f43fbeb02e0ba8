import type { Claim } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'

/**
 * Gives back a claim on a run that its kernel is at work on already, when that is over: given back at once, it would be claimed
 * again and again until then. Whoever is at work on the run may take the lease anew; then there is nothing to give back.
 *
 * @param busy - settles when the run is free.
 */
export async function giveBack(env: Environment, claim: Claim, busy: Promise<unknown>): Promise<void> {
  const { runId, head: expectedHead, problem } = claim
  await busy.catch(() => undefined)
  const request = { expectedHead, ...(problem && { problem }) }
  // Kept back, it would only end by itself.
  await repeatable(env, () => env.store.runs.release(claim, request)).catch(env.warn)
  env.moved(runId)
}
