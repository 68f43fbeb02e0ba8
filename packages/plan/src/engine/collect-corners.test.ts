import { canonicalJson } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { simulatedProcess, virtualClock } from '@varve/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineState } from '../definition/state.ts'
import { planError } from '../testing/expected-errors.ts'
import { planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'

const DAY_MS = 24 * 60 * 60 * 1000

test('an artifact that was posted to a run stays, however late a driver takes the post', async () => {
  const clock = virtualClock()
  const store = memoryStore({ now: clock.now })
  const begun = Promise.withResolvers<undefined>()
  const pay = defineState({
    ...{ id: 'pay', effect: 'at-most-once', output: z.string() },
    run: async () => {
      begun.resolve(undefined)
      return new Promise<string>(() => undefined)
    },
  })
  const plan = planOf([pay])
  const dying = simulatedProcess(store, clock, { crashAt: 'append:99:before' })
  void testEngine({ store: dying.store, clock: dying.clock, owner: dying.owner }).start(plan, undefined as never, {
    runId: 'r',
  })
  await begun.promise
  const content = new TextEncoder().encode('"paid"')
  const $artifact = await store.artifacts.put(content, { mediaType: 'application/json' })
  const output = { artifact: { $artifact, size: content.byteLength, mediaType: 'application/json' } }
  const body = canonicalJson({ key: 'pay', output, attempts: 1 })
  await store.inbox.post('r', { id: 'settled', type: 'ActionSucceeded', body }, { maxWaiting: 10 })
  clock.advance(3 * DAY_MS)
  const engine = testEngine({ store, clock, plans: [plan] })

  const { artifacts } = await engine.collect()

  expect(artifacts.map(({ id }) => id)).not.toContain($artifact)
  expect(await store.artifacts.has($artifact)).toBe(true)
})

test.each([0.5, -1, Infinity, NaN, 1e300])('a time of %d ms to collect by is refused', async (ms) => {
  const engine = testEngine()

  await expect(engine.collect({ graceMs: ms })).rejects.toMatchObject(planError('INVALID_PARAMS'))
  await expect(engine.collect({ cacheOlderThanMs: ms })).rejects.toMatchObject(planError('INVALID_PARAMS'))
})

test('what was put just now is not collected, whatever the clock of the machine that collects says', async () => {
  const machine = virtualClock()
  const store = memoryStore({ now: virtualClock().now })
  machine.advance(2 * DAY_MS)
  const id = await store.artifacts.put(new TextEncoder().encode('put just now'), { mediaType: 'text/plain' })

  await testEngine({ store, clock: machine }).collect()

  expect(await store.artifacts.has(id)).toBe(true)
})
