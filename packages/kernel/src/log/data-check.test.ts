import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { wrongIn } from './data-check.ts'
import { eventSchemas, type EventType } from './event-data.ts'

const types = Object.keys(eventSchemas) as EventType[]

const error = { message: 'no', kind: 'permanent' }
const spent = { requests: 1, attempts: 1, turns: 1, usage: { tokens: 2 }, startedAt: 1.5 }

/** Something for every field, and much at the edge of what one takes: a schema counts code points, not units. */
const values: readonly unknown[] = [
  ...['', 'a', '😀', 'a'.repeat(200), 'a'.repeat(201), '😀'.repeat(200), '😀'.repeat(201), '😀'.repeat(1000)],
  ...['a'.repeat(1001), 'pure', 'run', 'attempt', 'completed', 'not started', 'unknown', 'step', 'kernel', 'maybe'],
  ...[0, 1, -1, 0.5, 2 ** 53 - 1, 2 ** 53, 1e300, true, null, [], ['a'], [1], {}, { a: 1 }, { a: -1 }, { a: 'b' }],
  ...[error, { ...error, retryAfterMs: -1 }, { ...error, more: 1 }, { message: 'no', kind: 'odd' }, { message: 'no' }],
  ...[spent, { ...spent, turns: 0.5 }, { ...spent, usage: null }],
  ...[
    { runId: 'r', key: 'k' },
    { runId: 'r', key: '' },
    { runId: 'r', seq: 1 },
    { runId: 'r', seq: 0 },
  ],
]

/** Data of a type, mostly right in each of its fields. */
function dataOf(type: EventType): fc.Arbitrary<unknown> {
  const fields = Object.entries(eventSchemas[type].shape as Record<string, z.ZodType>).map(([name, schema]) => {
    const fitting = values.filter((value) => schema.safeParse(value).success)
    const value = fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(...fitting) },
      { weight: 1, arbitrary: fc.constantFrom(...values, undefined) },
    )
    return value.map((chosen) => [name, chosen] as const)
  })
  const more = fc.constantFrom<(readonly [string, unknown])[]>([], [], [], [], [['more', 1]], [['__proto__', null]])
  const object = fc.tuple(fc.tuple(...fields), more).map(([own, extra]) => Object.fromEntries([...own, ...extra]))
  // As it comes out of a log: what is undefined is not there.
  return object.map((data) => JSON.parse(JSON.stringify(data)) as unknown)
}

const ofAnyType = fc.oneof(...types.map(dataOf))
const noObject = fc.constantFrom(null, [], 'data', 1)

test.each(types)('%s has the shape that its schema says, and what is wrong is what the schema finds first', (type) => {
  const data = fc.oneof({ weight: 8, arbitrary: dataOf(type) }, { weight: 2, arbitrary: ofAnyType }, noObject)
  fc.assert(
    fc.property(data, (data) => {
      expect(wrongIn(type, data)).toEqual(eventSchemas[type].safeParse(data).error?.issues[0])
    }),
    { numRuns: 300 },
  )
})

test.each(types)('the schema of %s can be compiled: every reading of a log waits for it', (type) => {
  expect(() => z.compile<z.ZodType>(eventSchemas[type], { strict: true })).not.toThrow()
})
