import {
  checkContentIds,
  checkId,
  isTerminal,
  StoreError,
  type AppendOptions,
  type AppendResult,
  type EventStore,
  type ReadRange,
  type RunCreation,
  type RunUpdate,
  type StoredEvent,
  checkLease,
  checkContinuation,
  checkPriority,
  checkWhole,
} from '@varve/store'
import { frozenCopy } from './frozen-copy.ts'
import type { Memory } from './memory.ts'
import { applyUpdate, giveLease, dueInMsOf, newRecord, type RunDraft, type RunRecord } from './run-record.ts'

/** The logs. */
export function memoryEvents(memory: Memory): EventStore {
  return {
    append: async (runId, events, options) => append(memory, runId, events, options),
    read: (runId, range) => read(memory, runId, range),
  }
}

function append(memory: Memory, runId: string, events: readonly StoredEvent[], given: AppendOptions): AppendResult {
  memory.checkOpen()
  checkRunIds(runId, given.run)
  const { create: asked } = given.run
  if (given.release === true && asked !== undefined && asked.lease === undefined) {
    throw new StoreError('INVALID_ARGUMENT', 'a new run has no lease to release', { runId })
  }
  checkContinuation(runId, events, given.expectedHead)
  // Copied before anything is changed: a value that cannot be copied must not leave half an append behind.
  const options = frozenCopy(given)
  const added = events.map(envelope)
  const { create } = options.run

  const run = create === undefined ? memory.get(runId) : newRun(memory, runId, create, options)
  if (create === undefined) checkWriter(run, options)
  const gone = new Set([...(options.take ?? []), ...(options.reject ?? []).map(({ id }) => id)])
  const stays = [...run.waiting.keys()].some((id) => !gone.has(id))
  if (isTerminal(options.run.status) && stays) {
    throw new StoreError('INBOX_PENDING', `posts wait for run ${runId}; take or reject them before it ends`, { runId })
  }

  // From here on nothing throws: all of it happens, or none of it did.
  const now = memory.now()
  const result = memory.change(run, (draft) => commit(draft, added, options, now))
  memory.notify({ runId, kind: 'moved', dueInMs: dueInMsOf(run, now) })
  return result
}

/** @throws StoreError `HEAD_CONFLICT` for a second create, `RUN_NOT_FOUND` for a create that expects a log. */
function newRun(memory: Memory, runId: string, create: RunCreation, options: AppendOptions): RunRecord {
  if (memory.find(runId) !== undefined) throw new StoreError('HEAD_CONFLICT', `run ${runId} exists`, { runId })
  if (options.expectedHead !== 0 || options.fencingToken !== 0) memory.get(runId)
  return newRecord(runId, create, memory.now())
}

function checkWriter(run: RunRecord, options: AppendOptions): void {
  const { runId, events } = run
  if (run.lease === undefined || run.token !== options.fencingToken) {
    throw new StoreError('FENCED', `token ${options.fencingToken} is not that of the lease on run ${runId}`, { runId })
  }
  if (events.length !== options.expectedHead) {
    const text = `run ${runId} ends at seq ${events.length}, expected ${options.expectedHead}`
    throw new StoreError('HEAD_CONFLICT', text, { runId })
  }
}

function commit(run: RunDraft, added: readonly StoredEvent[], options: AppendOptions, now: number): AppendResult {
  for (const event of added) {
    run.events.push(event)
    run.format = Math.max(run.format, event.v)
  }
  for (const id of options.take ?? []) {
    if (run.waiting.delete(id)) run.taken.add(id)
  }
  for (const { id, error } of options.reject ?? []) {
    const kept = run.waiting.get(id)
    if (kept !== undefined) {
      const behind = run.rejected.findLastIndex(({ number }) => number < kept.number)
      run.rejected.splice(behind + 1, 0, { ...kept, error })
    }
    run.waiting.delete(id)
  }
  applyUpdate(run, options.run, now)
  run.problem = undefined
  const lease = options.run.create?.lease
  const claim = lease && giveLease(run, lease.owner, lease.leaseMs, now)
  const isOver = isTerminal(run.status) && run.owes.length === 0
  if (isOver || (options.release === true && run.waiting.size === 0)) run.lease = undefined
  return { waiting: run.waiting.size, ...(claim !== undefined && options.release !== true && { claim }) }
}

async function* read(memory: Memory, runId: string, range: ReadRange = {}): AsyncGenerator<StoredEvent> {
  memory.checkOpen()
  const { from = 1, to = Number.MAX_SAFE_INTEGER, limit = Number.MAX_SAFE_INTEGER } = range
  checkWhole('from', from, 0)
  checkWhole('to', to, 0)
  checkWhole('limit', limit, 0)
  const first = Math.max(from, 1)
  const last = Math.min(to, first + limit - 1)
  // Not `yield*`, which takes twice as long for the values of an array.
  for (const event of memory.find(runId)?.events.slice(first - 1, last) ?? []) yield event
}

function checkRunIds(runId: string, { create, version: newVersion, wakeAt, artifacts = [] }: RunUpdate): void {
  checkId('the run id', runId)
  checkContentIds(artifacts, 0)
  if (wakeAt !== null) checkWhole('wakeAt', wakeAt, 0)
  if (newVersion !== undefined) checkNewVersion(runId, newVersion, create)
  if (create === undefined) return
  const { workflow, version, tags, queue, priority = 0, concurrencyKey, parent, lease } = create
  for (const [what, id] of Object.entries({ workflow, version, queue })) checkId(what, id)
  for (const tag of tags) checkId('a tag', tag)
  checkPriority(priority)
  if (concurrencyKey !== undefined) checkId('the concurrency key', concurrencyKey)
  if (parent !== undefined) checkId('parent', parent)
  if (lease !== undefined) checkLease(lease.owner, lease.leaseMs)
}

function checkNewVersion(runId: string, version: string, create: RunCreation | undefined): void {
  checkId('the version', version)
  if (create !== undefined) throw new StoreError('INVALID_ARGUMENT', 'a new run has the version of create', { runId })
}

/** The envelope and nothing else that the object may carry. */
function envelope({ runId, seq, v, type, at, body, hash }: StoredEvent): StoredEvent {
  return Object.freeze({ runId, seq, v, type, at, body, hash })
}
