import type { Json } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { ActionError } from '../policy/action-error.ts'
import { retryWithBackoff } from '../policy/retry.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { dataOf, typesOf, writeLog } from '../testing/sealed-log.ts'
import { effectSink, type Effect } from '../views/effects.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'
import { stateUpdatedReducer } from '../workflow/results-state.ts'

/** A state that is a bare number, replaced by the last `StateUpdated`. */
const numberSpec = {
  name: 'numbers',
  version: '1',
  input: z.number(),
  initialState: (input: number) => input,
  interrupts: { pause: { ask: z.string(), answer: z.number() } },
}

const completing = defineWorkflow(numberSpec, {
  reduce: stateUpdatedReducer<number>,
  step: (_, next) => next.complete(null),
})

const pausing = defineWorkflow(numberSpec, {
  reduce: stateUpdatedReducer<number>,
  step: (_, next) => next.interrupt('pause', 'pause'),
})

const emitting = defineWorkflow(numberSpec, {
  reduce: stateUpdatedReducer<number>,
  step: (state, next) =>
    state === 0 ? next.emit({ type: 'StateUpdated', stepId: 'node1', payload: 1 }) : next.complete(null),
})

/** Calls one action whose outcomes are scripted, then completes. */
function calling(outcomes: (() => Json)[], calls: { count: number } = { count: 0 }): Workflow<null> {
  return defineWorkflow(
    {
      name: 'calling',
      version: '1',
      input: z.null(),
      actions: {
        call: {
          run: (): Json => {
            calls.count++
            const outcome = outcomes.shift()
            if (outcome === undefined) throw new Error('the script has ended')
            return outcome()
          },
        },
      },
    },
    {
      step: ({ results }, next) => (results['call']?.status === 'succeeded' ? next.complete(null) : next.run('call')),
    },
  )
}

const transient = (text: string) => (): Json => {
  throw new ActionError('transient', text)
}

/** A fixed delay of none. */
const retries = (maxAttempts: number) => retryWithBackoff({ maxAttempts, baseMs: 0 })

