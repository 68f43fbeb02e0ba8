import { isStoreError, type ArtifactStore } from '@varve/store'
import type { AnyPlan } from '../definition/plan.ts'
import { PlanError } from '../errors.ts'
import { planChanges, type Manifest, type PlanChange } from '../manifest/manifest.ts'
import type { ManifestState } from '../manifest/manifest-state.ts'
import { planInput, type PlanInput } from '../schedule/plan-input.ts'
import { emptyRecord, recordEvent, type RunRecord } from '../view/run-record.ts'
import type { EngineParts } from './parts.ts'

/** A run and what it was started from. */
export interface PinnedRun {
  readonly record: RunRecord
  readonly input: PlanInput
  readonly manifest: Manifest
}

/**
 * Reads a run's log and the manifest that it has pinned.
 *
 * @throws PlanError `RUN_NOT_FOUND` | `NOT_A_PLAN_RUN` | `MANIFEST_CORRUPT`.
 */
export async function pinnedRun(parts: Pick<EngineParts, 'kernel' | 'artifacts'>, runId: string): Promise<PinnedRun> {
  const record = await readRecord(parts, runId)
  const input = inputOf(runId, record.input)
  return { record, input, manifest: await pinnedManifest(parts.artifacts, runId, input) }
}

/** What a run was started from, without the rest of its log. @throws as {@link pinnedRun}. */
export async function pinnedStart(
  parts: Pick<EngineParts, 'kernel' | 'artifacts'>,
  runId: string,
): Promise<Omit<PinnedRun, 'record'>> {
  const input = await startInput(parts, runId)
  return { input, manifest: await pinnedManifest(parts.artifacts, runId, input) }
}

/** What the first event of a run says. @throws PlanError `RUN_NOT_FOUND` | `NOT_A_PLAN_RUN`. */
export async function startInput({ kernel }: Pick<EngineParts, 'kernel'>, runId: string): Promise<PlanInput> {
  await checkRun(kernel, runId)
  for await (const event of kernel.events(runId)) {
    return inputOf(runId, event.type === 'RunStarted' ? event.data.input : undefined)
  }
  throw notAPlanRun(runId)
}

/** A state of a run. @throws PlanError `STATE_NOT_FOUND`. */
export function manifestState({ manifest, record }: Pick<PinnedRun, 'manifest' | 'record'>, id: string): ManifestState {
  const state = manifest.states.find((one) => one.id === id)
  if (state !== undefined) return state
  const text = `plan ${manifest.plan.id} has no state ${JSON.stringify(id)}; its manifest lists those that it has`
  throw new PlanError('STATE_NOT_FOUND', text, { runId: record.runId, details: { state: id } })
}

/** What the log of a run says. @throws PlanError `RUN_NOT_FOUND`. */
export async function readRecord({ kernel }: Pick<EngineParts, 'kernel'>, runId: string): Promise<RunRecord> {
  await checkRun(kernel, runId)
  const record = emptyRecord(runId)
  for await (const event of kernel.events(runId)) recordEvent(record, event)
  return record
}

/**
 * The plan of a run, which is the very one that it was started with.
 *
 * @throws PlanError `PLAN_MISSING` | `PLAN_CHANGED`, with the difference.
 */
export async function samePlan({ plans }: EngineParts, runId: string, manifest: Manifest): Promise<AnyPlan> {
  const plan = await plans.planOf(manifest)
  if (plan.definition.hash === manifest.plan.hash) return plan
  const changes = planChanges(manifest, plan.definition)
  const { id, version } = manifest.plan
  const text =
    `plan ${id}@${version} is not the one that run ${runId} was started with: ${shown(changes)}; ` +
    'register that one, or fork the run to go on with this one'
  throw new PlanError('PLAN_CHANGED', text, { runId, details: { changes: changes as never } })
}

function shown(changes: readonly PlanChange[]): string {
  const texts = changes.slice(0, 5).map(({ state, what }) => (state === undefined ? what : `state ${state}: ${what}`))
  return `${texts.join(', ')}${changes.length > 5 ? `, and ${changes.length - 5} more` : ''}`
}

async function checkRun(kernel: EngineParts['kernel'], runId: string): Promise<void> {
  if ((await kernel.find(runId)) === undefined) {
    throw new PlanError(
      'RUN_NOT_FOUND',
      `there is no run ${JSON.stringify(runId)}; start it, or look for its id with kernel.list`,
      { runId },
    )
  }
}

function inputOf(runId: string, input: unknown): PlanInput {
  const parsed = planInput.safeParse(input)
  if (!parsed.success) throw notAPlanRun(runId)
  return parsed.data as PlanInput
}

function notAPlanRun(runId: string): PlanError {
  return new PlanError('NOT_A_PLAN_RUN', `run ${runId} is no run of a plan; use the kernel for it, or another run id`, {
    runId,
  })
}

/** Its id is its hash, so a manifest that reads at all is the one that the run has pinned. */
async function pinnedManifest(
  artifacts: ArtifactStore,
  runId: string,
  { manifest, planHash }: PlanInput,
): Promise<Manifest> {
  const corrupt = (why: string, cause?: unknown): PlanError => {
    const text = `the manifest ${manifest.$artifact} of run ${runId} ${why}; restore it from a backup or an evidence bundle`
    return new PlanError('MANIFEST_CORRUPT', text, { runId, cause })
  }
  let text: string
  try {
    text = new TextDecoder().decode(await (await artifacts.get(manifest.$artifact)).bytes())
  } catch (error) {
    if (isStoreError(error, 'ARTIFACT_NOT_FOUND')) throw corrupt('is gone', error)
    if (isStoreError(error, 'ARTIFACT_CORRUPT')) throw corrupt('does not have its hash', error)
    throw error
  }
  const read = parsed(text)
  if (read?.format !== 1 || read.plan?.hash !== planHash) throw corrupt('is none')
  return read as Manifest
}

function parsed(text: string): Partial<Manifest> | undefined {
  try {
    return JSON.parse(text) as Partial<Manifest>
  } catch {
    return undefined
  }
}
