import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { childState } from '../definition/child-state.ts'
import type { StateNode } from '../definition/node.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { Engine } from './engine.ts'

/** A plan one of whose states fails while a state of a child plan is at work, which ends when it is told to. */
function failingBeside(effect: StateNode['effect'], { isDeep = false } = {}) {
  const [begun, end] = [Promise.withResolvers<undefined>(), Promise.withResolvers<string>()]
  const pay = defineState({
    ...{ id: 'pay', effect, output: z.string() },
    run: async () => {
      begun.resolve(undefined)
      return end.promise
    },
  })
  const order = definePlan({ id: 'order', version: '1', states: [pay], output: pay })
  const inner = childState({ id: 'inner', plan: order, childParams: () => undefined })
  const middle = definePlan({ id: 'middle', version: '1', states: [inner], output: inner })
  const child = childState({ id: 'child', plan: isDeep ? middle : order, childParams: () => undefined })
  const bad = defineState({
    ...{ id: 'bad', output: z.null() },
    run: async () => {
      await begun.promise
      throw new Error('no')
    },
  })
  return { plan: definePlan({ id: 'p', version: '1', states: [child, bad] }), end }
}

async function hasFailed(engine: Engine, runId: string, state: string): Promise<void> {
  for await (const { changed } of engine.progress(runId)) {
    if (changed.some(({ id, status }) => id === state && status === 'failed')) return
  }
}

async function childOf(engine: Engine, runId: string): Promise<string> {
  const [child] = (await engine.kernel.lineage(runId)).children
  return child!.runId
}

async function droppedBy(engine: Engine, runId: string): Promise<readonly unknown[]> {
  const log = await Array.fromAsync(engine.kernel.events(runId))
  return log.flatMap(({ type, data }) => (type === 'ItemDropped' ? [data] : []))
}

describe('when a state fails beside a child plan', () => {
  test.for([{ isDeep: false }, { isDeep: true }])(
    'in which something is under way that must happen once, the child is waited for: %o',
    async ({ isDeep }) => {
      const { plan, end } = failingBeside('at-most-once', { isDeep })
      const engine = testEngine()
      const outcome = engine.start(plan, undefined, { runId: 'r' })

      await engine.start(plan, undefined, { runId: 'r', wait: false })
      await hasFailed(engine, 'r', 'bad')
      const meanwhile = await engine.status('r')
      end.resolve('receipt')

      expect(await outcome).toMatchObject({ status: 'failed', error: { message: 'state bad failed: no' } })
      expect(meanwhile).toMatchObject({ status: 'running', states: [{ status: 'waiting' }, { status: 'failed' }] })
      const child = await childOf(engine, 'r')
      expect(await engine.run(child)).toMatchObject({ status: 'completed', output: 'receipt' })
      expect(await droppedBy(engine, child)).toEqual([])
      expect(await engine.verify('r')).toMatchObject({ ok: true })
    },
  )

  test('that does nothing of the kind, the run ends at once, and the child is canceled', async () => {
    const { plan, end } = failingBeside('idempotent')
    const engine = testEngine()

    expect(await engine.start(plan, undefined, { runId: 'r' })).toMatchObject({ status: 'failed' })

    const child = await childOf(engine, 'r')
    expect(await engine.run(child)).toMatchObject({ status: 'canceled' })
    // The child had begun.
    expect(await droppedBy(engine, 'r')).toEqual([{ key: 'child:child', outcome: 'unknown' }])
    end.resolve('too late')
  })

  test('that waits for an approval before it pays, the run waits with it until it is canceled', async () => {
    let paid = 0
    const ok = approvalState({ id: 'ok' })
    const pay = defineState({
      ...{ id: 'pay', effect: 'at-most-once', after: [ok], output: z.int() },
      run: () => ++paid,
    })
    const order = definePlan({ id: 'order', version: '1', states: [ok, pay], output: pay })
    const child = childState({ id: 'child', plan: order, childParams: () => undefined })
    const no = approvalState({ id: 'no' })
    const engine = testEngine()
    await engine.start(definePlan({ id: 'p', version: '1', states: [child, no] }), undefined, { runId: 'r' })

    expect(await engine.approve('r', no, { approved: false })).toMatchObject({
      ...{ status: 'blocked', blockedOn: [{ kind: 'child', key: 'child:child' }] },
    })
    expect(await engine.cancel('r', { reason: 'enough' })).toMatchObject({ status: 'canceled' })

    expect(await engine.run(await childOf(engine, 'r'))).toMatchObject({ status: 'canceled' })
    expect(paid).toBe(0)
  })
})
