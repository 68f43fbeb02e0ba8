import type { LogEvent } from '@varve/kernel'
import { canonicalJson, contentId, sha256, type ContentId } from '@varve/store'
import { createHash } from 'node:crypto'
import type { MapNode, StateNode, WorkNode } from '../definition/node.ts'
import type { PlanDefinition } from '../definition/plan.ts'
import { isPlanError, PlanError } from '../errors.ts'
import type { ArtifactWriter } from '../execution/keep-output.ts'
import { replayIo, type RecordedFact, type RecordedFacts } from '../execution/replay-io.ts'
import { runState } from '../execution/run-state.ts'
import { withinTime } from '../execution/within-time.ts'
import type { RunRequest } from '../schedule/requests.ts'
import { stateIdOf } from '../view/plan-status.ts'
import { artifactOf, emptyRecord, recordEvent, resultOf, type ItemRecord, type RunRecord } from '../view/run-record.ts'
import type { EngineParts } from './parts.ts'
import { pinnedStart, samePlan } from './pinned-run.ts'
import { storeReader } from './store-artifacts.ts'

/** One execution of a run, done again. */
export interface ReplayedExecution {
  /** The state's id; with the item's key for one of a map. */
  readonly key: string
  /**
   * `same`: it made the same artifact. `differs`: another one. `failed`: it threw. `passed-over`: it is at-most-once, or was
   * taken over from another run, and counts as recorded.
   */
  readonly result: 'same' | 'differs' | 'failed' | 'passed-over'
  readonly recorded: ContentId
  readonly replayed?: ContentId
  readonly error?: { readonly code: string; readonly message: string }
}

/** A run of a plan, done again from what it has recorded. */
export interface PlanReplay {
  readonly runId: string
  /** True when no execution differs or failed. */
  readonly ok: boolean
  readonly executions: readonly ReplayedExecution[]
}

/**
 * Runs the code of every recorded execution again, with the recorded inputs and facts, and compares what it makes. Nothing is
 * written, no transport is made, and no state is run that must not run twice.
 */
export async function replayPlan(parts: EngineParts, runId: string): Promise<PlanReplay> {
  const { manifest } = await pinnedStart(parts, runId)
  const plan = await samePlan(parts, runId, manifest)
  const { record, facts } = await recordWithFacts(parts, runId)
  const executions: ReplayedExecution[] = []
  for (const item of record.items.values()) {
    const node = plan.definition.graph.nodes[plan.definition.graph.indexOf.get(stateIdOf(item.key)) ?? -1]
    if (node === undefined || !isExecution(node, item)) continue
    executions.push(await replayItem(parts, plan.definition, { node, item, record, facts: facts.of(item) }))
  }
  const ok = executions.every(({ result }) => result === 'same' || result === 'passed-over')
  return { runId, ok, executions }
}

function isExecution(node: StateNode, item: ItemRecord): node is WorkNode | MapNode {
  if (artifactOf(item) === undefined) return false
  return node.kind === 'state' || (node.kind === 'map' && item.key.startsWith(`${node.id}:item:`))
}

interface Replaying {
  readonly node: WorkNode | MapNode
  readonly item: ItemRecord
  readonly record: RunRecord
  readonly facts: RecordedFacts
}

async function replayItem(
  parts: EngineParts,
  plan: PlanDefinition,
  { node, item, record, facts }: Replaying,
): Promise<ReplayedExecution> {
  const { key } = item
  const recorded = artifactOf(item)?.$artifact as ContentId
  const isTakenOver = item.reused || resultOf(item)?.cache?.from !== undefined
  if (node.effect === 'at-most-once' || isTakenOver) return { key, recorded, result: 'passed-over' }
  try {
    const replayed = await executeAgain(parts, plan, node, item, record.runId, facts)
    return { key, recorded, replayed, result: replayed === recorded ? 'same' : 'differs' }
  } catch (error) {
    const code = isPlanError(error) ? error.code : 'FAILED'
    return {
      key,
      recorded,
      result: 'failed',
      error: { code, message: error instanceof Error ? error.message : String(error) },
    }
  }
}

/** @returns the name of what the execution makes now; nothing is kept unless `writer` keeps it. */
export async function executeAgain(
  { artifacts, clock }: Pick<EngineParts, 'artifacts' | 'clock'>,
  plan: PlanDefinition,
  node: WorkNode | MapNode,
  { key, input, attempts }: ItemRecord,
  runId: string,
  facts: RecordedFacts,
  writer: ArtifactWriter = nameOnly,
): Promise<ContentId> {
  const request = input as unknown as RunRequest
  if (/"\$secret(Ref)?":/.test(canonicalJson(input))) {
    throw new PlanError('LIVE_IO_IN_REPLAY', `${key} of run ${runId} takes a secret, which a replay does not open`)
  }
  const told = { ...{ runId, attempt: attempts, fencingToken: 0 }, idempotencyKey: sha256(canonicalJson([runId, key])) }
  const deaf = { heartbeat: () => Promise.resolve(), use: () => undefined }
  const doors = { io: replayIo({ runId, key }, facts), artifacts: { ...storeReader(artifacts), ...writer } }
  const bound = { clock, timeoutMs: node.timeoutMs, what: `${key} of run ${runId}` }
  return withinTime(bound, async (signal) => {
    const execution = { ctx: { ...told, ...deaf, signal }, ...doors }
    return (await runState(plan.graph, node, request, execution)).$artifact
  })
}

/** Names what it is given, and keeps nothing. */
const nameOnly: ArtifactWriter = {
  put: async (content, { mediaType = 'application/octet-stream' } = {}) => {
    if (typeof content === 'string' || content instanceof Uint8Array) {
      return { $artifact: contentId(content), size: Buffer.byteLength(content), mediaType }
    }
    const hash = createHash('sha256')
    let size = 0
    for await (const chunk of content) {
      hash.update(chunk)
      size += chunk.byteLength
    }
    return { $artifact: `sha256:${hash.digest('hex')}`, size, mediaType }
  },
  putJson: async (value) => {
    const text = canonicalJson(value ?? null)
    return { $artifact: contentId(text), size: Buffer.byteLength(text), mediaType: 'application/json' }
  },
}

/** Facts of a run, and what each of its executions was told. */
export interface RunFacts {
  readonly of: (item: ItemRecord) => RecordedFacts
}

/** Reads a run's log with the facts in it. */
export async function recordWithFacts(
  { kernel }: Pick<EngineParts, 'kernel'>,
  runId: string,
): Promise<{ readonly record: RunRecord; readonly facts: RunFacts }> {
  const record = emptyRecord(runId)
  const run = new Map<string, RecordedFact>()
  const attempts = new Map<string, Map<string, RecordedFact>>()
  for await (const event of kernel.events(runId)) {
    recordEvent(record, event)
    takeFact(event, run, attempts)
  }
  return { record, facts: { of: ({ key }) => ({ run, attempt: attempts.get(key) ?? new Map() }) } }
}

function takeFact(
  event: LogEvent,
  run: Map<string, RecordedFact>,
  attempts: Map<string, Map<string, RecordedFact>>,
): void {
  // What a failed attempt was told is forgotten; a crash is no failure.
  if (event.type === 'ActionAttemptFailed') attempts.delete(event.data.key)
  if (event.type !== 'FactRecorded') return
  const { key, scope, actionKey, requestHash, value } = event.data
  if (scope === 'run') run.set(key, { requestHash, value })
  else
    attempts.set(
      actionKey,
      (attempts.get(actionKey) ?? new Map<string, RecordedFact>()).set(key, { requestHash, value }),
    )
}
