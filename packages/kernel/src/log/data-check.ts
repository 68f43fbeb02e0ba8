import { z } from 'zod'
import { eventSchemas, type EventType } from './event-data.ts'

const compiled: Partial<Record<EventType, z.ZodType>> = {}

/** What is wrong first with the data of an event of a type; undefined when nothing is. */
export function wrongIn(type: EventType, data: unknown): z.core.$ZodIssue | undefined {
  // Zod's own compiled form of a schema tells good from bad in a tenth of the time, but not what is bad.
  const schema = (compiled[type] ??= z.compile<z.ZodType>(eventSchemas[type]))
  return z.validate(schema, data) ? undefined : eventSchemas[type].safeParse(data).error?.issues[0]
}
