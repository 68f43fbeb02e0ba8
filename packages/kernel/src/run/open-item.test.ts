import { canonicalJson, type Json } from '@varve/store'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openedItem, type OpeningEvent } from './open-item.ts'

test('a request opens the same item whether its text is known or not', () => {
  // Some look like what stands around an input.
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('","key":"k"}', ',"effect":"pure","input":', '{"action":"a', '"', '\\', ',"key":"a","tool":"t"}'),
  )
  const lookalike = fc.record({
    action: text,
    effect: fc.constant('pure'),
    input: text,
    key: text,
    provider: text,
    tool: text,
  })
  const anyInput = fc.oneof(fc.jsonValue({ stringUnit: 'binary' }).filter(isWritable), text, lookalike)
  const label = fc.option(text, { nil: undefined })
  const data = fc.record({
    ...{ key: text, action: text, input: anyInput },
    ...{ effect: fc.constantFrom('pure', 'idempotent', 'at-most-once'), tool: label, provider: label },
  })
  fc.assert(
    fc.property(data, ({ tool, provider, ...rest }) => {
      const labels = { ...(tool !== undefined && { tool }), ...(provider !== undefined && { provider }) }
      const recorded = JSON.parse(JSON.stringify({ ...rest, ...labels })) as Json
      const event = { type: 'ActionRequested', seq: 2, at: 0, hash: 'h', data: recorded } as unknown as OpeningEvent

      expect(openedItem(event, canonicalJson(recorded))).toEqual(openedItem(event))
    }),
    { numRuns: 500 },
  )
})

test('the text of a request in another order is not taken apart', () => {
  const data = { action: 'a', effect: 'pure', input: { long: 'x'.repeat(100) }, key: 'k' } as const
  const event = { type: 'ActionRequested', seq: 2, at: 0, hash: 'h', data } as OpeningEvent
  const { action, effect, input, key } = data

  for (const other of [
    { key, action, effect, input },
    { action, input, effect, key },
    { effect, input, key, action },
    { action, effect, input, other: 1, key: 'other' },
  ]) {
    expect(openedItem(event, JSON.stringify(other))).toEqual(openedItem(event))
  }
})

/** A log holds no integers beyond 2^53 - 1. */
function isWritable(value: unknown): boolean {
  try {
    canonicalJson(value)
    return true
  } catch {
    return false
  }
}
