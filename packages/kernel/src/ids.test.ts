import { memoryStore } from '@varve/store-memory'
import fc from 'fast-check'
import { validate, version } from 'uuid'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from './kernel/kernel.ts'
import { orderedIds, randomBytesOf } from './ids.ts'
import { systemClock } from './clock.ts'
import { defineWorkflow } from './workflow/define-workflow.ts'

const zeros = (): Uint8Array => new Uint8Array(16)
const ones = (): Uint8Array => new Uint8Array(16).fill(255)

/** The instant that an id holds. */
function timeOf(id: string): number {
  return Number.parseInt(id.replace('-', '').slice(0, 12), 16)
}

test('an id holds the time, and is otherwise made of the random bytes', () => {
  const at = Date.UTC(2025, 0, 1)

  const id = orderedIds(() => at, ones)()

  expect([validate(id), version(id), timeOf(id)]).toEqual([true, 7, at])
  expect(id).not.toBe(orderedIds(() => at, zeros)())
})

test('whatever the clock and the random bytes are, each id is behind the one before it', () => {
  const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 })
  const readings = fc.array(fc.tuple(fc.double({ min: -5, max: 2 ** 47, noNaN: true }), bytes), { minLength: 2 })

  fc.assert(
    fc.property(readings, (given) => {
      let n = 0
      const newId = orderedIds(
        () => given[n]![0],
        () => given[n]![1],
      )
      const ids = given.map((_, index) => {
        n = index
        return newId()
      })

      expect(ids).toEqual([...new Set(ids)].sort())
      expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true)
    }),
  )
})

test('a clock that goes back holds no id back', () => {
  const times = [2000, 1000, 3000]
  const newId = orderedIds(() => times.shift() ?? 0, zeros)

  expect([newId(), newId(), newId()].map(timeOf)).toEqual([2000, 2000, 3000])
})

test('the ids that a kernel makes for runs hold the time of its clock, and are in its order', async () => {
  let now = Date.UTC(2025, 0, 1)
  const store = memoryStore({ now: () => now })
  const greeting = defineWorkflow(
    { name: 'greeting', version: '1', input: z.null() },
    { step: (_, next) => next.complete(null) },
  )
  const kernel = createKernel({ store, workflows: [greeting], clock: { ...systemClock, now: () => now } })

  const ids: string[] = []
  for (let n = 0; n < 5; n++) {
    now += n % 2
    ids.push((await kernel.start(greeting, null)).runId)
  }

  expect(ids.map(version)).toEqual([7, 7, 7, 7, 7])
  expect(ids).toEqual(ids.toSorted())
  expect(timeOf(ids[4]!)).toBe(now)
  expect((await store.runs.list({}, { limit: 9 })).items.map(({ runId }) => runId)).toEqual(ids.toReversed())
})

test('random bytes are handed out once each, 16 at a time, and drawn many at once', () => {
  const all: number[] = []
  let drawings = 0
  const random = randomBytesOf((bytes) => {
    drawings++
    crypto.getRandomValues(bytes)
    all.push(...bytes)
  })

  const given = Array.from({ length: 600 }, random)

  expect(given.flatMap((bytes) => [...bytes])).toEqual(all.slice(0, 600 * 16))
  expect(drawings).toBe(3)
})
