import { canonicalJson, StoreError, type Claim, type RunUpdate, type StoredEvent } from '@varve/store'
import { APPEND_ARTIFACTS, artifactsIn, artifactsOf, checkArtifactCount } from '../artifacts/artifacts-in.ts'
import { appendSettled, repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { KernelError } from '../errors.ts'
import type { LogEvent } from '../log/log-event.ts'
import { actUnderLease } from './act-under-lease.ts'

/**
 * Creates a run from a whole log. What is said of its artifacts beyond the first thousand follows under a lease, in appends
 * without events: a death in between leaves the rest to the run that was copied, which refers to them, too.
 *
 * @throws StoreError `HEAD_CONFLICT` when the run exists; KernelError `LEASE_LOST` when another process took it in between.
 */
export async function appendCopy(
  env: Environment,
  runId: string,
  events: readonly StoredEvent[],
  run: RunUpdate,
): Promise<void> {
  const artifacts = artifactsOf(events)
  if (artifacts.length <= APPEND_ARTIFACTS) {
    await appendSettled(env, runId, events, { expectedHead: 0, fencingToken: 0, run })
    return
  }
  const { create, ...row } = run
  const { owner, leaseMs } = env
  const first = artifacts.slice(0, APPEND_ARTIFACTS)
  const created = { ...row, artifacts: first, ...(create && { create: { ...create, lease: { owner, leaseMs } } }) }
  const askedAt = env.clock.monotonic()
  const appended = await appendSettled(env, runId, events, { expectedHead: 0, fencingToken: 0, run: created })
  const acquire = (): Promise<Claim> => env.store.runs.acquire(runId, { owner, leaseMs })
  const claim = appended.claim ?? (await repeatable(env, acquire))
  const expectedHead = events.length
  const told = await actUnderLease(env, claim, askedAt, async () => {
    for (let from = APPEND_ARTIFACTS; from < artifacts.length; from += APPEND_ARTIFACTS) {
      const batch = artifacts.slice(from, from + APPEND_ARTIFACTS)
      const said = { ...row, artifacts: batch }
      await appendSettled(env, runId, [], { expectedHead, fencingToken: claim.token, run: said })
    }
    return { expectedHead, run: row }
  })
  if (told) return
  const text = `run ${runId} was taken by another process before all its artifacts were told; remove it and fork anew`
  throw new KernelError('LEASE_LOST', text, { runId })
}

/**
 * Refuses an edit of the last copied event that brings in references to artifacts that are not there. Those that are there
 * count as used now, so that none is collected before the run is there to refer to it.
 *
 * @throws StoreError `ARTIFACT_NOT_FOUND`.
 */
export async function checkEditedArtifacts(
  { artifacts }: Pick<Environment, 'artifacts'>,
  copied: readonly StoredEvent[],
  original: LogEvent,
  runId: string,
): Promise<void> {
  const known = new Set([...artifactsOf(copied.slice(0, -1)), ...artifactsIn(canonicalJson(original.data))])
  const added = artifactsOf(copied.slice(-1)).filter((id) => !known.has(id))
  if (added.length === 0) return
  const { seq } = original
  checkArtifactCount(added, `the edit of seq ${seq} of run ${runId}`, { runId, seq })
  const there = new Set(await artifacts.touch(added))
  const gone = added.find((id) => !there.has(id))
  if (gone === undefined) return
  const text = `the edit of seq ${seq} of run ${runId} refers to ${gone}, which is not there; put it first`
  throw new StoreError('ARTIFACT_NOT_FOUND', text, { runId, seq })
}
