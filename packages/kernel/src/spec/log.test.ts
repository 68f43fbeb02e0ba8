import { memoryStore } from '@varve/store-memory'
import { sha256, type Store } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { readLog, sealLog, typesOf, writeLog } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { stateUpdatedReducer } from '../workflow/results-state.ts'

const numbers = defineWorkflow(
  {
    ...{ name: 'numbers', version: '1', input: z.number() },
    initialState: (input: number) => input,
    actions: { call: { run: () => 'ok' } },
    interrupts: { pause: { ask: z.null(), answer: z.null() } },
  },
  { reduce: stateUpdatedReducer<number>, step: (_, next) => next.complete(null) },
)

const stateUpdated = (payload: number, stepId?: string) => ({
  type: 'StateUpdated',
  data: { payload, ...(stepId !== undefined && { stepId }) },
})
const completed = { type: 'Completed', data: { output: null } }

/** A kernel on a store with one run in it, whose log begins without `RunStarted`. */
async function kernelWith(log: readonly { type: string; data: unknown }[]) {
  const store = memoryStore()
  const status = log.at(-1)?.type === 'Completed' ? 'completed' : 'running'
  await writeLog(store, 'run-1', log, { workflow: 'numbers', status })
  return { store, kernel: createKernel({ store, workflows: [numbers] }) }
}

async function entriesOf(log: readonly { type: string; data: unknown }[]) {
  const { kernel } = await kernelWith(log)
  return Array.fromAsync(kernel.executionLog('run-1', { initialState: 0 }))
}

describe('the execution log', () => {
  test('has one entry per event, with run, position, step and type', async () => {
    const entries = await entriesOf([stateUpdated(1, 'n1'), completed])

    expect(entries).toMatchObject([
      { runId: 'run-1', seq: 1, stepId: 'n1', type: 'StateUpdated' },
      { runId: 'run-1', seq: 2, type: 'Completed' },
    ])
  })

  test('names the step of a state update', async () => {
    const [entry] = await entriesOf([stateUpdated(1, 'node-a'), completed])

    // An entry always has a state hash; there is no form without one.
    expect(entry).toMatchObject({ stepId: 'node-a', seq: 1, stateHash: sha256('1') })
  })

  test('names no step where an event has none', async () => {
    const [, entry] = await entriesOf([stateUpdated(1, 'node-a'), completed])

    expect(entry).not.toHaveProperty('stepId')
    expect(entry).toMatchObject({ seq: 2 })
  })

  test('names the action of a request, as the trace of the run does', async () => {
    const request = { type: 'ActionRequested', data: { key: 'a1', action: 'call', input: null, effect: 'idempotent' } }
    const log = [stateUpdated(1), stateUpdated(2), request]
    const { kernel } = await kernelWith(log)

    const [, , entry] = await Array.fromAsync(kernel.executionLog('run-1', { initialState: 0 }))
    const timeline = await kernel.timeline('run-1')

    expect(entry).toMatchObject({ runId: 'run-1', seq: 3, key: 'a1', type: 'ActionRequested' })
    // Times are recorded here: the trace has one, and leaves out what an event does not have.
    expect(timeline.events[2]).toEqual({ seq: 3, type: 'ActionRequested', at: 1000, key: 'a1' })
  })

  test('has equal state hashes before and after Completed', async () => {
    const [first, second] = await entriesOf([stateUpdated(1), completed])

    expect(first?.stateHash).toBe('6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b')
    expect(second?.stateHash).toBe(first?.stateHash)
  })
})

describe('the contract of the event store', () => {
  const events = sealLog('run-1', [stateUpdated(1), stateUpdated(2), stateUpdated(3)])
  const create = { workflow: 'numbers', version: '1', tags: [], queue: 'default' }
  const created = { status: 'running', blockedOn: [], wakeAt: 0, create } as const

  async function filled(): Promise<Store> {
    const store = memoryStore()
    await store.events.append('run-1', events, { expectedHead: 0, fencingToken: 0, run: created })
    return store
  }

  test('an append writes all its events or none', async () => {
    const store = memoryStore()
    const withHole = [events[0]!, events[2]!]

    const appending = store.events.append('run-1', withHole, { expectedHead: 0, fencingToken: 0, run: created })

    await expect(appending).rejects.toMatchObject(storeError('INVALID_ARGUMENT'))
    expect(await readLog(store, 'run-1')).toEqual([])
  })

  test('every event has a seq, and the head is the last one', async () => {
    const store = await filled()

    const log = await readLog(store, 'run-1')

    expect(log.map(({ seq }) => seq)).toEqual([1, 2, 3])
    // An append does not answer the last seq: its caller gave it.
    expect((await store.runs.find('run-1'))?.head).toBe(3)
  })

  test('a read begins with its first seq, in ascending order', async () => {
    const store = await filled()

    const tail = await Array.fromAsync(store.events.read('run-1', { from: 2 }))

    expect(tail.map(({ seq }) => seq)).toEqual([2, 3])
  })

  test('an unknown run has no events and no head', async () => {
    const store = memoryStore()

    expect(await readLog(store, 'nobody')).toEqual([])
    // There is no row to have a head of 0.
    expect(await store.runs.find('nobody')).toBeUndefined()
  })

  test('every request is matched by exactly one outcome of the same key', async () => {
    const workflow = defineWorkflow(
      { name: 'three', version: '1', input: z.null(), actions: { call: { run: (n: number) => n } } },
      {
        step: ({ results }, next) =>
          Object.keys(results).length === 3
            ? next.complete(null)
            : next.all([1, 2, 3].map((n) => next.run('call', n, { key: `call:${n}` }))),
      },
    )
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [workflow] })

    await kernel.start(workflow, null, { runId: 'run-1' })

    const keysOf = async (type: string): Promise<string[]> =>
      (await readLog(store, 'run-1'))
        .filter((event) => event.type === type)
        .map(({ body }) => (JSON.parse(body) as { key: string }).key)
        .sort()
    expect(await keysOf('ActionRequested')).toEqual(['call:1', 'call:2', 'call:3'])
    expect(await keysOf('ActionSucceeded')).toEqual(['call:1', 'call:2', 'call:3'])
  })

  test('an error shows what failed first in its text', async () => {
    const kernel = createKernel({ store: memoryStore(), workflows: [numbers] })

    const error: unknown = await kernel.run('nobody').catch((caught: unknown) => caught)

    // A code in place of the name of a layer.
    expect((error as Error).message).toMatch(/^RUN_NOT_FOUND: /)
  })
})

