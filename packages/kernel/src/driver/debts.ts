import {
  canonicalJson,
  genesis,
  isStoreError,
  isTerminal,
  sealEvent,
  sha256,
  StoreError,
  type Debt,
  type RunCreation,
  type RunRow,
  type SealedEvent,
} from '@varve/store'
import { z } from 'zod'
import { isKernelError } from '../errors.ts'
import { eventSchemas, type EventData } from '../log/event-data.ts'
import { asLogEvent, type LogDraft, type LogEvent } from '../log/log-event.ts'
import { errorInfoOf } from '../policy/action-error.ts'
import { derivedRunId } from '../run/request-draft.ts'
import type { System } from '../run/system.ts'
import { readSystem } from '../views/read-fold.ts'
import { appendSettled, repeatable } from './append.ts'
import type { Environment } from './environment.ts'
import { isParking } from './park.ts'
import { newRun, placeOf, type NewRunOptions } from './new-run.ts'

/** What a run owes another run. Paying twice does no harm, so a debt is paid anew after a crash. */
const debtSchema = z.union([
  /** The run that the event at `seq` starts: a child, or the successor. */
  z.strictObject({ kind: z.literal('start'), seq: z.int() }),
  /** The end of this run, to the one that waits for it. */
  z.strictObject({ kind: z.literal('answer'), runId: z.string(), key: z.string() }),
  /** The news that nobody waits for it any more. */
  z.strictObject({ kind: z.literal('cancel'), runId: z.string() }),
])

type KnownDebt = z.infer<typeof debtSchema>

/** What events make their run owe, given the system that they led to. */
export function debtsOf(system: System, events: readonly LogEvent[]): Debt[] {
  const debts: KnownDebt[] = []
  for (const { type, seq, data } of events) {
    if (type === 'ChildStarted' || type === 'ContinuedAsNew') debts.push({ kind: 'start', seq })
    if (type === 'ItemDropped' && system.closed.get(data.key)?.kind === 'child') {
      debts.push({ kind: 'cancel', runId: derivedRunId(system.runId, data.key) })
    }
  }
  const { terminal, started } = system
  const parent = started?.parent
  // A run that goes on as another one has not ended for whoever waits for it.
  if (terminal === undefined || terminal.type === 'ContinuedAsNew' || parent === undefined) return debts
  // The fold may hold an end that was decided and dropped again; only what is appended counts.
  if (events.some(({ seq }) => seq === system.end.seq)) {
    debts.push({ kind: 'answer', runId: parent.runId, key: parent.key })
  }
  return debts
}

/** Debts that could not be paid here and now, and why the first of them could not. */
export interface Unpaid {
  readonly unpaid: readonly Debt[]
  readonly problem: Error | undefined
}

/**
 * Pays what a run owes: by an idempotent start or post under a derived id. No transaction spans runs. What cannot be paid,
 * such as the start of a run whose workflow is not registered here, keeps nothing else from being paid.
 */
export async function payDebts(env: Environment, system: System, debts: readonly Debt[]): Promise<Unpaid> {
  const unpaid: Debt[] = []
  let problem: Error | undefined
  for (const debt of debts) {
    try {
      await payDebt(env, system, debt)
    } catch (error) {
      // What parks a run: code that is missing or refuses; a full inbox, which is emptied when its run is driven.
      if (!isKernelError(error) && !isParking(error)) throw error
      unpaid.push(debt)
      problem ??= error
    }
  }
  return { unpaid, problem }
}

async function payDebt(env: Environment, system: System, debt: Debt): Promise<void> {
  const known = knownDebt(system.runId, debt)
  if (known.kind === 'start') await startOwed(env, system, known.seq)
  else if (known.kind === 'cancel') await cancelOwed(env, quitterOf(system), known.runId)
  else await post(env, known.runId, `child:${system.runId}`, { type: 'ChildCompleted', data: endOf(system, known.key) })
}

/** @throws StoreError `CORRUPT_LOG`: a later release may know it, which is told so by a run that is parked. */
function knownDebt(runId: string, debt: Debt): KnownDebt {
  const { success, data } = debtSchema.safeParse(debt)
  if (success) return data
  const text = `run ${runId} owes what this release does not know; restore its row from a backup, or drive it with the release that wrote it`
  throw new StoreError('CORRUPT_LOG', text, { runId })
}

async function startOwed(env: Environment, system: System, seq: number): Promise<void> {
  const { runId } = system
  for await (const { type, body } of env.store.events.read(runId, { from: seq, limit: 1 })) {
    const data: unknown = JSON.parse(body)
    if (type === 'ChildStarted') {
      const child = eventSchemas.ChildStarted.parse(data)
      // One that was given up before it could be started is not started any more.
      if (system.open.has(child.key)) await startChild(env, system, child)
    } else await startSuccessor(env, system, eventSchemas.ContinuedAsNew.parse(data))
  }
}

/** A child that cannot be started is a child that failed: its parent decides what to make of it. */
async function startChild(env: Environment, system: System, child: EventData['ChildStarted']): Promise<void> {
  const { key, childRunId: runId, workflow, version, input } = child
  const { runId: parentId, started } = system
  const parent = { runId: parentId, key }
  const definition = env.definitionFor({ runId, workflow, ...(version !== undefined && { version }) })
  try {
    await createOwed(env, newRun(env, definition, input, { runId, parent, ...queued(started) }))
  } catch (error) {
    const isRefused = isKernelError(error, 'INVALID_INPUT') || isStoreError(error, 'NOT_JSON')
    if (!isRefused && !isStoreError(error, 'LIMIT_EXCEEDED')) throw error
    const failed = { key, status: 'failed' as const, error: errorInfoOf(error), headHash: genesis(runId).hash }
    await post(env, parentId, `child:${runId}`, { type: 'ChildCompleted', data: failed })
  }
}

