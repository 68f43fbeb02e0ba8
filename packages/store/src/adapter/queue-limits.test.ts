import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isStoreError } from '../errors.ts'
import type { QueueClaim } from '../ports/run-store.ts'
import { admitRuns, checkQueues, heldBack, isLimited, takeTurns, type DueRun, type QueueUse } from './queue-limits.ts'

const unused: QueueUse = { leased: 0, leasedByKey: new Map(), begun: 0 }

const limit = fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined })
const queues: fc.Arbitrary<QueueClaim> = fc
  .record({ concurrency: limit, concurrencyPerKey: limit, rate: limit })
  .map(({ concurrency, concurrencyPerKey, rate }) => ({
    name: 'q',
    ...(concurrency !== undefined && { concurrency }),
    ...(concurrencyPerKey !== undefined && { concurrencyPerKey }),
    ...(rate !== undefined && { rate: { limit: rate, periodMs: 1000 } }),
  }))
const dueRuns: fc.Arbitrary<readonly DueRun[]> = fc.array(
  fc.record({ concurrencyKey: fc.constantFrom(null, 'a', 'b'), token: fc.integer({ min: 0, max: 1 }) }),
  { maxLength: 30 },
)

/** Counts that the given leases bring about. */
function useOf(leased: readonly DueRun[]): QueueUse {
  const leasedByKey = new Map<string, number>()
  for (const { concurrencyKey: key } of leased) if (key !== null) leasedByKey.set(key, (leasedByKey.get(key) ?? 0) + 1)
  return { leased: leased.length, leasedByKey, begun: leased.filter(({ token }) => token === 0).length }
}

test('no limit is ever exceeded, and no run is held back without one', () => {
  fc.assert(
    fc.property(queues, dueRuns, fc.integer({ min: 1, max: 40 }), (queue, due, room) => {
      const { concurrency = Infinity, concurrencyPerKey = Infinity, rate } = queue

      const { admitted } = admitRuns(queue, unused, due, room)

      const use = useOf(admitted)
      expect(use.leased).toBeLessThanOrEqual(Math.min(concurrency, room))
      expect(Math.max(0, ...use.leasedByKey.values())).toBeLessThanOrEqual(concurrencyPerKey)
      if (rate !== undefined) expect(use.begun).toBeLessThanOrEqual(rate.limit)
      const isFull = use.leased >= Math.min(concurrency, room)
      const held = due.filter((run) => !admitted.includes(run))
      for (const { concurrencyKey: key, token } of isFull ? [] : held) {
        const ofKey = key === null ? 0 : (use.leasedByKey.get(key) ?? 0)
        expect(ofKey >= concurrencyPerKey || (token === 0 && rate !== undefined && use.begun >= rate.limit)).toBe(true)
      }
    }),
  )
})

test('runs read page by page, without what is held back, are admitted as if they were read at once', () => {
  fc.assert(
    fc.property(queues, dueRuns, fc.integer({ min: 1, max: 4 }), (queue, due, size) => {
      const paged: DueRun[] = []
      let use = unused
      let rest = due
      for (;;) {
        const held = heldBack(queue, use)
        const page = rest
          .filter(
            ({ concurrencyKey: key, token }) =>
              !held.all && (key === null || !held.keys.includes(key)) && (token > 0 || !held.unbegun),
          )
          .slice(0, size)
        if (page.length === 0) break
        const step = admitRuns(queue, use, page, Infinity)
        expect(step.admitted.length).toBeGreaterThan(0)
        paged.push(...step.admitted)
        use = step.use
        rest = rest.slice(rest.indexOf(page.at(-1)!) + 1)
      }

      expect(paged).toEqual(admitRuns(queue, unused, due, Infinity).admitted)
    }),
  )
})

test('queues take turns in their order, up to the limit', () => {
  const lists = [['a1', 'a2', 'a3', 'a4'], [], ['b1'], ['c1', 'c2']]

  expect(takeTurns(lists, 100)).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3', 'a4'])
  expect(takeTurns(lists, 4)).toEqual(['a1', 'b1', 'c1', 'a2'])
  expect(takeTurns([], 4)).toEqual([])
})

test('a queue is limited when it has any limit', () => {
  expect(isLimited({ name: 'q' })).toBe(false)
  expect(isLimited({ name: 'q', concurrency: 1 })).toBe(true)
  expect(isLimited({ name: 'q', concurrencyPerKey: 1 })).toBe(true)
  expect(isLimited({ name: 'q', rate: { limit: 1, periodMs: 1 } })).toBe(true)
})

test('queues have names of their own, at most 1000, and limits of at least 1', () => {
  const named = (count: number): QueueClaim[] => Array.from({ length: count }, (_, i) => ({ name: `q${i}` }))
  const wrong: readonly (readonly QueueClaim[])[] = [
    named(1001),
    [{ name: 'q' }, { name: 'p' }, { name: 'q' }],
    [{ name: '' }],
    ...[0, -1, 1.5, NaN, Infinity].flatMap((value) => [
      [{ name: 'q', concurrency: value }],
      [{ name: 'q', concurrencyPerKey: value }],
      [{ name: 'q', rate: { limit: value, periodMs: 1 } }],
      [{ name: 'q', rate: { limit: 1, periodMs: value } }],
    ]),
  ]

  checkQueues(named(1000))
  checkQueues([{ name: 'q', concurrency: 1, concurrencyPerKey: 1, rate: { limit: 1, periodMs: 1 } }])
  for (const each of wrong) {
    let error: unknown
    try {
      checkQueues(each)
    } catch (thrown) {
      error = thrown
    }
    expect(isStoreError(error, 'INVALID_ARGUMENT'), JSON.stringify(each.slice(0, 3))).toBe(true)
  }
})
