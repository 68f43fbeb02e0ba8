import { sha256 } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { budget } from '../policy/budget.ts'
import { allowList } from '../policy/policy.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { readLog, runStarted, typesOf, writeLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { effectSink, type Effect } from '../views/effects.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { stateUpdatedReducer } from '../workflow/results-state.ts'
import { createKernel } from './kernel.ts'
import type { KernelOptions } from './options.ts'

const traveling = defineWorkflow(
  {
    ...{ name: 'traveling', version: '1', input: z.object({ cities: z.array(z.string()) }) },
    events: { moved: z.object({ to: z.string().trim(), at: z.number() }) },
    actions: { book: { run: (city: string) => `room in ${city}` } },
    interrupts: { approve: { ask: z.object({ rooms: z.array(z.string()) }), answer: z.boolean() } },
    initialState: (input) => ({ left: input.cities, here: 'home', rooms: [] as string[], approved: false }),
  },
  {
    reduce: (state, event) => {
      switch (event.type) {
        case 'DomainEvent':
          return { ...state, here: event.data.payload.to, left: state.left.slice(1) }
        case 'ActionSucceeded':
          return { ...state, rooms: [...state.rooms, event.data.output] }
        case 'Resumed':
          return { ...state, approved: event.data.value }
        default:
          return state
      }
    },
    step: ({ left, here, rooms, approved }, next, { now }) => {
      const [to] = left
      if (rooms.length === 0 && to === undefined) return next.run('book', here)
      if (to !== undefined)
        return next.emit({ type: 'DomainEvent', name: 'moved', payload: { to: ` ${to} `, at: now } })
      return approved ? next.complete({ here, rooms }) : next.interrupt('approve', { rooms })
    },
  },
)

describe('looking at runs', () => {
  async function threeRuns() {
    const clock = manualClock(1000)
    const store = memoryStore({ now: clock.now })
    const kernel = createKernel({ store, workflows: [traveling], clock })
    for (const [runId, tags] of [
      ['a', ['x']],
      ['b', ['x', 'y']],
      ['c', []],
    ] as const) {
      await kernel.start(traveling, { cities: [] }, { runId, tags })
      await clock.advance(10)
    }
    return { clock, store, kernel }
  }

  test('get answers the row of a run, and an error for an unknown one', async () => {
    const { kernel } = await threeRuns()

    expect(await kernel.get('b')).toMatchObject({
      runId: 'b',
      workflow: 'traveling',
      status: 'blocked',
      tags: ['x', 'y'],
    })
    await expect(kernel.get('nobody')).rejects.toMatchObject({
      ...kernelError('RUN_NOT_FOUND'),
      where: { runId: 'nobody' },
    })
    await expect(kernel.get('')).rejects.toMatchObject(storeError('INVALID_ARGUMENT'))
  })

  test('find answers undefined for an unknown run', async () => {
    const { kernel } = await threeRuns()

    expect(await kernel.find('b')).toMatchObject({ runId: 'b' })
    expect(await kernel.find('nobody')).toBeUndefined()
  })

  test('list answers runs newest first, filtered, in pages', async () => {
    const { kernel } = await threeRuns()

    const all = await kernel.list()
    const tagged = await kernel.list({ tags: ['x'] })
    const first = await kernel.list({}, { limit: 2 })
    const second = await kernel.list({}, { limit: 2, cursor: first.next! })

    expect(all.items.map(({ runId }) => runId)).toEqual(['c', 'b', 'a'])
    expect(tagged.items.map(({ runId }) => runId)).toEqual(['b', 'a'])
    expect(first.items.map(({ runId }) => runId)).toEqual(['c', 'b'])
    expect(second.items.map(({ runId }) => runId)).toEqual(['a'])
    expect(second).not.toHaveProperty('next')
  })
})

