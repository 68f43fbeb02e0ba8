import { StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

const MIB = 1024 * 1024

const quick = defineWorkflow(
  { name: 'quick', version: '1', input: z.unknown() },
  { step: (_, next) => next.complete('quick') },
)

/** Asks for one child and ends with what became of it. */
function parentOf(child: Workflow<unknown>, input: unknown = null) {
  return defineWorkflow(
    { name: 'parent', version: '1', input: z.null() },
    {
      step: ({ results }, next) => {
        const ended = results['child']
        return ended ? next.complete(ended.status) : next.child(child, input, { key: 'child' })
      },
    },
  )
}

function kernelOn(store: Store, workflows: readonly Workflow[], clock = manualClock()) {
  return createKernel({ store, workflows, clock, onWarning: () => undefined })
}

describe('the end of a child', () => {
  function counting(fails: boolean) {
    return defineWorkflow(
      { name: 'counting', version: '1', input: z.null(), initialState: () => ({ ended: 0 }) },
      {
        reduce: (state, event) => {
          if (event.type !== 'ChildCompleted') return state
          if (fails) throw new Error('not expected')
          return { ended: state.ended + 1 }
        },
        step: ({ ended }, next) => (ended > 0 ? next.complete(ended) : next.child(quick, null)),
      },
    )
  }

  test('is kept although the reducer of its parent throws on it, and folded by mended code', async () => {
    const store = memoryStore()
    const broken = counting(true)
    const first = kernelOn(store, [quick, broken])
    const failing = await first.start(broken, null, { runId: 'p' }).catch((error: unknown) => error)
    const parked = await store.runs.find('p')

    const outcome = await kernelOn(store, [quick, counting(false)]).run('p')

    expect(failing).toMatchObject(kernelError('REDUCER_FAILED'))
    expect(parked).toMatchObject({ problem: { code: 'REDUCER_FAILED' } })
    expect(outcome).toMatchObject({ status: 'completed', output: 1 })
  })

  test('with an output that fits its own log and not its parent’s reaches it as a failure', async () => {
    const large = defineWorkflow(
      { name: 'large', version: '1', input: z.unknown() },
      { step: (_, next) => next.complete('x'.repeat(MIB - 50)) },
    )
    const parent = parentOf(large)
    const kernel = kernelOn(memoryStore(), [large, parent])

    const outcome = await kernel.start(parent, null, { runId: 'p' })

    expect(outcome).toMatchObject({ status: 'completed', output: 'failed' })
  })

  test('is told only when it is in the log of the child', async () => {
    const store = memoryStore()
    const overfull = defineWorkflow(
      {
        ...{ name: 'overfull', version: '1', input: z.unknown(), events: { large: z.string() } },
        initialState: () => ({ begun: false, emitted: 0 }),
      },
      {
        reduce: (state, event) => {
          if (event.type === 'TimerFired') return { ...state, begun: true }
          return event.type === 'DomainEvent' ? { ...state, emitted: state.emitted + 1 } : state
        },
        step: ({ begun, emitted }, next) => {
          const waits = Array.from({ length: 600 }, (_, n) => next.sleep(1e9, { key: `${'k'.repeat(150)}${n}` }))
          if (!begun) return next.all([next.sleep(0, { key: 'begin' }), ...waits])
          if (emitted < 3) return next.emit({ type: 'DomainEvent', name: 'large', payload: 'x'.repeat(MIB - 60) })
          return next.complete('y'.repeat(MIB - 2000))
        },
      },
    )
    const parent = parentOf(overfull)
    const kernel = kernelOn(store, [overfull, parent])

    const outcome = await kernel.start(parent, null, { runId: 'p' })
    await settled()

    const { items } = await kernel.list({ workflow: 'overfull' })
    expect(items).toMatchObject([{ status: 'running', owes: [], problem: { code: 'LIMIT_EXCEEDED' } }])
    expect(outcome).toMatchObject({ status: 'blocked' })
  })
})

describe('a child that cannot be started', () => {
  test('because its input does not fit its own log is a child that failed', async () => {
    const parent = parentOf(quick, 'x'.repeat(MIB - 125))
    const kernel = kernelOn(memoryStore(), [quick, parent])

    const outcome = await kernel.start(parent, null, { runId: 'p' })

    expect(outcome).toMatchObject({ status: 'completed', output: 'failed' })
  })
})

describe('a debt that another process left', () => {
  test('while this one gave the run back is paid, and not forgotten', async () => {
    const slow = defineWorkflow(
      { name: 'slow', version: '1', input: z.null(), signals: { never: z.null() } },
      { step: (_, next) => next.waitFor('never') },
    )
    const parent = defineWorkflow(
      { name: 'parent', version: '1', input: z.null(), signals: { go: z.null() } },
      {
        step: ({ results }, next) => {
          const first = next.child(slow, null)
          if (!results['go']) return next.all([first, next.waitFor('go')])
          return results['quick'] ? next.complete(results['quick'].status) : next.all([next.child(quick, null), first])
        },
      },
    )
    const data = memoryStore()
    // It takes the signal, asks for the child, and cannot start it: the child's code is not there.
    const other = kernelOn(data, [slow, parent])
    let released = false
    const store: Store = {
      ...data,
      runs: {
        ...data.runs,
        release: async (claim, request) => {
          if (released || claim.runId !== 'p') return data.runs.release(claim, request)
          released = true
          const body = JSON.stringify({ name: 'go', signalId: 's', value: null })
          await data.inbox.post('p', { id: 's', type: 'SignalReceived', body }, { maxWaiting: 9 })
          const answer = await data.runs.release(claim, request)
          await other.run('p').catch(() => undefined)
          return answer
        },
      },
    }

    const outcome = await kernelOn(store, [quick, slow, parent]).start(parent, null, { runId: 'p' })

    expect(released).toBe(true)
    expect(outcome).toMatchObject({ status: 'completed', output: 'succeeded' })
  })
})

describe('a run whose time comes while its store is away', () => {
  test('goes on when the store is back', async () => {
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    let away = false
    const store = recordCalls(data, [], () =>
      away ? Promise.reject(new StoreError('STORE_UNREACHABLE', 'away', { retryable: true })) : undefined,
    )
    const sleeping = defineWorkflow(
      { name: 'sleeping', version: '1', input: z.null() },
      { step: ({ results }, next) => (results['sleep'] ? next.complete('awake') : next.sleep(60_000)) },
    )
    const kernel = kernelOn(store, [sleeping], clock)
    await kernel.start(sleeping, null, { runId: 'r' })
    away = true
    for (let second = 0; second < 70; second++) await clock.advance(1000)
    away = false

    for (let second = 0; second < 10; second++) await clock.advance(1000)

    expect(await kernel.get('r')).toMatchObject({ status: 'completed' })
  })
})
