import { expect, test } from 'vitest'
import { anything, changesIn, entryOf, payloadsOf } from './payload.ts'

const change = (runId: string) => ({ runId, kind: 'posted', dueInMs: 0 }) as const

test('changes go there and back, and those that we have sent ourselves tell nothing', () => {
  const changes = [change('run-1'), { runId: '"\\ 🌊 \ud800', kind: 'moved', dueInMs: null } as const]

  const payloads = payloadsOf('me', changes.map(entryOf))

  expect(payloads.flatMap((payload) => changesIn(payload, 'you'))).toEqual(changes)
  expect(payloads.flatMap((payload) => changesIn(payload, 'me'))).toEqual([])
})

test.for(['x', 'é', '🌊', '\ud800', '"'])(
  'however long the ids, no payload is too long and none is lost: %j',
  (letter) => {
    const changes = Array.from({ length: 200 }, (_, n) => change(`${n}${letter.repeat(n % 100)}`))

    const payloads = payloadsOf('me', changes.map(entryOf))

    expect(Math.max(...payloads.map((payload) => Buffer.byteLength(payload)))).toBeLessThan(8000)
    expect(payloads.flatMap((payload) => changesIn(payload, 'you'))).toEqual(changes)
  },
)

test('a payload takes 7999 bytes and not one more', () => {
  const two = (more: number) => payloadsOf('me', [change('a'), change('x'.repeat(more))].map(entryOf))
  const least = Buffer.byteLength(two(0)[0] ?? '')

  expect(two(7999 - least).map((payload) => Buffer.byteLength(payload))).toEqual([7999])
  expect(two(8000 - least)).toHaveLength(2)
})

test('nothing to tell is no payload', () => {
  expect(payloadsOf('me', [])).toEqual([])
})

test.for(['', '{', '7', '["you", 1]', '["you", ["run-1", "gone", 1]]', '["you", [1, "moved", 1]]'])(
  'what others write into our channel may mean anything: %j',
  (payload) => {
    expect(changesIn(payload, 'me')).toEqual(anything)
  },
)
