import { AsyncLocalStorage } from 'node:async_hooks'
import { StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { ActionError } from '../policy/action-error.ts'
import { retryWithBackoff } from '../policy/retry.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { runStarted, writeLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import type { AppendSpan, AttemptIdentity, AttemptSpan, Observer, TurnSpan } from './observer.ts'

/** Fails once, then answers. */
const flaky = defineWorkflow(
  {
    ...{ name: 'flaky', version: '3', input: z.null() },
    actions: {
      call: {
        run: (_: null, { attempt }) => {
          if (attempt === 1) throw new ActionError('transient', 'not now', { code: 'BUSY' })
          return attempt
        },
      },
    },
  },
  {
    step: ({ results: { call } }, next) =>
      call?.status === 'succeeded' ? next.complete(call.output) : next.run('call', null),
  },
)

const policy = retryWithBackoff({ maxAttempts: 2, baseMs: 0 })

function listening() {
  const turns: TurnSpan[] = []
  const appends: AppendSpan[] = []
  const attempts: AttemptSpan[] = []
  const observer: Observer = {
    onTurn: (turn) => turns.push(turn),
    onAppend: (append) => appends.push(append),
    onAttempt: (attempt) => attempts.push(attempt),
  }
  return { turns, appends, attempts, observer }
}

describe('an observer', () => {
  test('is told each attempt once, with its number, its times and what came of it', async () => {
    const { attempts, observer } = listening()
    const kernel = createKernel({
      store: memoryStore(),
      workflows: [flaky],
      policy,
      observer,
      clock: manualClock(5000),
    })

    await kernel.start(flaky, null, { runId: 'r' })

    const call = { runId: 'r', workflow: 'flaky', key: 'call', action: 'call', startedAt: 5000, durationMs: 0 }
    expect(attempts).toEqual([
      { ...call, attempt: 1, outcome: 'to be retried', error: { message: 'not now', code: 'BUSY' } },
      { ...call, attempt: 2, outcome: 'succeeded' },
    ])
  })

  test('is told turns that follow each other without a gap, and the append of each', async () => {
    const { turns, appends, observer } = listening()
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [flaky], policy, observer })

    await kernel.start(flaky, null, { runId: 'r' })

    expect(turns.map(({ fromSeq, toSeq }) => [fromSeq, toSeq])).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ])
    expect(turns[0]).toMatchObject({ runId: 'r', workflow: 'flaky', version: '3' })
    let bytes = 0
    for await (const { body } of store.events.read('r')) bytes += Buffer.byteLength(body)
    expect(appends.map(({ fromSeq, events }) => [fromSeq, events])).toEqual([
      [1, 2],
      [3, 2],
      [5, 2],
    ])
    expect(appends.reduce((sum, append) => sum + append.bytes, 0)).toBe(bytes)
    expect(appends.every(({ error }) => error === undefined)).toBe(true)
  })

  test('is told the time that the clock says has passed', async () => {
    const { turns, attempts, observer } = listening()
    const clock = manualClock(1000)
    const slow = defineWorkflow(
      {
        ...{ name: 'slow', version: '1', input: z.null() },
        actions: { wait: { run: () => new Promise<null>((resolve) => void clock.schedule(70, () => resolve(null))) } },
      },
      { step: ({ results: { wait } }, next) => (wait === undefined ? next.run('wait', null) : next.complete(null)) },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [slow], observer, clock })
    const run = kernel.start(slow, null)
    await settled()
    await clock.advance(70)
    await run

    expect(attempts).toMatchObject([{ startedAt: 1000, durationMs: 70 }])
    expect(turns.map(({ startedAt, durationMs }) => [startedAt, durationMs])).toEqual([
      [1000, 0],
      [1070, 0],
    ])
  })

  test('is told nothing when a run is replayed, verified, looked at or found at its end', async () => {
    const store = memoryStore()
    await createKernel({ store, workflows: [flaky], policy }).start(flaky, null, { runId: 'r' })
    const { turns, appends, attempts, observer } = listening()
    const kernel = createKernel({ store, workflows: [flaky], policy, observer })

    await kernel.replay('r')
    await kernel.verify('r')
    await kernel.timeline('r')
    await kernel.stateAt('r', 4)
    await kernel.run('r')

    expect([turns, appends, attempts]).toEqual([[], [], []])
  })

  test('is told the attempt after a crash with a number of its own', async () => {
    const store = memoryStore()
    const requested = { key: 'call', action: 'call', input: null, effect: 'idempotent' }
    await writeLog(store, 'r', [runStarted('flaky'), { type: 'ActionRequested', data: requested }], {
      workflow: 'flaky',
      version: '3',
    })
    const { attempts, observer } = listening()

    await createKernel({ store, workflows: [flaky], policy, observer }).run('r')

    expect(attempts).toMatchObject([{ attempt: 2, outcome: 'succeeded' }])
  })

  test('is told an append whose answer was lost as such, and its turn once', async () => {
    const { turns, appends, observer } = listening()
    const memory = memoryStore()
    let lost = false
    const store: Store = {
      ...memory,
      events: {
        read: (...args) => memory.events.read(...args),
        append: async (...args) => {
          const result = await memory.events.append(...args)
          if (lost || args[0] !== 'r') return result
          lost = true
          throw new StoreError('UNKNOWN_OUTCOME', 'the answer was lost')
        },
      },
    }

    await createKernel({ store, workflows: [flaky], policy, observer }).start(flaky, null, { runId: 'r' })

    expect(appends.map(({ fromSeq, error }) => [fromSeq, error])).toEqual([
      [1, 'UNKNOWN_OUTCOME'],
      [3, undefined],
      [5, undefined],
    ])
    expect(turns.map(({ fromSeq }) => fromSeq)).toEqual([1, 3, 5])
  })

  test('gives a handler the context that it opens around it', async () => {
    const span = new AsyncLocalStorage<AttemptIdentity>()
    const seen: unknown[] = []
    const tracing = defineWorkflow(
      {
        ...{ name: 'tracing', version: '1', input: z.null() },
        actions: {
          call: {
            run: async () => {
              await Promise.resolve()
              seen.push(span.getStore())
            },
          },
        },
      },
      { step: ({ results: { call } }, next) => (call === undefined ? next.run('call', null) : next.complete(null)) },
    )
    const observer: Observer = { aroundAttempt: (attempt, run) => span.run(attempt, run) }

    await createKernel({ store: memoryStore(), workflows: [tracing], observer }).start(tracing, null, { runId: 'r' })

    expect(seen).toEqual([{ runId: 'r', workflow: 'tracing', key: 'call', action: 'call', attempt: 1 }])
  })

  test.for<[what: string, around: Observer['aroundAttempt']]>([
    ['calls nothing', () => undefined],
    ['calls twice', (_, run) => [run(), run()]],
    [
      'throws',
      () => {
        throw new Error('no tracer')
      },
    ],
    ['throws after the call', (_, run) => run().then(() => Promise.reject(new Error('no tracer')))],
  ])('that %s around an attempt has its handler called once', async ([, aroundAttempt]) => {
    const calls: string[] = []
    const counting = defineWorkflow(
      {
        ...{ name: 'counting', version: '1', input: z.null() },
        actions: { call: { run: () => calls.push('called') } },
      },
      { step: ({ results: { call } }, next) => (call === undefined ? next.run('call', null) : next.complete(null)) },
    )
    const onWarning = (): void => undefined
    const options = {
      store: memoryStore(),
      workflows: [counting],
      observer: { aroundAttempt: aroundAttempt! },
      onWarning,
    }

    expect(await createKernel(options).start(counting, null)).toMatchObject({ status: 'completed' })
    expect(calls).toEqual(['called'])
  })

  test('that throws is warned of, and changes nothing', async () => {
    const warnings: string[] = []
    const fail = (): never => {
      throw new Error('no listener')
    }
    const observer: Observer = { onTurn: fail, onAppend: fail, onAttempt: fail }
    const onWarning = ({ message }: Error): unknown => warnings.push(message)
    const kernel = createKernel({ store: memoryStore(), workflows: [flaky], policy, observer, onWarning })

    expect(await kernel.start(flaky, null)).toMatchObject({ status: 'completed', output: 2 })
    expect(warnings).toEqual(Array.from({ length: 8 }, () => 'no listener'))
  })
})

test('an observer costs no call of the store', async () => {
  const calls: string[] = []
  const { observer } = listening()
  const store = recordCalls(memoryStore(), calls)

  await createKernel({ store, workflows: [flaky], policy, observer }).start(flaky, null)

  expect(calls).toEqual(['store.now', 'events.append', 'events.append', 'events.append', 'snapshots.save'])
})
