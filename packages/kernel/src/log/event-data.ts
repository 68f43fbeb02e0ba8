import type { Json } from '@varve/store'
import { z } from 'zod'
import { EFFECTS } from '../workflow/action.ts'

/** Any JSON value; what was parsed from JSON needs no further look inside. */
export const jsonSchema = z.custom<Json>((value) => value !== undefined)
const json = jsonSchema
/** So many UTF-16 code units has a key at most. */
export const MAX_KEY = 200

const key = z.string().min(1).max(MAX_KEY)
const attempt = z.int().min(1)
const by = z.string().max(1000).optional()
/** Unix milliseconds. */
const instant = z.number()

/** How an error stands in the log. */
export const errorInfoSchema = z.strictObject({
  message: z.string(),
  kind: z.enum(['transient', 'permanent', 'rate-limited']),
  name: z.string().optional(),
  code: z.string().optional(),
  retryAfterMs: z.number().min(0).optional(),
})

const errorInfo = errorInfoSchema
/** What handlers reported to have used, by name. */
const usage = z.record(z.string(), z.number().min(0))
const count = z.int().min(0)
/** What a run has spent since the first run of its chain started. */
const countsSchema = z.strictObject({ requests: count, attempts: count, turns: count, usage, startedAt: instant })
/** What an action is a use of, as it was labeled when it was asked for. */
const labels = { tool: z.string().optional(), provider: z.string().optional() }

/** The shape of each event's data, by type. This is the grammar of the log, format 1. */
export const eventSchemas = {
  RunStarted: z.strictObject({
    workflow: z.string(),
    version: z.string(),
    input: json,
    seed: z.string(),
    tags: z.array(z.string()),
    queue: z.string(),
    priority: z.int().min(-100).max(100).optional(),
    concurrencyKey: key.optional(),
    /** When it is to begin; absent or past for at once. */
    startAt: z.int().min(0).optional(),
    parent: z.strictObject({ runId: z.string(), key }).optional(),
    previous: z.string().optional(),
    deadlineAt: instant.optional(),
    spent: countsSchema.optional(),
  }),
  StateUpdated: z.strictObject({ stepId: z.string().optional(), payload: json }),
  DomainEvent: z.strictObject({ name: z.string(), payload: json, stepId: z.string().optional() }),
  ActionRequested: z.strictObject({
    key,
    action: z.string(),
    input: json,
    effect: z.enum(EFFECTS),
    ...labels,
  }),
  ActionAttemptStarted: z.strictObject({ key, attempt }),
  ActionAttemptFailed: z.strictObject({ key, attempt, error: errorInfo, retryAt: z.number(), usage: usage.optional() }),
  ActionAttemptAbandoned: z.strictObject({
    key,
    attempt,
    /** Code of what kept the handler from being called; absent where it may have been. */
    notExecuted: z.string().optional(),
  }),
  ActionInDoubt: z.strictObject({ key, attempt, reason: z.string() }),
  ActionSucceeded: z.strictObject({ key, output: json, attempts: attempt, by, usage: usage.optional() }),
  ActionFailed: z.strictObject({ key, error: errorInfo, attempts: attempt, by, usage: usage.optional() }),
  ActionDenied: z.strictObject({
    key,
    action: z.string(),
    input: json,
    policy: z.string(),
    reason: z.string(),
    code: z.string().optional(),
    ...labels,
  }),
  ActionReused: z.strictObject({
    key,
    action: z.string(),
    input: json,
    output: json,
    attempts: attempt,
    from: z.strictObject({ runId: z.string(), seq: z.int().min(1) }),
  }),
  FactRecorded: z.strictObject({
    key,
    scope: z.enum(['run', 'attempt']),
    actionKey: key,
    requestHash: z.string(),
    value: json,
  }),
  TimerStarted: z.strictObject({ key, fireAt: instant }),
  TimerFired: z.strictObject({ key }),
  SignalReceived: z.strictObject({ signalId: z.string(), name: z.string(), value: json, by }),
  WaitStarted: z.strictObject({ key, signal: z.string(), fireAt: instant.optional() }),
  SignalDelivered: z.strictObject({ key, signalId: z.string(), value: json }),
  WaitTimedOut: z.strictObject({ key }),
  Interrupted: z.strictObject({ key, kind: z.string(), value: json, fireAt: instant.optional() }),
  Resumed: z.strictObject({ key, value: json, by }),
  InterruptExpired: z.strictObject({ key }),
  ChildStarted: z.strictObject({
    key,
    childRunId: z.string(),
    workflow: z.string(),
    version: z.string().optional(),
    input: json,
  }),
  ChildCompleted: z.strictObject({
    key,
    status: z.enum(['completed', 'failed', 'canceled', 'continued']),
    output: json.optional(),
    error: errorInfo.optional(),
    headHash: z.string(),
  }),
  ItemDropped: z.strictObject({ key, outcome: z.enum(['not started', 'unknown']) }),
  Migrated: z.strictObject({ fromVersion: z.string(), toVersion: z.string() }),
  RunForked: z.strictObject({
    fromRunId: z.string(),
    atSeq: z.int().min(1),
    fromHash: z.string(),
    edited: z.boolean().optional(),
    reuse: z.boolean().optional(),
  }),
  CancelRequested: z.strictObject({
    reason: z.string(),
    by,
    code: z.string().optional(),
    graceUntil: instant.optional(),
  }),
  Completed: z.strictObject({ output: json }),
  Failed: z.strictObject({ error: errorInfo, by: z.enum(['step', 'kernel']) }),
  Canceled: z.strictObject({ reason: z.string() }),
  ContinuedAsNew: z.strictObject({ newRunId: z.string(), input: json, version: z.string().optional() }),
} as const

/** What kinds of events a log holds. */
export type EventType = keyof typeof eventSchemas

/** The data of each type of event. */
export type EventData = { readonly [T in EventType]: Readonly<z.infer<(typeof eventSchemas)[T]>> }

/** How an error stands in the log. */
export type ErrorInfo = Readonly<z.infer<typeof errorInfo>>

/** Counts of what a run has spent, as they stand in the log. */
export type Counts = Readonly<z.infer<typeof countsSchema>>

const TYPES: ReadonlyMap<string, EventType> = new Map(
  Object.keys(eventSchemas).map((type) => [type, type as EventType]),
)

/**
 * The type of event of this name, undefined when this release does not know it. A name that was read is a text of its own, which
 * takes longer to be told from others each time than this one.
 */
export function eventTypeOf(name: string): EventType | undefined {
  return TYPES.get(name)
}

/** Events that follow from the step, or are forced by the log itself: the code is asked for them again. All others are inputs. */
const DECISIONS: ReadonlySet<string> = new Set<EventType>([
  'StateUpdated',
  'DomainEvent',
  'ActionRequested',
  'ActionDenied',
  'ActionReused',
  'TimerStarted',
  'WaitStarted',
  'SignalDelivered',
  'Interrupted',
  'ChildStarted',
  'ItemDropped',
  'Completed',
  'Failed',
  'Canceled',
  'ContinuedAsNew',
])

/** True for events that the step decides, false for those that reach it from outside. */
export function isDecision(type: EventType): boolean {
  return DECISIONS.has(type)
}