async function startSuccessor(env: Environment, system: System, next: EventData['ContinuedAsNew']): Promise<void> {
  const { started, runId: previous } = system
  const { newRunId: runId, input, version } = next
  const workflow = started?.workflow ?? ''
  const definition = env.definitionFor({ runId, workflow, ...(version !== undefined && { version }) })
  const { parent, tags = [], deadlineAt } = started ?? {}
  const carried = { spent: system.counts, ...(parent && { parent }), ...(deadlineAt !== undefined && { deadlineAt }) }
  // What was sent to the one before, and taken by no wait of it, was sent to whatever it goes on as.
  const signals = system.signals.map((data): LogDraft => ({ type: 'SignalReceived', data }))
  await createOwed(
    env,
    newRun(env, definition, input, { runId, previous, tags, ...queued(started), ...carried }),
    signals,
  )
  if (parent !== undefined && (await hasEnded(env, parent.runId))) {
    await cancelOwed(env, { runId: parent.runId, hasEnded: true }, runId)
  }
}

/** Whoever has ended waits for nobody; it may have found a child that could not go on then. */
async function hasEnded(env: Environment, runId: string): Promise<boolean> {
  const row = await repeatable(env, () => env.store.runs.find(runId))
  return row === undefined || isTerminal(row.status)
}

/** What a run starts waits where the run itself has waited. */
function queued(started: System['started']): Pick<NewRunOptions, 'queue' | 'priority' | 'concurrencyKey'> {
  return { queue: started?.queue ?? 'default', ...placeOf(started ?? {}) }
}

interface OwedRun {
  readonly runId: string
  readonly started: LogDraft
  readonly row: RunCreation
}

/** @param following - events that stand behind its first one from the beginning. */
async function createOwed(
  env: Environment,
  { runId, started, row }: OwedRun,
  following: readonly LogDraft[] = [],
): Promise<void> {
  const at = env.clock.now()
  const events = [sealEvent(runId, genesis(runId), started, at, env.limits)]
  for (const draft of following)
    events.push(sealEvent(runId, (events.at(-1) as SealedEvent).stored, draft, at, env.limits))
  const run = { status: 'running', blockedOn: [], wakeAt: 0, create: row } as const
  const stored = events.map((event) => event.stored)
  try {
    await appendSettled(env, runId, stored, { expectedHead: 0, fencingToken: 0, run })
    env.committed(runId, events.map(asLogEvent))
  } catch (error) {
    // Started before: the id is derived, so it is the same run.
    if (!isStoreError(error, 'HEAD_CONFLICT')) throw error
  }
  env.moved(runId)
}

function quitterOf({ runId, terminal }: System): Quitter {
  return { runId, hasEnded: terminal !== undefined }
}

/** Who has given a run up. */
interface Quitter {
  readonly runId: string
  /** True once it is not moved any more: then nobody could try again. */
  readonly hasEnded: boolean
}

async function cancelOwed(env: Environment, by: Quitter, runId: string): Promise<void> {
  const data = { reason: 'nobody waits for it any more', by: `run ${by.runId}` }
  await post(env, runId, `parent:${by.runId}`, { type: 'CancelRequested', data })
  const row = await repeatable(env, () => env.store.runs.find(runId))
  if (row?.status !== 'continued') return
  const successor = derivedRunId(runId, '\n')
  // It may not be there yet to be told: then it is started here, and found there by the run that owes its start.
  const isThere = (await repeatable(env, () => env.store.runs.find(successor))) !== undefined
  if (isThere || (await isStarted(env, by, row))) await cancelOwed(env, by, successor)
}

/** False for a successor that cannot be started now, and is canceled by whoever starts it: whoever has ended waits for nothing. */
async function isStarted(
  env: Environment,
  by: Quitter,
  { runId, head }: Pick<RunRow, 'runId' | 'head'>,
): Promise<boolean> {
  try {
    await startOwed(env, await readSystem(env.store, runId), head)
    return true
  } catch (error) {
    if (!by.hasEnded || !(isKernelError(error) || isParking(error))) throw error
    return false
  }
}

function endOf(system: System, key: string): EventData['ChildCompleted'] {
  const { terminal, end } = system
  const base = { key, headHash: end.hash }
  if (terminal?.type === 'Completed') return { ...base, status: 'completed', output: terminal.output }
  if (terminal?.type === 'Failed') return { ...base, status: 'failed', error: terminal.error }
  return { ...base, status: 'canceled' }
}

/** A run that is not there, or has ended, needs to be told nothing. */
async function post(env: Environment, runId: string, id: string, { type, data }: LogDraft): Promise<void> {
  const body = canonicalJson(data)
  const postId = id.length <= 200 ? id : sha256(id)
  try {
    const draft = { id: postId, type, body }
    await repeatable(env, () => env.store.inbox.post(runId, draft, { maxWaiting: env.limits.waitingPosts }))
  } catch (error) {
    if (!isStoreError(error, 'RUN_NOT_FOUND') && !isStoreError(error, 'RUN_TERMINAL')) throw error
    return
  }
  env.moved(runId)
}
