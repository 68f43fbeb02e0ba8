import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

/** So many events at the end of a log are checked. */
const CHECKED = 1000

/** Does so many steps, waits, does one more. Of a step and its input so much is told that each can be changed. */
function stepping(keyOf: (step: number) => string, asked: number[] = []) {
  return defineWorkflow(
    {
      ...{ name: 'stepping', version: '1', input: z.int() },
      initialState: (steps: number) => ({ steps, done: 0, told: 0 }),
      actions: { work: { effect: 'pure', run: (step: number) => step } },
      signals: { go: z.null(), noise: z.null() },
    },
    {
      reduce: (state, event) => {
        if (event.type === 'ActionSucceeded') return { ...state, done: state.done + 1 }
        return event.type === 'SignalDelivered' ? { ...state, told: state.told + 1 } : state
      },
      step: ({ steps, done, told }, next) => {
        asked.push(done)
        if (done === steps + 1) return next.complete(done)
        return done < steps || told > 0
          ? next.run('work', done, { key: keyOf(done) })
          : next.waitFor('go', { key: `before ${keyOf(done)}` })
      },
    },
  )
}

const same = (step: number): string => `step ${step}`

/** The run as it waits after so many steps, written by the code as it was. */
async function waitingAfter(steps: number): Promise<Store> {
  const store = memoryStore()
  const before = stepping(same)
  await using kernel = createKernel({ store, workflows: [before], build: 'old' })
  expect(await kernel.start(before, steps, { runId: 'r' })).toMatchObject({ status: 'blocked' })
  return store
}

/** Opens the run with the code as it is now, of which no snapshot is. */
async function open(store: Store, now: ReturnType<typeof stepping>): Promise<unknown> {
  await using kernel = createKernel({ store, workflows: [now], build: 'new' })
  return await kernel.signal('r', { name: 'go', value: null })
}

test('asks the code for as many decisions, however much the run has passed', async () => {
  const counts: number[] = []
  for (const steps of [1000, 2000]) {
    const asked: number[] = []
    await open(await waitingAfter(steps), stepping(same, asked))
    counts.push(asked.length)
  }

  expect(counts[1]).toBe(counts[0])
  expect(counts[0]).toBeLessThan(CHECKED)
})

test('finds a change among the last thousand events, and lets one behind them be', async () => {
  const steps = 1000
  // Each step is two events, and behind all of them the run waits, since its second event.
  const changedAt = (changed: number) => stepping((step) => (step === changed ? `other ${step}` : `step ${step}`))
  const first = steps - CHECKED / 2

  await expect(open(await waitingAfter(steps), changedAt(first + 1))).rejects.toMatchObject({
    ...kernelError('CODE_CHANGED'),
    divergence: { seq: 2 + 2 * (first + 1) },
  })
  expect(await open(await waitingAfter(steps), changedAt(first - 1))).toMatchObject({ status: 'completed' })
})

test('finds a change of the last decision, however much came behind it', async () => {
  const store = await waitingAfter(3)
  await hearNoise(store, CHECKED + 1)
  const asked: number[] = []

  await expect(
    open(
      store,
      stepping((step) => (step === 3 ? 'other' : `step ${step}`), asked),
    ),
  ).rejects.toMatchObject({
    ...kernelError('CODE_CHANGED'),
    divergence: { seq: 8, recorded: { type: 'WaitStarted' } },
  })
  expect(asked).toEqual([3])
  expect(await open(store, stepping(same))).toMatchObject({ status: 'completed' })
})

test('reads what lies behind a snapshot once, however much that is', async () => {
  const data = await waitingAfter(200)
  await hearNoise(data, CHECKED + 1)
  const calls: string[] = []
  const store = recordCalls(data, calls)
  const asked: number[] = []
  await using kernel = createKernel({ store, workflows: [stepping(same, asked)], build: 'old' })

  expect(await kernel.signal('r', { name: 'go', value: null })).toMatchObject({ status: 'completed' })

  expect(calls.filter((name) => name === 'events.read')).toHaveLength(1)
  expect(asked[0]).toBe(200)
})

/** Nobody waits for it, so it is kept, and nothing is decided. */
async function hearNoise(store: Store, times: number): Promise<void> {
  await using kernel = createKernel({ store, workflows: [stepping(same)], build: 'old' })
  const atOnce = 500
  for (let n = 1; n <= times; n++) {
    await kernel.signal('r', { name: 'noise', value: null, wait: n % atOnce === 0 || n === times })
  }
}
