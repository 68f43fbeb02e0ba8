import { memoryStore } from '@varve/store-memory'
import { virtualClock } from '@varve/testing'
import { contentId, type ContentId } from '@varve/store'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { mapState } from '../definition/map-state.ts'
import { definePlan } from '../definition/plan.ts'
import { planError } from '../testing/expected-errors.ts'
import { testEngine } from '../testing/test-engine.ts'

/** A run, gone since, that has made a list. */
async function listed(items: number) {
  const clock = virtualClock()
  const store = memoryStore({ now: clock.now })
  const engine = testEngine({ store, clock })
  const map = mapState({
    id: 'map',
    items: () => Array.from({ length: items }, (_, n) => n),
    key: (n) => `n${n}`,
    output: z.int(),
    run: ({ item }) => item + 10_000,
  })
  const plan = definePlan({ id: 'p', version: '1', states: [map], output: map })
  const outcome = await engine.start(plan, undefined, { runId: 'r' })
  if (outcome.status !== 'completed' || outcome.artifact === null) throw new Error('nothing was made')
  const list = outcome.artifact.$artifact
  const collect = async (): Promise<ReadonlySet<ContentId>> => {
    clock.advance(1000)
    return new Set((await engine.collect({ graceMs: 0 })).artifacts.map(({ id }) => id))
  }
  const removeRun = async (): Promise<unknown> => store.runs.remove('r', { ifTerminal: true })
  return { engine, list, collect, removeRun, entry: (n: number) => contentId(String(n + 10_000)) }
}

test.each([3, 1200])('a pin of a list keeps the %i artifacts that it lists, until it is taken out', async (items) => {
  const { engine, list, collect, removeRun, entry } = await listed(items)
  await engine.pin('release', [list])
  await removeRun()

  const before = await collect()
  expect([list, entry(0), entry(items - 1)].filter((id) => before.has(id))).toEqual([])

  expect(await engine.unpin('release')).toBe(true)
  const after = await collect()
  expect([list, entry(0), entry(items - 1)].filter((id) => after.has(id))).toHaveLength(3)
  expect(await engine.unpin('release')).toBe(false)
})

test('a name that keeps something takes the same again and nothing else', async () => {
  const { engine, list, entry } = await listed(1200)
  const pin = await engine.pin('release', [list])

  expect(await engine.pin('release', [list])).toEqual(pin)
  await expect(engine.pin('release', [entry(0)])).rejects.toMatchObject(planError('INVALID_PARAMS'))
  await expect(engine.pin('other', [contentId('never put')])).rejects.toMatchObject(planError('NO_OUTPUT'))
})