describe('in both driver versions', () => {
  test('a step that completes ends the run', async () => {
    const kernel = createKernel({ store: memoryStore(), workflows: [completing] })

    const outcome = await kernel.start(completing, 0, { runId: 'run-complete' })

    expect(outcome).toEqual({ status: 'completed', runId: 'run-complete', output: null })
  })

  test('the effect sink gets the state write, and nothing for the end', async () => {
    const effects: Effect[] = []
    const onCommitted = effectSink((_, effect) => effects.push(effect))
    const kernel = createKernel({ store: memoryStore(), workflows: [emitting], onCommitted })

    const outcome = await kernel.start(emitting, 0)

    expect(outcome.status).toBe('completed')
    // Its seq is 2, not 1: a run begins with RunStarted.
    expect(effects).toEqual([{ kind: 'state-write', seq: 2, stepId: 'node1', payload: 1 }])
  })

  test('the timeline of a completed run has its events and is JSON', async () => {
    const kernel = createKernel({ store: memoryStore(), workflows: [completing] })
    await kernel.start(completing, 0, { runId: 'run-timeline' })

    const timeline = await kernel.timeline('run-timeline')

    expect(timeline.runId).toBe('run-timeline')
    expect(timeline.events.map(({ type }) => type)).toContain('Completed')
    expect(JSON.stringify(timeline)).toContain('Completed')
  })

  test('a run that one kernel blocked is resumed by another kernel on the same store', async () => {
    const store = memoryStore()
    const first = createKernel({ store, workflows: [pausing] })
    const second = createKernel({ store, workflows: [completing], onDrift: 'warn', onWarning: () => undefined })
    const blocked = await first.start(pausing, 0, { runId: 'run-resume' })

    const resumed = await second.resume('run-resume', { key: 'pause', value: 1 })

    expect(blocked.status).toBe('blocked')
    expect(resumed.status).toBe('completed')
  })

  test('without onDrift the other kernel parks that run, because its step decides otherwise than recorded', async () => {
    const store = memoryStore()
    const first = createKernel({ store, workflows: [pausing] })
    const second = createKernel({ store, workflows: [completing] })
    await first.start(pausing, 0, { runId: 'run-resume' })

    const resuming = second.resume('run-resume', { key: 'pause', value: 1 })

    await expect(resuming).rejects.toMatchObject(kernelError('CODE_CHANGED'))
    expect(await first.get('run-resume')).toMatchObject({ problem: { code: 'CODE_CHANGED' }, waiting: 1 })
  })

  test('a replay executes nothing', async () => {
    const calls = { count: 0 }
    const workflow = calling([], calls)
    const store = memoryStore()
    const log = [
      { type: 'StateUpdated', data: { payload: 42 } },
      { type: 'Completed', data: { output: null } },
    ]
    await writeLog(store, 'run-replay', log, { workflow: 'calling', status: 'completed' })
    const kernel = createKernel({ store, workflows: [workflow] })

    await kernel.replay('run-replay')

    expect(calls.count).toBe(0)
  })

  test('replaying twice gives the same state, that of the last StateUpdated', async () => {
    const store = memoryStore()
    const log = [
      { type: 'StateUpdated', data: { payload: 10 } },
      { type: 'StateUpdated', data: { payload: 20 } },
      { type: 'Completed', data: { output: null } },
    ]
    await writeLog(store, 'run-replay', log, { workflow: 'numbers', status: 'completed' })
    const kernel = createKernel({ store, workflows: [completing] })

    const first = await kernel.replay('run-replay', { initialState: 0 })
    const second = await kernel.replay('run-replay', { initialState: 0 })

    expect(first).toEqual(second)
    expect(first.state).toBe(20)
  })

  test('an action that fails twice transiently and then succeeds is recorded as one success', async () => {
    const workflow = calling([transient('one'), transient('two'), () => 'ok'])
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [workflow], policy: retries(4) })

    const outcome = await kernel.start(workflow, null, { runId: 'run-retry' })

    expect(outcome.status).toBe('completed')
    const types = await typesOf(store, 'run-retry')
    expect(types.filter((type) => type === 'ActionSucceeded')).toHaveLength(1)
    expect(types).not.toContain('ActionFailed')
  })

  test('an error without a class is permanent: the run fails as a value, with request and failure in the log', async () => {
    const calls = { count: 0 }
    const mock = (): Json => {
      throw new Error('mock')
    }
    const workflow = calling([mock, mock], calls)
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [workflow], policy: retries(4) })

    const outcome = await kernel.start(workflow, null, { runId: 'run-fail' })

    expect(outcome).toMatchObject({ status: 'failed', error: { message: 'mock', kind: 'permanent' } })
    // The lifecycle has an end of its own for this: Failed, written by the kernel.
    expect(await typesOf(store, 'run-fail')).toEqual(['RunStarted', 'ActionRequested', 'ActionFailed', 'Failed'])
    expect(calls.count).toBe(1)
  })

  test('a replay from a snapshot folds only what lies behind it, and takes its state', async () => {
    const store = memoryStore()
    const log = [
      { type: 'StateUpdated', data: { payload: 10 } },
      { type: 'StateUpdated', data: { payload: 20 } },
      { type: 'StateUpdated', data: { payload: 30 } },
      { type: 'Completed', data: { output: null } },
    ]
    const folded: number[] = []
    const workflow = defineWorkflow(numberSpec, {
      reduce: (state: number, event) => {
        folded.push(event.seq)
        return stateUpdatedReducer(state, event)
      },
      step: (_, next) => next.complete(null),
    })
    const events = await writeLog(store, 'run-snapshot', log, { workflow: 'numbers', status: 'completed' })
    const parts = {
      at: 1000,
      open: [],
      facts: [],
      closed: { count: 0, names: [], bins: [] },
      signals: [],
      cancel: null,
      started: null,
      deciding: true,
    }
    const counts = { requests: 0, attempts: 0, turns: 1, usage: {}, startedAt: 1000 }
    const body = JSON.stringify({ ...parts, counts, state: 20 })
    const snapshot = { runId: 'run-snapshot', seq: 2, hash: events[1]!.hash, format: 2, workflowVersion: '1' }
    await store.snapshots.save({ ...snapshot, build: 'b', body })
    const kernel = createKernel({ store, workflows: [workflow], build: 'b' })

    const { state } = await kernel.replayFromSnapshot('run-snapshot', { initialState: 0 })

    expect(state).toBe(30)
    // Completed does not reach the reducer: it sees only what a step can act on.
    expect(folded).toEqual([3])
  })

  test('a failure that the action answers is not retried and is recorded once under the key of its request', async () => {
    const boom = (): Json => {
      throw new ActionError('permanent', 'boom')
    }
    const calls = { count: 0 }
    const workflow = calling([boom, () => 'never'], calls)
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [workflow], policy: retries(3) })

    const outcome = await kernel.start(workflow, null, { runId: 'run-boom' })

    expect(outcome).toMatchObject({ status: 'failed', error: { message: 'boom' } })
    expect(calls.count).toBe(1)
    const requested = await dataOf(store, 'run-boom', 'ActionRequested')
    const failed = await dataOf(store, 'run-boom', 'ActionFailed')
    expect(failed.map(({ key }) => key)).toEqual(requested.map(({ key }) => key))
    expect(await dataOf(store, 'run-boom', 'ActionSucceeded')).toEqual([])
  })

  test('retries do not repeat the request', async () => {
    const calls = { count: 0 }
    const workflow = calling([transient('one'), transient('two'), () => 'ok'], calls)
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [workflow], policy: retries(4) })

    const outcome = await kernel.start(workflow, null, { runId: 'run-once' })

    expect(outcome.status).toBe('completed')
    expect(calls.count).toBe(3)
    // Attempts are in the log, each between the one request and the one success.
    expect(await typesOf(store, 'run-once')).toEqual([
      'RunStarted',
      'ActionRequested',
      'ActionAttemptFailed',
      'ActionAttemptStarted',
      'ActionAttemptFailed',
      'ActionAttemptStarted',
      'ActionSucceeded',
      'Completed',
    ])
  })

  test('exhausted retries leave one failure, with the last error', async () => {
    const calls = { count: 0 }
    const workflow = calling([transient('transient-1'), transient('transient-2'), transient('transient-3')], calls)
    const store = memoryStore()
    // maxAttempts counts the first attempt: two are one retry.
    const kernel = createKernel({ store, workflows: [workflow], policy: retries(2) })

    const outcome = await kernel.start(workflow, null, { runId: 'run-exhausted' })

    expect(outcome.status).toBe('failed')
    expect(calls.count).toBe(2)
    expect(await dataOf(store, 'run-exhausted', 'ActionRequested')).toHaveLength(1)
    expect(await dataOf(store, 'run-exhausted', 'ActionSucceeded')).toHaveLength(0)
    // The text is the handler's, without a prefix.
    expect(await dataOf(store, 'run-exhausted', 'ActionFailed')).toMatchObject([
      { attempts: 2, error: { message: 'transient-2' } },
    ])
  })
})

