import type { Json } from '@varve/store'
import { z } from 'zod'

/** Any JSON value; what was parsed from JSON needs no further look inside. */
const json = z.custom<Json>((value) => value !== undefined)
const key = z.string().min(1).max(200)
const attempt = z.int().min(1)
const by = z.string().max(1000).optional()

const errorInfo = z.strictObject({
  message: z.string(),
  kind: z.enum(['transient', 'permanent', 'rate-limited']),
  name: z.string().optional(),
  code: z.string().optional(),
  retryAfterMs: z.number().min(0).optional(),
})

/** The shape of each event's data, by type. This is the grammar of the log, format 1. */
export const eventSchemas = {
  RunStarted: z.strictObject({
    workflow: z.string(),
    version: z.string(),
    input: json,
    seed: z.string(),
    tags: z.array(z.string()),
    queue: z.string(),
  }),
  StateUpdated: z.strictObject({ stepId: z.string().optional(), payload: json }),
  DomainEvent: z.strictObject({ name: z.string(), payload: json, stepId: z.string().optional() }),
  ActionRequested: z.strictObject({ key, action: z.string(), input: json, effect: z.enum(['pure', 'idempotent']) }),
  ActionAttemptStarted: z.strictObject({ key, attempt }),
  ActionAttemptFailed: z.strictObject({ key, attempt, error: errorInfo, retryAt: z.number() }),
  ActionAttemptAbandoned: z.strictObject({ key, attempt }),
  ActionSucceeded: z.strictObject({ key, output: json, attempts: attempt }),
  ActionFailed: z.strictObject({ key, error: errorInfo, attempts: attempt }),
  ActionDenied: z.strictObject({ key, action: z.string(), input: json, policy: z.string(), reason: z.string() }),
  Interrupted: z.strictObject({ key, kind: z.string(), value: json }),
  Resumed: z.strictObject({ key, value: json, by }),
  ItemDropped: z.strictObject({ key, outcome: z.enum(['not started', 'unknown']) }),
  Completed: z.strictObject({ output: json }),
  Failed: z.strictObject({ error: errorInfo, by: z.enum(['step', 'kernel']) }),
} as const

/** What kinds of events a log holds. */
export type EventType = keyof typeof eventSchemas

/** The data of each type of event. */
export type EventData = { readonly [T in EventType]: Readonly<z.infer<(typeof eventSchemas)[T]>> }

/** How an error stands in the log. */
export type ErrorInfo = Readonly<z.infer<typeof errorInfo>>

/** True for a type of event that this release knows. */
export function isEventType(type: string): type is EventType {
  return Object.hasOwn(eventSchemas, type)
}

/** Events that follow from the step: `verify` asks the code for them again. All others are inputs. */
const DECISIONS: ReadonlySet<string> = new Set<EventType>([
  'StateUpdated',
  'DomainEvent',
  'ActionRequested',
  'ActionDenied',
  'Interrupted',
  'ItemDropped',
  'Completed',
  'Failed',
])

/** True for events that the step decides, false for those that reach it from outside. */
export function isDecision(type: EventType): boolean {
  return DECISIONS.has(type)
}
