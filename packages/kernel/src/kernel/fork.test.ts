import fc from 'fast-check'
import type { StoredEvent } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { parent as family, rich, runGolden, sum } from '../testing/golden.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { chainOf, dataOf, readLog, typesOf } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { readLogEvent } from '../log/log-event.ts'
import { applyToSystem, emptySystem, type System } from '../run/system.ts'
import { createKernel } from './kernel.ts'

/** A finished sum of 1, 2 and 3. */
async function summed(input: number[] = [1, 2, 3]) {
  const store = memoryStore()
  const kernel = createKernel({ store, workflows: [sum] })
  await kernel.start(sum, input, { runId: 'r' })
  return { store, kernel, log: await readLog(store, 'r') }
}

function systemOf(log: readonly StoredEvent[]): System {
  const system = emptySystem('rich')
  for (const stored of log) applyToSystem(system, readLogEvent(system.end, stored))
  return system
}

const talking = defineWorkflow(
  {
    ...{ name: 'talking', version: '1', input: z.object({ to: z.string() }) },
    signals: { go: z.object({ n: z.number() }) },
    interrupts: { ask: { ask: z.null(), answer: z.boolean() } },
  },
  {
    step: ({ input, results }, next) => {
      if (!results['go']) return next.waitFor('go')
      if (!results['ask']) return next.interrupt('ask', null)
      return next.complete({ to: input.to, go: results['go'], ask: results['ask'] })
    },
  },
)

async function talked() {
  const store = memoryStore()
  const kernel = createKernel({ store, workflows: [talking] })
  await kernel.start(talking, { to: 'ann' }, { runId: 'r' })
  await kernel.signal('r', { name: 'go', value: { n: 1 } })
  await kernel.resume('r', { key: 'ask', value: true })
  const log = await readLog(store, 'r')
  return { store, kernel, seqOf: (type: string) => log.find((event) => event.type === type)!.seq }
}

