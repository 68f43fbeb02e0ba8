import type { Snapshot, Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import type { KernelOptions } from '../kernel/options.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { readLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

/** Counts what its actions return; asks whenever the input says so. Notes what is folded. */
function counting(askAt: readonly number[] = [], folded: number[] = [], payload = '') {
  return defineWorkflow(
    {
      ...{ name: 'counting', version: '1', input: z.int() },
      initialState: (input: number) => ({ input, sum: 0, answered: 0, payload: '' }),
      actions: { call: { run: (n: number) => ({ n, payload }) } },
      interrupts: { ask: { ask: z.null(), answer: z.null() } },
    },
    {
      reduce: (state, event) => {
        folded.push(event.seq)
        if (event.type === 'Resumed') return { ...state, answered: state.answered + 1 }
        return event.type === 'ActionSucceeded'
          ? { ...state, sum: state.sum + 1, payload: state.payload + event.data.output.payload }
          : state
      },
      step: (state, next) => {
        const { sum, input, answered } = state
        const asks = askAt.filter((at) => at <= sum).length
        if (answered < asks) return next.interrupt('ask', null, { key: `ask:${answered}` })
        return sum < input ? next.run('call', sum, { key: `call:${sum}` }) : next.complete(sum)
      },
    },
  )
}

async function savedBy(act: (store: Store) => Promise<unknown>): Promise<{ store: Store; saved: Snapshot[] }> {
  const saved: Snapshot[] = []
  const data = memoryStore()
  const store = recordCalls(data, [], (name, args) => {
    if (name === 'snapshots.save') saved.push(args[0] as Snapshot)
    return undefined
  })
  await act(store)
  return { store: data, saved }
}

function kernelOn(store: Store, workflow: ReturnType<typeof counting>, options: Partial<KernelOptions> = {}) {
  return createKernel({ store, workflows: [workflow], build: 'b', ...options })
}

describe('a snapshot is written', () => {
  test('when a run blocks, before its last decision, so that the tail holds one to check', async () => {
    const workflow = counting([2])

    const { store, saved } = await savedBy((s) => kernelOn(s, workflow).start(workflow, 3, { runId: 'r' }))

    const log = await readLog(store, 'r')
    expect(log.at(-1)?.type).toBe('Interrupted')
    expect(saved.map(({ seq }) => seq)).toEqual([log.length - 1])
    expect(saved[0]).toMatchObject({ hash: log.at(-2)?.hash, format: 2, workflowVersion: '1', build: 'b' })
    expect(JSON.parse(saved[0]!.body)).toMatchObject({ state: { sum: 2 }, open: [] })
  })

  test('when a run ends, after its last event', async () => {
    const workflow = counting()

    const { store, saved } = await savedBy((s) => kernelOn(s, workflow).start(workflow, 3, { runId: 'r' }))

    expect(saved.map(({ seq }) => seq)).toEqual([(await readLog(store, 'r')).length])
  })

  test('when the tail has 500 events and at least the bytes of the last snapshot', async () => {
    const workflow = counting([], [], 'x'.repeat(100))

    const { saved } = await savedBy((s) => kernelOn(s, workflow).start(workflow, 3000, { runId: 'r' }))

    const onTheWay = saved.slice(0, -1)
    expect(onTheWay.length).toBeGreaterThan(1)
    for (const [i, { seq, body }] of onTheWay.entries()) {
      const before = onTheWay[i - 1]
      expect(seq - (before?.seq ?? 0)).toBeGreaterThanOrEqual(499)
      // The state grows with the log, so distances grow, and the bytes of all snapshots stay within a small multiple.
      if (before !== undefined) expect(body.length).toBeGreaterThan(before.body.length * 1.3)
    }
  })

  test('once for a long log that had none, where the run blocks again', async () => {
    const workflow = counting([100, 101])
    const { store } = await savedBy((s) => kernelOn(s, workflow).start(workflow, 102, { runId: 'r' }))
    const saved: number[] = []
    const none = { ...store, snapshots: { ...store.snapshots, latest: async () => undefined } }
    const withoutSnapshots = recordCalls(none, [], (name, args) => {
      if (name === 'snapshots.save') saved.push((args[0] as Snapshot).seq)
      return undefined
    })

    await kernelOn(withoutSnapshots, workflow).resume('r', { key: 'ask:0', value: null })

    expect(saved).toEqual([(await readLog(store, 'r')).length - 1])
  })

  test('not where a run blocks again and what is new is little next to a large one', async () => {
    const workflow = counting([100, 101, 102, 103], [], 'x'.repeat(100))

    const { store, saved } = await savedBy(async (s) => {
      const kernel = kernelOn(s, workflow)
      await kernel.start(workflow, 104, { runId: 'r' })
      for (const n of [0, 1, 2]) await kernel.resume('r', { key: `ask:${n}`, value: null })
    })

    const blocks = (await readLog(store, 'r')).filter(({ type }) => type === 'Interrupted')
    expect(blocks).toHaveLength(4)
    expect(saved.length).toBeGreaterThan(0)
    expect(saved.filter(({ seq }) => seq >= (blocks[0]?.seq ?? 0))).toEqual([])
  })

  test('where a run blocks with a hundred new events, however large the one before is', async () => {
    const workflow = defineWorkflow(
      {
        ...{ name: 'large', version: '1', input: z.string() },
        initialState: (text: string) => ({ text, answered: 0 }),
        interrupts: { ask: { ask: z.null(), answer: z.null() } },
      },
      {
        reduce: (state, event) => (event.type === 'Resumed' ? { ...state, answered: state.answered + 1 } : state),
        step: ({ answered }, next) => next.interrupt('ask', null, { key: `ask:${answered}` }),
      },
    )

    const { saved } = await savedBy(async (store) => {
      // A kernel of its own each time: what it has read counts, too.
      const kernel = (): ReturnType<typeof createKernel> => createKernel({ store, workflows: [workflow], build: 'b' })
      await kernel().start(workflow, 'x'.repeat(200_000), { runId: 'r' })
      for (let n = 0; n < 110; n++) await kernel().resume('r', { key: `ask:${n}`, value: null })
    })

    expect(saved.map(({ seq }) => seq)).toEqual([1, 101, 201])
  })

  test('never when a run is only read', async () => {
    const workflow = counting([2])
    const { store } = await savedBy((s) => kernelOn(s, workflow).start(workflow, 3, { runId: 'r' }))
    const calls: string[] = []
    const kernel = kernelOn(recordCalls(store, calls), workflow)

    await kernel.replay('r')
    await kernel.replayFromSnapshot('r')
    await kernel.timeline('r')
    await Array.fromAsync(kernel.executionLog('r'))
    await kernel.run('r')

    expect(calls.filter((name) => !/find|read|latest/.test(name))).toEqual([])
  })

  test('and the last two are kept', async () => {
    const workflow = counting([1, 2, 3, 4])
    const store = memoryStore()
    const kernel = kernelOn(store, workflow)
    await kernel.start(workflow, 5, { runId: 'r' })
    for (const key of ['ask:0', 'ask:1', 'ask:2']) await kernel.resume('r', { key, value: null })

    const latest = await store.snapshots.latest('r')
    const before = await store.snapshots.latest('r', { atOrBefore: latest!.seq - 1 })
    const third = await store.snapshots.latest('r', { atOrBefore: before!.seq - 1 })

    expect(before).toBeDefined()
    expect(third).toBeUndefined()
  })
})

describe('a run is continued', () => {
  async function blocked(): Promise<Store> {
    const workflow = counting([5])
    const store = memoryStore()
    await kernelOn(store, workflow).start(workflow, 6, { runId: 'r' })
    return store
  }

  /** Seqs that are folded when the run is continued. */
  async function foldedAfter(spoil: (store: Store, snapshot: Snapshot) => Promise<unknown>, options = {}) {
    const store = await blocked()
    await spoil(store, (await store.snapshots.latest('r'))!)
    const folded: number[] = []
    const outcome = await kernelOn(store, counting([5], folded), options).resume('r', { key: 'ask:0', value: null })
    expect(outcome).toMatchObject({ status: 'completed', output: 6 })
    return folded
  }

  const head = 12
  const emptyBody = {
    ...{ at: 1, open: [], started: null, signals: [], cancel: null, terminal: null, reuse: null, facts: [] },
    ...{ counts: { requests: 0, attempts: 0, turns: 0, usage: {}, startedAt: 1 }, deciding: false, state: 0 },
  }

  test('from its snapshot: what lies before it is not folded', async () => {
    const folded = await foldedAfter(async () => undefined)

    expect(Math.min(...folded)).toBeGreaterThanOrEqual(head)
  })

  test.for<[what: string, change: Partial<Snapshot>]>([
    ['of another build', { build: 'other' }],
    ['of another version of the workflow', { workflowVersion: '0' }],
    ['of another format', { format: 1 }],
    ['whose hash is not that of its event', { hash: '0'.repeat(64) }],
    ['whose body is no JSON', { body: '{' }],
    ['whose body is no fold', { body: 'null' }],
    ['whose body lacks its parts', { body: '{}' }],
    ['whose body is of another shape', { body: JSON.stringify({ ...emptyBody, closed: [] }) }],
  ])('from the beginning when its snapshot is one %s', async ([, change]) => {
    const folded = await foldedAfter((store, snapshot) => store.snapshots.save({ ...snapshot, ...change }))

    expect(folded[0]).toBe(1)
  })

  test.for<[what: string, change: Partial<Snapshot>]>([
    ['cannot be read', { seq: head, body: '{' }],
    ['is of an event that is not there yet', { seq: 99 }],
  ])('from the snapshot before when the newest %s', async ([, change]) => {
    const folded = await foldedAfter((store, snapshot) => store.snapshots.save({ ...snapshot, ...change }))

    // That of seq 11 is read instead, and the tail holds one decision.
    expect(folded[0]).toBe(head + 1)
  })

  test('by another build of the code from the beginning, and the end of it is checked', async () => {
    const folded = await foldedAfter(async () => undefined, { build: 'new' })

    expect(folded[0]).toBe(1)
  })

  test('by changed code without a build of its own from the beginning, too', async () => {
    const store = memoryStore()
    const spec = {
      ...{ name: 'w', version: '1', input: z.null(), initialState: () => 0 },
      actions: { call: { run: () => 1 } },
      interrupts: { ask: { ask: z.null(), answer: z.null() } },
    }
    const before = defineWorkflow(spec, {
      reduce: (state, event) => (event.type === 'ActionSucceeded' ? state + 1 : state),
      step: (state, next) => (state === 0 ? next.run('call') : next.interrupt('ask', null, { key: `ask:${state}` })),
    })
    const after = defineWorkflow(spec, {
      reduce: (state, event) => (event.type === 'ActionSucceeded' ? state + 2 : state),
      step: (state, next) => (state === 0 ? next.run('call') : next.interrupt('ask', null, { key: `ask:${state}` })),
    })
    await createKernel({ store, workflows: [before] }).start(before, null, { runId: 'r' })

    const resuming = createKernel({ store, workflows: [after] }).resume('r', { key: 'ask:1', value: null })

    await expect(resuming).rejects.toMatchObject({
      ...kernelError('CODE_CHANGED'),
      divergence: { path: 'event.data.key' },
    })
  })
})

describe('a snapshot is a cache', () => {
  test('one that cannot be saved is warned of, and the run goes on', async () => {
    const warnings: Error[] = []
    const workflow = counting([1])
    const store = recordCalls(memoryStore(), [], (name) =>
      name.startsWith('snapshots.') ? Promise.reject(new Error('disk full')) : undefined,
    )

    const starting = kernelOn(store, workflow, { onWarning: (warning) => warnings.push(warning) }).start(workflow, 2)

    expect(await starting).toMatchObject({ status: 'blocked' })
    expect(warnings.map(({ message }) => message)).toEqual(['disk full'])
  })

  test('none is asked for where a run was only enqueued, and of its log no more than there is', async () => {
    const workflow = counting()
    const calls: string[] = []
    const ranges: unknown[] = []
    const store = recordCalls(memoryStore(), calls, (name, args) => {
      if (name === 'events.read') ranges.push(args[1])
      return undefined
    })
    const kernel = kernelOn(store, workflow)
    await kernel.start(workflow, 2, { runId: 'r', wait: false })

    const outcome = await kernel.run('r')

    expect(outcome).toMatchObject({ status: 'completed', output: 2 })
    expect(calls.filter((name) => name.startsWith('snapshots.'))).toEqual(['snapshots.save'])
    expect(ranges).toEqual([{ from: 1, to: 1 }])
  })

  test('a store that cannot answer its snapshots is warned of, and the log is read instead', async () => {
    const warnings: Error[] = []
    const workflow = counting([1])
    const data = memoryStore()
    await kernelOn(data, workflow).start(workflow, 2, { runId: 'r' })
    const store = recordCalls(data, [], (name) =>
      name === 'snapshots.latest' ? Promise.reject(new Error('page is gone')) : undefined,
    )
    const kernel = kernelOn(store, workflow, { onWarning: (warning) => warnings.push(warning) })

    const replayed = await kernel.replayFromSnapshot('r')

    expect(replayed).toEqual(await kernel.replay('r'))
    expect(warnings.map(({ message }) => message)).toEqual(['page is gone'])
  })

  test('a state that is no JSON is warned of with its path, and the run goes on', async () => {
    const warnings: Error[] = []
    const workflow = defineWorkflow(
      { name: 'w', version: '1', input: z.null(), initialState: () => ({ seen: {} }) },
      { reduce: () => ({ seen: new Map() as unknown }), step: (_, next) => next.complete(1) },
    )
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [workflow], onWarning: (warning) => warnings.push(warning) })

    expect(await kernel.start(workflow, null, { runId: 'r' })).toMatchObject({ status: 'completed' })
    expect(warnings).toMatchObject([{ ...kernelError('STATE_NOT_JSON'), where: { path: 'state.seen' } }])
    expect(await store.snapshots.latest('r')).toBeUndefined()
    await expect(kernel.replay('r')).rejects.toMatchObject(kernelError('STATE_NOT_JSON'))
  })

  test('replaying from it gives what replaying the whole log gives', async () => {
    const workflow = counting([5])
    const store = memoryStore()
    const kernel = kernelOn(store, workflow)
    await kernel.start(workflow, 6, { runId: 'r' })

    const whole = await kernel.replay('r')
    const short = await kernel.replayFromSnapshot('r')

    expect(short).toEqual(whole)
    expect(whole).toMatchObject({ status: 'blocked', head: 12, state: { sum: 5 } })
    expect(JSON.stringify(short.state)).toBe(JSON.stringify(whole.state))
  })

  test('the order of a state’s properties survives it, for a step may walk over them', async () => {
    const order: string[] = []
    const workflow = defineWorkflow(
      {
        ...{
          name: 'w',
          version: '1',
          input: z.null(),
          initialState: (): Record<string, number> => ({ z: 1, a: 2, m: 3 }),
        },
        interrupts: { ask: { ask: z.null(), answer: z.null() } },
      },
      {
        reduce: (state, event) => (event.type === 'Resumed' ? { ...state, b: 4 } : state),
        step: (state, next) => {
          order.push(Object.keys(state).join(''))
          return 'b' in state ? next.complete(Object.keys(state).join('')) : next.interrupt('ask', null)
        },
      },
    )
    const store = memoryStore()
    await createKernel({ store, workflows: [workflow] }).start(workflow, null, { runId: 'r' })

    const outcome = await createKernel({ store, workflows: [workflow] }).resume('r', { key: 'ask', value: null })

    expect(outcome).toMatchObject({ output: 'zamb' })
    expect(new Set(order)).toEqual(new Set(['zam', 'zamb']))
  })

  test('the stock state in it has the results of before the decision alone', async () => {
    const workflow = defineWorkflow(
      {
        ...{ name: 'w', version: '1', input: z.null() },
        actions: { call: { run: () => 1 } },
        interrupts: { ask: { ask: z.null(), answer: z.null() } },
      },
      {
        step: ({ results }, next) => {
          if (results['call'] === undefined) return next.run('call')
          return results['denied'] ? next.interrupt('ask', null) : next.run('call', null, { key: 'denied' })
        },
      },
    )
    const policy = {
      name: 'p',
      authorize: ({ key }: { key: string }) => (key === 'denied' ? { policy: 'p', reason: 'no' } : undefined),
    }
    const store = memoryStore()

    await createKernel({ store, workflows: [workflow], policy }).start(workflow, null, { runId: 'r' })

    const snapshot = await store.snapshots.latest('r')
    const { state, closed } = JSON.parse(snapshot!.body) as { state: { results: object }; closed: object }
    expect(snapshot?.seq).toBe(3)
    expect(Object.keys(state.results)).toEqual(['call'])
    expect(closed).toMatchObject({ count: 1 })
  })
})

describe('a snapshot of a turn that was cut off by its bound', () => {
  test('has what was open before the turn, though a turn without decisions came after it', async () => {
    const large = 'x'.repeat(900_000)
    const workflow = defineWorkflow(
      {
        ...{ name: 'asking', version: '1', input: z.null(), signals: { go: z.null(), more: z.null() } },
        interrupts: { ask: { ask: z.string(), answer: z.null() } },
      },
      {
        step: ({ results }, next) => {
          if (!results['go']) return next.waitFor('go')
          if (results['more']) return next.complete('done')
          const questions = [1, 2, 3, 4].map((n) => next.interrupt('ask', large, { key: `ask:${n}` }))
          return next.all([next.waitFor('more'), ...questions])
        },
      },
    )
    const store = memoryStore()
    const first = createKernel({ store, workflows: [workflow] })
    await first.start(workflow, null, { runId: 'r' })
    await first.signal('r', { name: 'go', value: null })
    await first[Symbol.asyncDispose]()

    const outcome = await createKernel({ store, workflows: [workflow] }).signal('r', { name: 'more', value: null })

    expect(outcome).toMatchObject({ status: 'completed', output: 'done' })
  })
})