describe('the views of a run', () => {
  async function travelled() {
    const clock = manualClock(1000)
    const store = memoryStore({ now: clock.now })
    const kernel = createKernel({ store, workflows: [traveling], clock })
    await kernel.start(traveling, { cities: ['Rome', 'Oslo'] }, { runId: 'r' })
    await clock.advance(500)
    await kernel.resume('r', { key: 'approve', value: true, by: 'ada' })
    return { store, kernel }
  }

  test('the timeline has every event with its time and what it is about', async () => {
    const { store, kernel } = await travelled()

    const timeline = await kernel.timeline('r')

    expect(timeline.events).toEqual([
      { seq: 1, at: 1000, type: 'RunStarted' },
      { seq: 2, at: 1000, type: 'DomainEvent' },
      { seq: 3, at: 1000, type: 'DomainEvent' },
      { seq: 4, at: 1000, type: 'ActionRequested', key: 'book' },
      { seq: 5, at: 1000, type: 'ActionSucceeded', key: 'book' },
      { seq: 6, at: 1000, type: 'Interrupted', key: 'approve' },
      { seq: 7, at: 1500, type: 'Resumed', key: 'approve' },
      { seq: 8, at: 1500, type: 'Completed' },
    ])
    expect(timeline).toMatchObject({
      runId: 'r',
      status: 'completed',
      head: 8,
      hash: (await readLog(store, 'r')).at(-1)?.hash,
      spent: { requests: 1, attempts: 1, turns: 3, usage: {}, wallClockMs: 500 },
    })
  })

  test('of one that was left amid an action execute nothing and write nothing', async () => {
    const store = memoryStore()
    const calls: string[] = []
    const calling = defineWorkflow(
      { name: 'calling', version: '1', input: z.null(), actions: { call: { run: () => expect.unreachable() } } },
      { step: ({ results }, next) => (results['call'] ? next.complete(null) : next.run('call')) },
    )
    const request = {
      type: 'ActionRequested',
      data: { key: 'call', action: 'call', input: null, effect: 'idempotent' },
    }
    await writeLog(store, 'r', [runStarted('calling'), request], { workflow: 'calling' })
    const kernel = createKernel({ store: recordCalls(store, calls), workflows: [calling] })

    const replayed = await kernel.replay('r')
    const fromSnapshot = await kernel.replayFromSnapshot('r')
    await kernel.stateAt('r', 1)
    const verification = await kernel.verify('r')
    await kernel.timeline('r')
    await Array.fromAsync(kernel.executionLog('r'))

    expect([replayed, fromSnapshot]).toMatchObject([{ head: 2 }, { head: 2 }])
    expect(verification).toMatchObject({ ok: true, head: 2 })
    expect(calls.filter((name) => !/find|read|latest/.test(name))).toEqual([])
  })

  test('the timeline needs no code of the workflow', async () => {
    const { store } = await travelled()

    expect((await createKernel({ store, workflows: [] }).timeline('r')).events).toHaveLength(8)
  })

  test('the execution log has the hash of the state after each event', async () => {
    const { kernel } = await travelled()

    const entries = await Array.fromAsync(kernel.executionLog('r'))

    const hashOf = (left: string[], here: string, rooms: string[], approved: boolean): string =>
      sha256(JSON.stringify({ approved, here, left, rooms }))
    expect(entries.map(({ type, stateHash }) => [type, stateHash])).toEqual([
      ['RunStarted', hashOf(['Rome', 'Oslo'], 'home', [], false)],
      ['DomainEvent', hashOf(['Oslo'], 'Rome', [], false)],
      ['DomainEvent', hashOf([], 'Oslo', [], false)],
      ['ActionRequested', hashOf([], 'Oslo', [], false)],
      ['ActionSucceeded', hashOf([], 'Oslo', ['room in Oslo'], false)],
      ['Interrupted', hashOf([], 'Oslo', ['room in Oslo'], false)],
      ['Resumed', hashOf([], 'Oslo', ['room in Oslo'], true)],
      ['Completed', hashOf([], 'Oslo', ['room in Oslo'], true)],
    ])
    expect(entries[6]).toMatchObject({ runId: 'r', seq: 7, key: 'approve', data: { value: true, by: 'ada' } })
  })

  test('a replay gives the state, and where it stands', async () => {
    const { store, kernel } = await travelled()

    expect(await kernel.replay('r')).toEqual({
      ...{ runId: 'r', status: 'completed', head: 8, hash: (await readLog(store, 'r')).at(-1)?.hash },
      state: { left: [], here: 'Oslo', rooms: ['room in Oslo'], approved: true },
    })
  })

  test('a replay of a version that is not registered is an error', async () => {
    const { store } = await travelled()
    const kernel = createKernel({ store, workflows: [] })

    await expect(kernel.replay('r')).rejects.toMatchObject(kernelError('WORKFLOW_MISSING'))
  })

  test('domain events are recorded as their schema returns them, with the time that the step was told', async () => {
    const { store } = await travelled()

    const moved = (await readLog(store, 'r')).filter(({ type }) => type === 'DomainEvent')

    expect(moved.map(({ body }) => body)).toEqual([
      '{"name":"moved","payload":{"at":1000,"to":"Rome"}}',
      '{"name":"moved","payload":{"at":1000,"to":"Oslo"}}',
    ])
  })
})

