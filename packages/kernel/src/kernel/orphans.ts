import { allItems, isStoreError, type Claim, type DueRequest, type RunRow } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { canRecognizeDead, isKnownDead } from '../owner.ts'

/** A run that was taken over, and the monotonic time before it was asked for. */
export interface Orphan {
  readonly claim: Claim
  readonly claimedAt: number
}

/**
 * A run that was recovered so often, and of which nothing came since, waits for the leases of the dead as for those of the living. A
 * process that dies again and again right at its start would else use up within seconds what its runs are allowed; and where one
 * of them kills it, the others have time to come further.
 */
const TAKEN_AT_ONCE = 3

/**
 * Takes over runs whose lease is held by a process that is known to be dead, one after the other. One whose lease has run out is
 * due like any other: it does not count against the limits of its queue any more, so it is left to a claim, which does count.
 *
 * @param mayTake - asked before each; nothing more comes when it says no.
 */
export async function* orphans(
  env: Environment,
  request: DueRequest,
  mayTake: () => boolean,
): AsyncGenerator<Orphan, void, undefined> {
  if (!canRecognizeDead(env.owner)) return
  await env.clock.check()
  for await (const row of leasedRuns(env)) {
    if (!isOf(row, request) || row.lease === undefined || row.lease.until <= env.clock.now()) continue
    if (row.recoveries >= TAKEN_AT_ONCE || !isKnownDead(row.lease.owner, env.owner)) continue
    if (!mayTake()) return
    const claimedAt = env.clock.monotonic()
    const claim = await takeOver(env, row)
    if (claim !== undefined) yield { claim, claimedAt }
  }
}

function leasedRuns({ store, clock }: Environment): AsyncGenerator<RunRow, void, undefined> {
  return allItems((page) => repeatable({ clock }, () => store.runs.list({ leased: true }, page)))
}

function isOf({ workflow, version, queue, format }: RunRow, { workflows, queues, formats }: DueRequest): boolean {
  return (
    queues.some(({ name }) => name === queue) &&
    workflows.some(({ name, versions }) => name === workflow && versions.includes(version)) &&
    formats.includes(format)
  )
}

/** @returns undefined when somebody else was faster, or the run is not there any more. */
async function takeOver({ store, owner, leaseMs }: Environment, row: RunRow): Promise<Claim | undefined> {
  try {
    return await store.runs.acquire(row.runId, { owner, leaseMs, takeover: row.token })
  } catch (error) {
    const isTaken = ['RUN_BUSY', 'RUN_TERMINAL', 'RUN_NOT_FOUND'].some((code) => isStoreError(error, code as never))
    if (isTaken) return undefined
    throw error
  }
}
