import { genesis, isFrom, isStoreError, sealEvent, shown } from '@varve/store'
import { artifactsInValue } from '../artifacts/artifacts-in.ts'
import { touchArtifacts } from '../artifacts/touch-artifacts.ts'
import { appendSettled } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { newRun, placeOf, type NewRun } from '../driver/new-run.ts'
import type { Outcome } from '../driver/outcome.ts'
import { runUpdate } from '../driver/turn.ts'
import { isKernelError, KernelError } from '../errors.ts'
import { asLogEvent, readLogEvent } from '../log/log-event.ts'
import { applyToSystem, emptySystem } from '../run/system.ts'
import { withSecrets } from '../secrets/entering.ts'
import { isSameValue } from '../secrets/same-value.ts'
import { A_SPAN, isSpan } from '../time-span.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import type { StartOptions } from './options.ts'
import { moveRun, type KernelParts } from './parts.ts'
import { handOver } from './taker.ts'

/** Creates a run and drives it; a run of the same id, workflow and input is driven on instead. */
export async function startRun(
  kernel: KernelParts,
  definition: Definition,
  input: unknown,
  options: StartOptions,
): Promise<Outcome> {
  const { env, drives } = kernel
  await env.clock.check()
  const run = runOf(kernel, definition, input, options)
  const { runId, started, secrets } = run
  await touchArtifacts(env, artifactsInValue(run.input))
  // A run that is there needs none of them.
  if (secrets.length > 0 && (await isSameRun(env, definition, run))) return moveRun(kernel, runId)
  const row = { ...run.row, lease: { owner: env.owner, leaseMs: env.leaseMs } }
  // Nothing is written of a run whose first decision fails. Any other error may be of the run that is there now.
  const isUnwritten = async (error: unknown): Promise<boolean> =>
    isStoreError(error, 'HEAD_CONFLICT') || (isKernelError(error) && (await env.store.runs.find(runId)) === undefined)
  for (;;) {
    // Another call of this kernel may be about to create it; whether it succeeded shows in the store.
    if (drives.has(runId)) await drives.move(runId, { follow: false }).catch(() => undefined)
    else {
      const drive = { runId, definition, claimedAt: env.clock.monotonic(), create: { started, row } }
      const outcome = await unlessExists(withSecrets(env, secrets, () => drives.create(drive), isUnwritten))
      if (outcome !== 'exists') return outcome ?? moveRun(kernel, runId)
    }
    if (await isSameRun(env, definition, run)) return moveRun(kernel, runId)
    // The run is gone again, and its secrets with it.
    if (secrets.length > 0) return startRun(kernel, definition, input, { ...options, runId })
  }
}

/** Records a run and returns at once; a worker of this kernel that has nothing else to do has begun to drive it then. */
export async function enqueueRun(
  kernel: KernelParts,
  definition: Definition,
  input: unknown,
  options: StartOptions,
): Promise<Outcome> {
  const { env } = kernel
  await env.clock.check()
  const run = runOf(kernel, definition, input, options)
  const { runId, started, row, secrets } = run
  await touchArtifacts(env, artifactsInValue(run.input))
  if (secrets.length > 0 && (await isSameRun(env, definition, run))) return { status: 'running', runId }
  const taken = await handOver(kernel, definition, run)
  if (taken === 'begun' || (taken === 'exists' && (await isSameRun(env, definition, run))))
    return { status: 'running', runId }
  const sealed = sealEvent(runId, genesis(runId), started, env.clock.now(), env.limits)
  const system = emptySystem(runId)
  applyToSystem(system, asLogEvent(sealed))
  const update = { ...runUpdate({ system }), create: row }
  const append = () => appendSettled(env, runId, [sealed.stored], { expectedHead: 0, fencingToken: 0, run: update })
  const appended = await unlessExists(withSecrets(env, secrets, append))
  if (appended === 'exists') await isSameRun(env, definition, run)
  else env.committed(runId, [asLogEvent(sealed)])
  return { status: 'running', runId }
}

async function unlessExists<T>(creating: Promise<T>): Promise<T | 'exists'> {
  try {
    return await creating
  } catch (error) {
    if (isStoreError(error, 'HEAD_CONFLICT')) return 'exists'
    throw error
  }
}

function runOf({ env }: KernelParts, definition: Definition, input: unknown, options: StartOptions): NewRun {
  const { runId = env.newId(), tags, queue, deadlineMs } = options
  const startAt = startOf(env, runId, options)
  if (deadlineMs !== undefined && !isSpan(deadlineMs)) {
    throw new KernelError('INVALID_INPUT', `deadlineMs must be ${A_SPAN}, got ${shown(deadlineMs)}`, { runId })
  }
  return newRun(env, definition, input, {
    runId,
    ...(tags !== undefined && { tags }),
    ...(queue !== undefined && { queue }),
    ...placeOf(options),
    ...(startAt !== undefined && { startAt }),
    ...(deadlineMs !== undefined && { deadlineAt: Math.ceil(env.clock.now() + deadlineMs) }),
  })
}

/** When a run is to begin, in whole milliseconds. @throws KernelError `INVALID_INPUT`. */
function startOf(env: Environment, runId: string, { startAt, delayMs }: StartOptions): number | undefined {
  if (startAt === undefined && delayMs === undefined) return undefined
  if (startAt !== undefined && delayMs !== undefined) {
    throw new KernelError('INVALID_INPUT', 'a run begins at startAt or after delayMs: give one of them', { runId })
  }
  const given: unknown = startAt instanceof Date ? startAt.getTime() : (startAt ?? delayMs)
  const from = delayMs === undefined ? 0 : env.clock.now()
  const at = isFrom(0, given) ? Math.ceil(from + given) : Number.NaN
  if (Number.isSafeInteger(at)) return at
  const what = delayMs === undefined ? 'startAt must be a date or Unix milliseconds' : 'delayMs must be a number from 0'
  throw new KernelError('INVALID_INPUT', `${what}, got ${shown(given)}`, { runId })
}

/**
 * @returns false when there is no such run after all.
 * @throws KernelError `RUN_EXISTS` for a run of another workflow or input; `SECRET_GONE` when that cannot be told any more.
 */
async function isSameRun(env: Environment, definition: Definition, { runId, given }: NewRun): Promise<boolean> {
  for await (const stored of env.store.events.read(runId, { from: 1, limit: 1 })) {
    const event = readLogEvent(genesis(runId), stored)
    const data = event.type === 'RunStarted' ? event.data : undefined
    if (data?.workflow === definition.name && (await isSameValue(env, data.input, given))) return true
    const text =
      `the run id ${runId} is taken by a run of ${data?.workflow ?? 'unknown origin'} with another workflow or input; ` +
      'start with another run id, or read that run with get'
    throw new KernelError('RUN_EXISTS', text, { runId })
  }
  return false
}