describe('a fork', () => {
  test('copies bodies and times, under a chain of its own, and says where it came from', async () => {
    const { store, kernel, log } = await summed()

    await kernel.fork('r', { at: 3, as: 'f' })
    const copy = await readLog(store, 'f')

    const plain = ({ seq, type, at, body }: StoredEvent) => ({ seq, type, at, body })
    expect(copy.slice(0, 3).map(plain)).toEqual(log.slice(0, 3).map(plain))
    expect(copy[0]?.hash).not.toBe(log[0]?.hash)
    expect(await dataOf(store, 'f', 'RunForked')).toEqual([{ fromRunId: 'r', atSeq: 3, fromHash: log[2]?.hash }])
    expect(copy[3]?.type).toBe('RunForked')
  })

  test('of a workflow that always does the same ends like the run it was taken from, wherever it was forked', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: -9, max: 9 }), { maxLength: 5 }), fc.nat(), async (input, seed) => {
        const { store, kernel, log } = await summed(input)
        const at = 1 + (seed % (log.length - 1))

        const outcome = await kernel.fork('r', { at, as: 'f' })
        const copy = await readLog(store, 'f')

        expect({ ...outcome, runId: 'r' }).toEqual(await kernel.run('r'))
        expect(chainOf('r', copy.slice(0, at))).toBe(log[at - 1]?.hash)
        expect(await kernel.verify('f')).toMatchObject({ ok: true })
        expect(await readLog(store, 'r')).toEqual(log)
      }),
      { numRuns: 40 },
    )
  })

  test('may be taken wherever no at-most-once action is open, before the end, and is verified', async () => {
    const { store, kernel } = await runGolden()
    const log = await readLog(store, 'rich')
    const before = JSON.stringify([log, await store.runs.find('rich')])
    const last = log.findIndex(({ type }) => type === 'Completed')

    let refused = 0
    for (let at = 1; at <= last; at++) {
      const { open } = systemOf(log.slice(0, at))
      const forking = kernel.fork('rich', { at, as: `f${at}`, wait: false })
      if ([...open.values()].some((item) => item.kind === 'action' && item.effect === 'at-most-once')) {
        refused++
        // Asked for again it would be done twice, under a new identity.
        await expect(forking).rejects.toMatchObject(kernelError('INVALID_INPUT'))
        continue
      }
      await forking
      const moving = kernel.run(`f${at}`)
      moving.catch(() => undefined)
      await settled()
      expect(await kernel.verify(`f${at}`)).toMatchObject({ ok: true })
      expect(await store.runs.find(`f${at}`)).not.toHaveProperty('problem')
    }

    expect(refused).toBeGreaterThan(0)
    expect(JSON.stringify([await readLog(store, 'rich'), await store.runs.find('rich')])).toBe(before)
    await kernel[Symbol.asyncDispose]()
  })

  test('amid what was decided at once decides the rest again', async () => {
    const both = defineWorkflow(
      { name: 'both', version: '1', input: z.null(), actions: { a: { run: () => 1 }, b: { run: () => 2 } } },
      {
        step: ({ results }, next) =>
          results['a'] && results['b'] ? next.complete('done') : next.all([next.run('a'), next.run('b')]),
      },
    )
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [both] })
    await kernel.start(both, null, { runId: 'r' })

    const outcome = await kernel.fork('r', { at: 2, as: 'f' })

    expect(outcome).toMatchObject({ status: 'completed', output: 'done' })
    expect((await typesOf(store, 'f')).slice(0, 5)).toEqual([
      ...['RunStarted', 'ActionRequested', 'RunForked', 'ActionRequested', 'ActionRequested'],
    ])
    expect(await kernel.verify('f')).toMatchObject({ ok: true })
  })

  test('asks again for what was open, under its own idempotency key', async () => {
    const keys: string[] = []
    const calling = defineWorkflow(
      {
        ...{ name: 'calling', version: '1', input: z.null() },
        actions: { call: { run: (_: null, ctx) => void keys.push(ctx.idempotencyKey) } },
      },
      { step: ({ results }, next) => (results['call'] ? next.complete(null) : next.run('call')) },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [calling] })
    await kernel.start(calling, null, { runId: 'r' })

    await kernel.fork('r', { at: 2, as: 'f' })

    expect(new Set(keys).size).toBe(2)
  })

  test('of a fork may be taken, too', async () => {
    const { kernel, store } = await summed()
    await kernel.fork('r', { at: 4, as: 'f' })

    const outcome = await kernel.fork('f', { at: 6, as: 'g' })

    expect(outcome).toMatchObject({ status: 'completed', output: { total: 6 } })
    expect(await dataOf(store, 'g', 'RunForked')).toHaveLength(2)
    expect(await kernel.verify('g')).toMatchObject({ ok: true })
  })

  test('of a run with a child keeps the id of a child that has ended, and starts another for one that has not', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [family, sum] })
    await kernel.start(family, 0, { runId: 'r' })
    const [child] = await dataOf(store, 'r', 'ChildStarted')

    const after = await kernel.fork('r', { at: 3, as: 'after' })
    const before = await kernel.fork('r', { at: 2, as: 'before' })

    expect([after, before]).toMatchObject([{ output: { total: 1 } }, { output: { total: 1 } }])
    expect(await dataOf(store, 'after', 'ChildStarted')).toEqual([child])
    const [copied, own] = await dataOf(store, 'before', 'ChildStarted')
    expect(copied).toEqual(child)
    expect(own?.['childRunId']).not.toBe(child?.['childRunId'])
    expect([await kernel.verify('after'), await kernel.verify('before')]).toMatchObject([{ ok: true }, { ok: true }])
  })

  test('of a child does not answer for it', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [family, sum] })
    await kernel.start(family, 0, { runId: 'r' })
    const [child] = await dataOf(store, 'r', 'ChildStarted')

    await kernel.fork(child?.['childRunId'] as string, { at: 1, as: 'f' })

    expect(await dataOf(store, 'r', 'ChildCompleted')).toHaveLength(1)
    expect((await store.runs.find('f'))?.owes).toEqual([])
  })

  test('is only recorded when nobody wants to wait', async () => {
    const { kernel, store } = await summed()

    const outcome = await kernel.fork('r', { at: 1, as: 'f', wait: false })

    expect(outcome).toEqual({ status: 'running', runId: 'f' })
    expect(await typesOf(store, 'f')).toEqual(['RunStarted', 'RunForked'])
    expect(await kernel.recover()).toMatchObject([{ runId: 'f', outcome: { status: 'completed' } }])
  })

  test('keeps the times of a run that is ahead of the clock', async () => {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    await createKernel({ store, workflows: [sum], clock }).start(sum, [1], { runId: 'r' })
    const late = createKernel({ store, workflows: [sum], clock: { ...clock, now: () => 5 } })

    await late.fork('r', { at: 1, as: 'f' })

    expect(await late.verify('f')).toMatchObject({ ok: true })
  })
})