describe('added in the newer driver version', () => {
  test('a completed run has a snapshot of its last event', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [emitting] })

    await kernel.start(emitting, 0, { runId: 'run-snapshot' })

    const snapshot = await store.snapshots.latest('run-snapshot')
    // RunStarted, StateUpdated, Completed: one more than in a log that begins with the first decision.
    expect(snapshot?.seq).toBe(3)
    expect(JSON.parse(snapshot!.body)).toMatchObject({ state: 1 })
  })

  test('a run that blocks has a snapshot of its initial state', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [pausing] })

    const outcome = await kernel.start(pausing, 7, { runId: 'run-snapshot' })

    expect(outcome.status).toBe('blocked')
    const snapshot = await store.snapshots.latest('run-snapshot')
    // It stands before the decision, which is checked again by whoever opens the run next.
    expect(snapshot?.seq).toBe(1)
    expect(JSON.parse(snapshot!.body)).toMatchObject({ state: 7 })
  })

  const tail = () => {
    const folded: number[] = []
    const workflow = defineWorkflow(numberSpec, {
      reduce: (state: number, event) => {
        folded.push(event.seq)
        return stateUpdatedReducer(state, event)
      },
      step: (_, next) => next.complete(null),
    })
    const write = async () => {
      const store = memoryStore()
      const log = [1, 2, 3].map((payload) => ({ type: 'StateUpdated', data: { payload } }))
      const events = await writeLog(store, 'run-tail', log, { workflow: 'numbers' })
      const snapshot = { runId: 'run-tail', seq: 2, hash: events[1]!.hash, format: 2, workflowVersion: '1', build: 'b' }
      const body = JSON.stringify({
        at: 1000,
        open: [],
        closed: { count: 0, names: [], bins: [] },
        signals: [],
        cancel: null,
        started: null,
        counts: { requests: 0, attempts: 0, turns: 1, usage: {}, startedAt: 1000 },
        deciding: true,
        facts: [],
        state: 2,
      })
      await store.snapshots.save({ ...snapshot, body })
      return store
    }
    return { folded, workflow, write }
  }

  test('a run is continued from its snapshot, and only the tail is folded', async () => {
    const { folded, workflow, write } = tail()
    const store = await write()
    const quiet = { onDrift: 'warn', onWarning: () => undefined } as const
    const kernel = createKernel({ store, workflows: [workflow], build: 'b', ...quiet })

    const outcome = await kernel.run('run-tail', { initialState: 0 })

    expect(outcome.status).toBe('completed')
    // Once, not twice: Completed does not reach the reducer.
    expect(folded).toEqual([3])
    const snapshot = await store.snapshots.latest('run-tail')
    expect(snapshot?.seq).toBe(4)
    expect(JSON.parse(snapshot!.body)).toMatchObject({ state: 3 })
  })

  test('without onDrift that run is parked, because the step would not have written the tail', async () => {
    const { workflow, write } = tail()
    const store = await write()
    const kernel = createKernel({ store, workflows: [workflow], build: 'b' })

    const running = kernel.run('run-tail', { initialState: 0 })

    await expect(running).rejects.toMatchObject(kernelError('CODE_CHANGED'))
    expect(await kernel.get('run-tail')).toMatchObject({ head: 3, problem: { code: 'CODE_CHANGED' } })
  })
})
