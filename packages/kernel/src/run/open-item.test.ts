import { canonicalJson, type Json } from '@varve/store'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openedItem, type OpeningEvent } from './open-item.ts'

test('a request opens the same item whether its text is known or not', () => {
  const anyInput = fc.jsonValue({ stringUnit: 'binary' }).filter(isWritable)
  const label = fc.option(fc.string({ unit: 'binary' }), { nil: undefined })
  const data = fc.record({
    ...{ key: fc.string({ unit: 'binary' }), action: fc.string({ unit: 'binary' }), input: anyInput },
    ...{ effect: fc.constantFrom('pure', 'idempotent', 'at-most-once'), tool: label, provider: label },
  })
  fc.assert(
    fc.property(data, ({ tool, provider, ...rest }) => {
      const labels = { ...(tool !== undefined && { tool }), ...(provider !== undefined && { provider }) }
      const recorded = JSON.parse(JSON.stringify({ ...rest, ...labels })) as Json
      const event = { type: 'ActionRequested', seq: 2, at: 0, hash: 'h', data: recorded } as unknown as OpeningEvent

      expect(openedItem(event, canonicalJson(recorded))).toEqual(openedItem(event))
    }),
  )
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