describe('an edit at the fork', () => {
  test('of an output leads to other decisions, and is noted', async () => {
    const { kernel, store } = await summed()

    const outcome = await kernel.fork('r', { at: 3, as: 'f', edit: { output: 100 } })

    expect(outcome).toMatchObject({ status: 'completed', output: { total: 105 } })
    expect(await dataOf(store, 'f', 'RunForked')).toMatchObject([{ edited: true }])
    expect(await kernel.verify('f')).toMatchObject({ ok: true })
  })

  test('of the input, a signal or an answer replaces it', async () => {
    const { kernel, seqOf } = await talked()

    const input = await kernel.fork('r', { at: 1, as: 'a', edit: { input: { to: 'bob' } } })
    const signal = await kernel.fork('r', { at: seqOf('SignalReceived'), as: 'b', edit: { value: { n: 2 } } })
    const answer = await kernel.fork('r', { at: seqOf('Resumed'), as: 'c', edit: { value: false } })

    expect(input).toMatchObject({ status: 'blocked' })
    expect(await kernel.replay('a')).toMatchObject({ state: { input: { to: 'bob' } } })
    expect(signal).toMatchObject({ status: 'blocked', blockedOn: [{ kind: 'interrupt' }] })
    expect(await kernel.replay('b')).toMatchObject({ state: { results: { go: { output: { n: 2 } } } } })
    expect(answer).toMatchObject({ status: 'completed', output: { ask: { output: false } } })
    for (const id of ['a', 'b', 'c']) expect(await kernel.verify(id)).toMatchObject({ ok: true })
  })

  test('of tags and queue is what the fork is listed by, and driven from', async () => {
    const { kernel } = await talked()

    await kernel.fork('r', { at: 1, as: 'f', edit: { tags: ['retold'], queue: 'slow' } })

    expect(await kernel.get('f')).toMatchObject({ tags: ['retold'], queue: 'slow' })
  })

  test('may be an object of another realm', async () => {
    const { kernel } = await summed()

    const edit = runInNewContext('({ output: 100 })') as Record<string, unknown>

    expect(await kernel.fork('r', { at: 3, as: 'f', edit })).toMatchObject({ output: { total: 105 } })
  })

  test.for<[what: string, edit: unknown]>([
    ['a promise', Promise.resolve({ output: 1 })],
    ['a map', new Map([['output', 1]])],
    ['a date', new Date(0)],
    ['a function', () => ({ output: 1 })],
    ['a list', []],
    ['null', null],
    ['a number', 5],
    ['an object of numbers', { 0: 'output' }],
  ])('that is %s is refused, and forks nothing', async ([, edit]) => {
    const { kernel } = await summed()

    const forking = kernel.fork('r', { at: 3, as: 'f', edit: edit as Record<string, unknown> })

    await expect(forking).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    expect(await kernel.find('f')).toBeUndefined()
  })

  test.for<[what: string, type: string, edit: Record<string, unknown>]>([
    ['a deadline, which a fork has not', 'RunStarted', { deadlineAt: 5 }],
    ['a decision', 'WaitStarted', { signal: 'go' }],
    ['an unknown field', 'Resumed', { answer: true }],
    ['an answer that fails its schema', 'Resumed', { value: 'yes' }],
    ['a signal that fails its schema', 'SignalReceived', { value: { n: 'x' } }],
    ['a signal of another name', 'SignalReceived', { name: 'stop' }],
    ['an input that fails its schema', 'RunStarted', { input: { to: 1 } }],
    ['the workflow', 'RunStarted', { workflow: 'other' }],
    ['what was spent before', 'RunStarted', { spent: { requests: 0, attempts: 0, turns: 0, usage: {}, startedAt: 0 } }],
    ['the key', 'Resumed', { key: 'other' }],
    ['something of the wrong type', 'Resumed', { by: 7 }],
  ])('of %s is refused', async ([, type, edit]) => {
    const { kernel, store, seqOf } = await talked()

    const forking = kernel.fork('r', { at: seqOf(type), as: 'f', edit })

    await expect(forking).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    expect(await store.runs.find('f')).toBeUndefined()
  })

  test('that is no JSON is refused, with its path', async () => {
    const { kernel } = await summed()

    const forking = kernel.fork('r', { at: 3, as: 'f', edit: { output: { at: new Date(0) } } })

    await expect(forking).rejects.toThrow('output.at')
  })
})

test('a fork takes a signal whose id one of another name has, which it has copied', async () => {
  const order = defineWorkflow(
    { ...{ name: 'order', version: '1', input: z.null() }, signals: { paid: z.string(), shipped: z.string() } },
    {
      step: ({ results }, next) => {
        if (!results['shipped']) return next.waitFor('shipped')
        return results['paid'] ? next.complete(null) : next.waitFor('paid')
      },
    },
  )
  const kernel = createKernel({ store: memoryStore(), workflows: [order] })
  await kernel.start(order, null, { runId: 'r' })
  await kernel.signal('r', { name: 'paid', value: 'p', id: 'order-1' })
  await kernel.fork('r', { at: (await kernel.get('r')).head, as: 'f' })

  const outcome = await kernel.signal('f', { name: 'shipped', value: 's', id: 'order-1' })

  expect(outcome).toMatchObject({ status: 'completed' })
  expect(await kernel.verify('f')).toMatchObject({ ok: true })
})

describe('forking is refused', () => {
  test.for([0, -1, 1.5, 99, Number.NaN])('at seq %d', async (at) => {
    const { kernel } = await summed()

    await expect(kernel.fork('r', { at })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  })

  test('at an end', async () => {
    const { kernel, log } = await summed()

    await expect(kernel.fork('r', { at: log.length })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  })

  test('under an id that is taken, also its own', async () => {
    const { kernel, store, log } = await summed()

    await expect(kernel.fork('r', { at: 1, as: 'r' })).rejects.toMatchObject(storeError('HEAD_CONFLICT'))
    expect(await readLog(store, 'r')).toEqual(log)
  })

  test('of a run that is not there, or whose workflow is not registered', async () => {
    const { kernel, store } = await summed()
    const stranger = createKernel({ store, workflows: [rich] })

    await expect(kernel.fork('x', { at: 1 })).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
    await expect(stranger.fork('r', { at: 1 })).rejects.toMatchObject(kernelError('WORKFLOW_MISSING'))
  })
})