describe('hashes of a log', () => {
  test('the same events have the same hash', () => {
    const log = [stateUpdated(1), completed]

    // Every event carries the hash of the log up to it; the run id and the time enter, too.
    expect(sealLog('run-1', log)).toEqual(sealLog('run-1', log))
    expect(sealLog('run-2', log).at(-1)?.hash).not.toBe(sealLog('run-1', log).at(-1)?.hash)
  })

  test('a log whose events are not those that were hashed is refused', async () => {
    const store = memoryStore()
    const log = sealLog('run-1', [stateUpdated(1), completed])
    const forged = log.map((event) => (event.seq === 1 ? { ...event, body: '{"payload":2}' } : event))
    const run = { ...created(), status: 'completed', wakeAt: null } as const
    await store.events.append('run-1', forged, { expectedHead: 0, fencingToken: 0, run })
    const kernel = createKernel({ store, workflows: [numbers] })

    const replaying = kernel.replay('run-1', { initialState: 0 })

    await expect(replaying).rejects.toMatchObject({ ...storeError('CORRUPT_LOG'), where: { runId: 'run-1', seq: 1 } })
  })

  function created() {
    return { blockedOn: [], create: { workflow: 'numbers', version: '1', tags: [], queue: 'default' } }
  }

  test('replaying again and again changes neither the state nor the hash', async () => {
    const { kernel } = await kernelWith([stateUpdated(1), stateUpdated(2), completed])

    const replays = await Promise.all([1, 2, 3].map(() => kernel.replay('run-1', { initialState: 0 })))

    expect(replays.map(({ state, hash }) => ({ state, hash }))).toEqual(
      Array.from({ length: 3 }, () => ({ state: 2, hash: replays[0]?.hash })),
    )
  })
})

describe('reading a run', () => {
  test('a replay from the beginning gives the last state', async () => {
    const { kernel } = await kernelWith([stateUpdated(10), stateUpdated(20), stateUpdated(30)])

    expect(await kernel.replay('run-1', { initialState: 0 })).toMatchObject({ state: 30, head: 3 })
  })

  test('a walk through the log shows the state after each event, and then ends', async () => {
    const { kernel } = await kernelWith([stateUpdated(1), stateUpdated(2)])
    const walk = kernel.executionLog('run-1', { initialState: 0 })

    const steps = [await walk.next(), await walk.next(), await walk.next()]

    expect(steps).toMatchObject([
      { value: { stateHash: sha256('1') }, done: false },
      { value: { stateHash: sha256('2') }, done: false },
      { value: undefined, done: true },
    ])
  })

  test('a run that does not exist is not found', async () => {
    const kernel = createKernel({ store: memoryStore(), workflows: [numbers] })

    await expect(kernel.replay('nobody')).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
    await expect(kernel.timeline('nobody')).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
    await expect(kernel.executionLog('nobody').next()).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })

  const interrupted = { type: 'Interrupted', data: { key: 'pause', kind: 'pause', value: null } }
  const resumed = { type: 'Resumed', data: { key: 'pause', value: null } }

  test('a question without an answer leaves the run blocked', async () => {
    const { kernel } = await kernelWith([interrupted])

    // It is no fault of a log that a question is open at its end.
    expect((await kernel.timeline('run-1')).status).toBe('blocked')
  })

  test('an answer without a question cannot stand in a log', async () => {
    const { kernel } = await kernelWith([resumed])

    await expect(kernel.timeline('run-1')).rejects.toMatchObject({ ...kernelError('INVALID_LOG'), where: { seq: 1 } })
  })

  test('a question with its answer is in order', async () => {
    const { kernel } = await kernelWith([interrupted, resumed])

    expect((await kernel.timeline('run-1')).status).toBe('running')
  })

  test('a timeline has the events in order and how the run stands, and survives JSON', async () => {
    const { store, kernel } = await kernelWith([stateUpdated(1, 'n1'), interrupted, resumed, completed])

    const timeline = await kernel.timeline('run-1')

    expect(timeline.events.map(({ type }) => type)).toEqual(await typesOf(store, 'run-1'))
    expect(timeline.status).toBe('completed')
    expect(JSON.parse(JSON.stringify(timeline))).toEqual(timeline)
  })
})

describe('snapshots', () => {
  test('saved out of order, the one with the highest seq is the latest', async () => {
    const store = memoryStore()
    const drafts = [1, 2, 3, 4, 5, 6, 7].map((n) => stateUpdated(n))
    await writeLog(store, 'run-1', drafts, { workflow: 'numbers' })
    const snapshot = { runId: 'run-1', hash: '', format: 1, workflowVersion: '1', build: 'b', body: '{}' }

    for (const seq of [3, 7, 5]) await store.snapshots.save({ ...snapshot, seq })

    expect((await store.snapshots.latest('run-1'))?.seq).toBe(7)
  })
})
