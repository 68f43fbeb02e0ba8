import { canonicalJson } from '@varve/store'
import { expect, test } from 'vitest'
import { fingerprintOfText } from './item.ts'
import { openedItem, type OpeningEvent } from './open-item.ts'

test.for([{ n: 1 }, { text: 'x'.repeat(100) }, { text: 'x'.repeat(5000) }])(
  'a request opens the same item whether the text of its input is known or not',
  (input) => {
    const data = { action: 'a', effect: 'pure', input, key: 'k' } as const
    const event = { type: 'ActionRequested', seq: 2, at: 0, hash: 'h', data } as OpeningEvent

    expect(openedItem(event, canonicalJson(input))).toEqual(openedItem(event))
    expect(fingerprintOfText(openedItem(event).fingerprint)).toBe(fingerprintOfText(canonicalJson(input)))
  },
)
