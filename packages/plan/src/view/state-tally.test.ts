import { expect, test } from 'vitest'
import type { ItemRecord } from './run-record.ts'
import { StateTally } from './state-tally.ts'

const asked: Omit<ItemRecord, 'key'> = { seq: 2, input: null, startedAt: 1, attempts: 0, reused: false, waits: false }
const closed = { closedSeq: 3, endedAt: 2, attempts: 1 }

function tallyOf(id: string, items: readonly ItemRecord[]): StateTally {
  const tally = new StateTally(id)
  for (const item of items) tally.take(item)
  return tally
}

test('a map has failed when a stretch of its list cannot be read, whatever the others list', () => {
  const listed = { items: [{ key: 'n0', value: 0 }] }
  const tally = tallyOf('map', [
    { ...asked, ...closed, key: 'map:items', output: { items: [], stretches: [] } },
    { ...asked, ...closed, key: 'map:items:0', output: listed },
    { ...asked, ...closed, key: 'map:items:1', error: { message: 'gone' } },
  ])

  expect(tally.hasFailed).toBe(true)
  expect(tally.items).toMatchObject({ done: 0, total: 1 })
})

test('an execution that was given up before it had begun was not attempted', () => {
  expect(tallyOf('a', [{ ...asked, key: 'a' }]).attempts).toBe(1)
  expect(tallyOf('a', [{ ...asked, key: 'a', notStarted: true }]).attempts).toBe(0)
})