describe('the listener for commits', () => {
  test('is told of every commit once, in order, after it became durable', async () => {
    const store = memoryStore()
    const told: string[] = []
    const heads: Promise<number | undefined>[] = []
    const kernel = createKernel({
      ...{ store, workflows: [traveling] },
      onCommitted: (runId, events) => {
        told.push(...events.map(({ seq, type }) => `${seq} ${type}`))
        heads.push(store.runs.find(runId).then((row) => row?.head))
      },
    })

    await kernel.start(traveling, { cities: ['Rome'] }, { runId: 'r' })
    await kernel.resume('r', { key: 'approve', value: true })
    await kernel.run('r')
    await kernel.replay('r')

    expect(told).toEqual((await typesOf(store, 'r')).map((type, i) => `${i + 1} ${type}`))
    expect(await Promise.all(heads)).toEqual([3, 5, 7])
  })

  test('may throw: the run goes on, and a warning tells of it', async () => {
    const warnings: Error[] = []
    const kernel = createKernel({
      ...{ store: memoryStore(), workflows: [traveling], onWarning: (warning: Error) => warnings.push(warning) },
      onCommitted: () => {
        throw new Error('listener is broken')
      },
    })

    const outcome = await kernel.start(traveling, { cities: [] })

    expect(outcome.status).toBe('blocked')
    expect(warnings.map(({ message }) => message)).toEqual(['listener is broken', 'listener is broken'])
  })

  test('as an effect sink gets state writes, calls and questions, and nothing that was denied', async () => {
    const effects: Effect[] = []
    const workflow = defineWorkflow(
      {
        ...{ name: 'w', version: '1', input: z.null(), initialState: () => ({ n: 0 }) },
        actions: { read: { run: (path: string) => path.length }, write: { run: () => null } },
        interrupts: { ask: { ask: z.string(), answer: z.null() } },
      },
      {
        reduce: (state: { n: number }, event) =>
          event.type === 'ActionSucceeded' ? { n: 2 } : stateUpdatedReducer(state, event),
        step: ({ n }, next) => {
          if (n === 0) return next.emit({ type: 'StateUpdated', payload: { n: 1 }, stepId: 's' })
          return n === 1
            ? next.all([next.run('write', null, { key: 'w' }), next.run('read', '/tmp')])
            : next.interrupt('ask', 'ok?')
        },
      },
    )
    const store = memoryStore()
    const policy = allowList({ actions: ['read'] })
    const onCommitted = effectSink((_, effect) => effects.push(effect))

    await createKernel({ store, workflows: [workflow], policy, onCommitted }).start(workflow, null)

    expect(effects).toEqual([
      { kind: 'state-write', seq: 2, stepId: 's', payload: { n: 1 } },
      { kind: 'action-call', seq: 4, key: 'read', action: 'read', input: '/tmp' },
      { kind: 'interrupt-raise', seq: 6, key: 'ask', interrupt: 'ask', value: 'ok?' },
    ])
  })
})

describe('time', () => {
  test('never goes back within a run, although the clock of the store may', async () => {
    let now = 5000
    const store = memoryStore({ now: () => now })
    const clock = manualClock(5000)
    await createKernel({ store, workflows: [traveling], clock }).start(traveling, { cities: [] }, { runId: 'r' })
    now = 1000
    const behind = createKernel({ store, workflows: [traveling], clock: manualClock(1000) })

    const outcome = await behind.resume('r', { key: 'approve', value: true })

    expect(outcome.status).toBe('completed')
    expect((await readLog(store, 'r')).map(({ at }) => at)).toEqual([5000, 5000, 5000, 5000, 5000, 5000])
  })
})

