import { memoryStore } from '@varve/store-memory'
import { virtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { childState } from '../definition/child-state.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { lose } from '../testing/damaged-store.ts'
import { planError } from '../testing/expected-errors.ts'
import { testEngine } from '../testing/test-engine.ts'

const text = defineState({ id: 'text', output: z.string(), run: () => 'a text' })

describe('what another run has made', () => {
  test('and a fork has taken over cannot be made again when that run is gone, and the error says what helps', async () => {
    const clock = virtualClock()
    const store = memoryStore({ now: clock.now })
    const engine = testEngine({ store, clock })
    await engine.start(definePlan({ id: 'p', version: '1', states: [text] }), undefined, { runId: 'a' })
    clock.advance(2)
    await engine.fork('a', { as: 'b' })
    await engine.kernel.prune({ olderThanMs: 1, artifacts: false })
    const lost = (await engine.outputs('b'))['text']!.$artifact
    await lose(store, lost)

    const error: unknown = await engine.remake('b', 'text').catch((reason: unknown) => reason)

    expect(error).toMatchObject(planError('NO_OUTPUT'))
    expect((error as Error).message).toContain(
      `run a is gone, which made text of run b; restore ${lost}, or fork the run from text`,
    )
    expect(await engine.fork('b', { from: text, as: 'c' })).toMatchObject({ status: 'completed' })
    expect(await engine.output('b', text)).toBe('a text')
  })

  test('as a child plan is made again in the run of that, which the error names, also in a fork that has taken it over', async () => {
    const store = memoryStore()
    const inner = definePlan({ id: 'inner', version: '1', states: [text], output: text })
    const outer = childState({ id: 'outer', plan: inner, childParams: () => undefined })
    const engine = testEngine({ store })
    await engine.start(definePlan({ id: 'p', version: '1', states: [outer], output: outer }), undefined, { runId: 'a' })
    await engine.fork('a', { as: 'b' })
    const [child] = (await engine.kernel.lineage('a')).children
    await lose(store, (await engine.outputs('a'))['outer']!.$artifact)

    for (const runId of ['a', 'b']) {
      const error: unknown = await engine.remake(runId, 'outer').catch((reason: unknown) => reason)

      expect(error).toMatchObject(planError('NO_OUTPUT'))
      expect((error as Error).message).toContain(
        `outer of run ${runId} has was made by its child run ${child!.runId}; remake it there`,
      )
    }
    const [damaged] = (await engine.verify(child!.runId)).damaged
    expect(await engine.remake(child!.runId, damaged!.key)).toMatchObject({ remade: true })
    expect(await engine.verify('b')).toMatchObject({ ok: true })
  })
})
