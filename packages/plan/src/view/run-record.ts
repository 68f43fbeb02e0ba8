import type { ArtifactRef, LogEvent } from '@varve/kernel'
import { itemKeyOf } from '@varve/kernel/stepper'
import type { Json } from '@varve/store'
import { outcomeOf, type Failure } from '../schedule/outcome.ts'
import type { PlanInput } from '../schedule/plan-input.ts'
import type { StateResult } from '../schedule/requests.ts'

/** What the log says of one item of a run: an execution, a question, a child run. */
export interface ItemRecord {
  readonly key: string
  /** Seq of the event that asked for it. */
  readonly seq: number
  /** What it was asked for with. */
  readonly input: Json
  /** When it was asked for, Unix milliseconds. */
  readonly startedAt: number
  attempts: number
  /** Seq of the event that closed it. */
  closedSeq?: number
  endedAt?: number
  output?: Json
  error?: Failure
  /** True when its result is another run's, by a fork. */
  reused: boolean
  /** The run that its result was taken over from. */
  reusedFrom?: string
  /** True when it waits for a person or a child run. */
  readonly waits: boolean
  /** The run that it started. */
  readonly childRunId?: string
  /** True when it was given up before it had begun. */
  notStarted?: true
}

/** What the log of a run of a plan says, without the code of the plan. */
export interface RunRecord {
  readonly runId: string
  /** The run that it was forked from. */
  forkedFrom?: string
  input?: PlanInput
  readonly items: Map<string, ItemRecord>
  end?: { readonly status: 'completed' | 'failed' | 'canceled' | 'continued'; readonly error?: Failure }
  /** Seq and time of the last event. */
  seq: number
  at: number
}

/** A run before its first event. */
export function emptyRecord(runId: string): RunRecord {
  return { runId, items: new Map(), seq: 0, at: 0 }
}

/** Moves a record by one event. @returns the key of the item that it is about. */
export function recordEvent(record: RunRecord, event: LogEvent): string | undefined {
  const { seq, at } = event
  record.seq = seq
  record.at = at
  switch (event.type) {
    case 'RunStarted':
      record.input = event.data.input as unknown as PlanInput
      return undefined
    case 'RunForked':
      record.forkedFrom = event.data.fromRunId
      for (const [key, { closedSeq }] of record.items) if (closedSeq === undefined) record.items.delete(key)
      return undefined
    case 'ActionRequested':
      return open(record, event.data.key, event.data.input, event, {})
    case 'ChildStarted': {
      const { key, input, childRunId } = event.data
      return open(record, key, input, event, { waits: true, childRunId })
    }
    case 'Interrupted':
      return open(record, event.data.key, event.data.value, event, { waits: true })
    case 'ItemDropped': {
      const item = record.items.get(event.data.key)
      if (item !== undefined && event.data.outcome === 'not started') item.notStarted = true
      return event.data.key
    }
    case 'ActionReused':
    case 'ActionDenied':
      open(record, event.data.key, event.data.input, event, {})
      return close(record, event)
    case 'ActionAttemptStarted': {
      const item = record.items.get(event.data.key)
      if (item !== undefined) item.attempts = event.data.attempt
      return event.data.key
    }
    case 'Completed':
      record.end = { status: 'completed' }
      return undefined
    case 'Failed':
      record.end = { status: 'failed', error: failureOf(event.data.error) }
      return undefined
    case 'Canceled':
      record.end = { status: 'canceled' }
      return undefined
    case 'ContinuedAsNew':
      record.end = { status: 'continued' }
      return undefined
    default:
      return close(record, event) ?? itemKeyOf(event)
  }
}

/** The output that an execution's record names. */
export function resultOf(item: ItemRecord | undefined): StateResult | undefined {
  const output = item?.output
  if (typeof output !== 'object' || output === null || Array.isArray(output) || !('artifact' in output))
    return undefined
  return output as unknown as StateResult
}

/** The artifact that an execution has made. */
export function artifactOf(item: ItemRecord | undefined): ArtifactRef | undefined {
  return resultOf(item)?.artifact
}

function open(
  record: RunRecord,
  key: string,
  input: Json,
  { seq, at }: LogEvent,
  more: Partial<Pick<ItemRecord, 'waits' | 'childRunId'>>,
): string {
  record.items.set(key, { key, seq, input, startedAt: at, attempts: 0, reused: false, waits: false, ...more })
  return key
}

function close(record: RunRecord, event: LogEvent): string | undefined {
  const closed = outcomeOf(event)
  const item = record.items.get(closed?.key ?? '')
  if (closed === undefined || item === undefined) return undefined
  item.closedSeq = event.seq
  item.endedAt = event.at
  if ('error' in closed.outcome) item.error = closed.outcome.error
  else item.output = closed.outcome.output
  if (event.type === 'ActionReused') {
    item.reused = true
    if ('runId' in event.data.from) item.reusedFrom = event.data.from.runId
  }
  if (event.type === 'ActionSucceeded' || event.type === 'ActionFailed') item.attempts = event.data.attempts
  return closed.key
}

function failureOf({ message, code }: { readonly message: string; readonly code?: string | undefined }): Failure {
  return { message, ...(code !== undefined && { code }) }
}