describe('options that cannot work are refused', () => {
  test.for([99, 0, -1, Number.NaN, Number.POSITIVE_INFINITY, 100.5])('a lease of %d ms', (leaseMs) => {
    expect(() => createKernel({ store: memoryStore(), workflows: [], leaseMs })).toThrow(
      expect.objectContaining(kernelError('INVALID_DEFINITION')),
    )
  })

  test.for<[what: string, options: unknown, says: string]>([
    ['none', undefined, 'the options of createKernel must be an object, got undefined'],
    ['no workflows', {}, 'workflows must be a list, got undefined'],
    ['no store', { store: undefined }, 'store must be a store, as memoryStore() makes one, got undefined'],
    ['a store that was not made', { store: memoryStore }, 'got a function'],
    ['a store that is awaited nowhere', { store: Promise.resolve() }, 'got an object'],
    ['an address', { store: 'postgres://bob:hunter2@db/x' }, 'as memoryStore() makes one, got a text'],
    ['artifacts that are none', { artifacts: {} }, 'artifacts must be a store of artifacts, got an object'],
    ['an observer that is none', { observer: 'me' }, 'observer must be an object, got a text'],
    ['no limits', { limits: null }, 'limits must be an object, got null'],
    ['a limit that there is not', { limits: { bodybytes: 5 } }, 'there is no limit "bodybytes"'],
    ['an option that there is not', { onWarn: () => undefined }, 'createKernel has no option "onWarn", only store'],
    ['an option of secrets that there is not', { secrets: { key: {} } }, 'no option "key", only keys, resolve'],
    ['a listener that is none', { onWarning: 'me' }, 'onWarning must be a function, got "me"'],
    ['a build that is no text', { build: 7 }, 'build must be a text, got 7'],
    ['half a store', { store: { now: () => 0, capabilities: {}, events: {}, runs: {}, inbox: null } }, 'got an object'],
    ['a clock that is a time', { clock: 5 }, 'clock must be a clock, as systemClock is one, got 5'],
    ['a lease of no number', { leaseMs: Symbol('s') }, 'leaseMs must be a whole number from 100, got a symbol'],
    ['a guard of another word', { guard: 'Throw' }, 'guard must be throw or warn or off, got "Throw"'],
    ['a guard of no word', { guard: true }, 'guard must be throw or warn or off, got true'],
    ['a drift of another word', { onDrift: 'park' }, 'onDrift must be stop or warn, got "park"'],
    ['an id where they are made', { newId: 'id' }, 'newId must be a function, got "id"'],
    ['a policy that was not made', { policy: budget }, 'must be an object with a name and at least one function'],
    ['a list of policies', { policy: [budget({ requests: 1 })] }, 'got a list; to allow everything, give allowAll'],
    ['a policy by its name', { policy: 'deny' }, 'got "deny"'],
    ['a policy that is awaited nowhere', { policy: Promise.resolve(allowList({ actions: [] })) }, 'got an object'],
    ['a policy of a misspelled method', { policy: { name: 'p', authorise: () => undefined } }, 'authorize'],
    ['a policy whose method is none', { policy: { name: 'p', retryInMs: 5 } }, 'retryInMs'],
    ['a policy without a name', { policy: { authorize: () => undefined } }, 'a name'],
  ])('%s', ([, options, says]) => {
    const whole = typeof options === 'object' && Object.keys(options!).length > 0
    const given = whole ? { store: memoryStore(), workflows: [], ...options } : options

    expect(() => createKernel(given as KernelOptions)).toThrow(
      expect.objectContaining({
        ...kernelError('INVALID_DEFINITION'),
        message: expect.stringContaining(says) as string,
      }),
    )
  })
})

test.for<[what: string, id: unknown]>([
  ['a number', 1],
  ['nothing', ''],
  ['a promise', Promise.resolve('id')],
])('an id that is %s is refused before it reaches a log', async ([, id]) => {
  const store = memoryStore()
  const kernel = createKernel({ store, workflows: [traveling], newId: () => id as string })

  const starting = kernel.start(traveling, { cities: [] }, { runId: 'r' })

  await expect(starting).rejects.toMatchObject(kernelError('INVALID_DEFINITION'))
  expect(await kernel.find('r')).toBeUndefined()
})

test.for([{ waitingPosts: 1001 }, { waitingPosts: 0 }, { appendEvents: 501 }, { depth: 1.5 }])(
  'limits under which a run could not be driven are refused: %j',
  (limits) => {
    expect(() => createKernel({ store: memoryStore(), workflows: [], limits })).toThrow(
      expect.objectContaining(kernelError('INVALID_DEFINITION')),
    )
  },
)

test('more events may be appended at once than a store lists posts', async () => {
  const workflow = defineWorkflow(
    { name: 'listening', version: '1', input: z.null(), signals: { go: z.null() } },
    { step: ({ results }, next) => (results['go'] ? next.complete('heard') : next.waitFor('go')) },
  )
  const kernel = createKernel({ store: memoryStore(), workflows: [workflow], limits: { appendEvents: 2000 } })
  await kernel.start(workflow, null, { runId: 'r' })

  expect(await kernel.signal('r', { name: 'go', value: null })).toMatchObject({ status: 'completed' })
})

test.for([Number.NaN, -1, 0.5])('a run cannot be recovered %s times', (maxRecoveries) => {
  expect(() => createKernel({ store: memoryStore(), workflows: [], maxRecoveries })).toThrow(
    expect.objectContaining(kernelError('INVALID_DEFINITION')),
  )
})
