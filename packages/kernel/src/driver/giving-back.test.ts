import { StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { processOwner } from '../owner.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

const HOUR_MS = 3_600_000

const patient = defineWorkflow(
  {
    ...{ name: 'patient', version: '1', input: z.null(), signals: { go: z.string() } },
    actions: { call: { run: () => 'called' } },
  },
  {
    step: ({ results }, next) => {
      if (!results['call']) return next.run('call')
      const { go } = results
      return go?.status === 'delivered' ? next.complete(go.output as string) : next.waitFor('go')
    },
  },
)

const sleeping = defineWorkflow(
  { name: 'sleeping', version: '1', input: z.null() },
  { step: ({ results }, next) => (results['sleep'] ? next.complete('awake') : next.sleep(HOUR_MS)) },
)

type Append = Parameters<Store['events']['append']>

function isBlocking(name: string, args: readonly unknown[]): boolean {
  return name === 'events.append' && (args as unknown as Append)[2].run.status === 'blocked'
}

async function post(store: Store): Promise<void> {
  const body = JSON.stringify({ name: 'go', signalId: 's', value: 'gone' })
  await store.inbox.post('r', { id: 's', type: 'SignalReceived', body }, { maxWaiting: 9 })
}

describe('a run that blocks', () => {
  test('is given back with the append that says so', async () => {
    const calls: string[] = []
    const data = memoryStore()
    const kernel = createKernel({ store: recordCalls(data, calls), workflows: [patient] })

    const outcome = await kernel.start(patient, null, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'blocked' })
    expect(calls).not.toContain('runs.release')
    expect(await data.runs.find('r')).toMatchObject({ status: 'blocked', wakeAt: null, token: 1 })
    expect((await data.runs.find('r'))?.lease).toBe(undefined)
    expect(await kernel.signal('r', { name: 'go', value: 'gone' })).toMatchObject({ output: 'gone' })
  })

  test('with its first append is under no lease at any time', async () => {
    const data = memoryStore()
    const kernel = createKernel({ store: data, workflows: [sleeping] })

    expect(await kernel.start(sleeping, null, { runId: 'r' })).toMatchObject({ status: 'blocked' })

    expect(await data.runs.find('r')).toMatchObject({ status: 'blocked', token: 1, recoveries: 0 })
    expect((await data.runs.find('r'))?.lease).toBe(undefined)
  })

  test('while a post comes in goes on with it', async () => {
    const data = memoryStore()
    const store = recordCalls(data, [], (name, args) => (isBlocking(name, args) ? post(data) : undefined))
    const kernel = createKernel({ store, workflows: [patient] })

    expect(await kernel.start(patient, null, { runId: 'r' })).toMatchObject({ status: 'completed', output: 'gone' })
  })

  test('while its time comes goes on, whoever gave it back', async () => {
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    const store = recordCalls(data, [], (name, args) => {
      if (isBlocking(name, args)) clock.block(HOUR_MS)
      return undefined
    })
    const kernel = createKernel({ store, clock, workflows: [sleeping] })

    expect(await kernel.start(sleeping, null, { runId: 'r' })).toMatchObject({ status: 'completed', output: 'awake' })
  })
})

describe('a run whose append that gives it back is slow to answer', () => {
  test('goes on when its time has come, although a renewal was refused meanwhile', async () => {
    const flow = defineWorkflow(
      { name: 'flow', version: '1', input: z.null(), actions: { call: { run: () => null } } },
      {
        step: ({ results }, next) => {
          if (!results['first']) return next.sleep(100_000, { key: 'first' })
          if (!results['call']) return next.run('call')
          return results['second'] ? next.complete('done') : next.sleep(15_000, { key: 'second' })
        },
      },
    )
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    const calls: string[] = []
    let blocks = 0
    const append: Store['events']['append'] = async (...args) => {
      const result = await data.events.append(...args)
      if (!isBlocking('events.append', args) || ++blocks !== 2) return result
      await new Promise<void>((resolve) => clock.schedule(16_000, resolve))
      return result
    }
    const store = recordCalls({ ...data, events: { ...data.events, append } }, calls)
    const kernel = createKernel({ store, clock, workflows: [flow] })

    await kernel.start(flow, null, { runId: 'r' })
    for (let second = 0; second < 200; second++) await clock.advance(1000)

    expect(calls).toContain('runs.renew')
    expect(await data.runs.find('r')).toMatchObject({ status: 'completed' })
  })
})

describe('a run whose append that gives it back has lost its answer', () => {
  /** The first blocking append loses its answer. */
  function losing(data: Store, before: () => Promise<void> = async () => undefined): Store {
    let isLost = false
    const append: Store['events']['append'] = async (...args) => {
      const loses = !isLost && isBlocking('events.append', args)
      if (loses) await before()
      const result = await data.events.append(...args)
      isLost ||= loses
      if (loses) throw new StoreError('UNKNOWN_OUTCOME', 'the answer is lost')
      return result
    }
    return { ...data, events: { ...data.events, append } }
  }

  test('is blocked', async () => {
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    const kernel = createKernel({ store: losing(data), clock, workflows: [patient] })

    expect(await kernel.start(patient, null, { runId: 'r' })).toMatchObject({ status: 'blocked' })

    expect((await data.runs.find('r'))?.lease).toBe(undefined)
    expect(await kernel.signal('r', { name: 'go', value: 'gone' })).toMatchObject({ output: 'gone' })
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('goes on when the lease was kept for a post', async () => {
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    const store = losing(data, () => post(data))
    const kernel = createKernel({ store, clock, workflows: [patient] })

    expect(await kernel.start(patient, null, { runId: 'r' })).toMatchObject({ status: 'completed', output: 'gone' })
    expect(await data.runs.find('r')).toMatchObject({ token: 1 })
  })

  test('is told as it stands when somebody else has taken it meanwhile', async () => {
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    let isTaken = false
    const append: Store['events']['append'] = async (...args) => {
      const result = await data.events.append(...args)
      if (isTaken || !isBlocking('events.append', args)) return result
      isTaken = true
      const other = createKernel({
        store: data,
        clock,
        owner: { ...processOwner(), id: 'other' },
        workflows: [patient],
      })
      await other.signal('r', { name: 'go', value: 'gone' })
      throw new StoreError('UNKNOWN_OUTCOME', 'the answer is lost')
    }
    const kernel = createKernel({
      store: { ...data, events: { ...data.events, append } },
      clock,
      workflows: [patient],
    })

    expect(await kernel.start(patient, null, { runId: 'r' })).toMatchObject({ status: 'completed', output: 'gone' })
  })

  test('is given back by a release where the append had no events', async () => {
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    await createKernel({ store: data, clock, workflows: [patient] }).start(patient, null, { runId: 'r' })
    // No log can keep it: it is rejected, and nothing is appended for it.
    await data.inbox.post('r', { id: 'bad', type: 'SignalReceived', body: '{"nonsense":1}' }, { maxWaiting: 9 })
    let isLost = false
    const append: Store['events']['append'] = async (...args) => {
      const result = await data.events.append(...args)
      if (isLost || args[1].length > 0) return result
      isLost = true
      throw new StoreError('UNKNOWN_OUTCOME', 'the answer is lost')
    }
    const kernel = createKernel({
      store: { ...data, events: { ...data.events, append } },
      clock,
      workflows: [patient],
    })

    // A lost append is sent again after a pause.
    const [run] = await kernel.dispatcher.claim({ queues: [{ name: 'default' }], limit: 1, leaseMs: 30_000 })
    for (let n = 0; n < 5; n++) await clock.advance(100)

    expect(await run?.outcome).toMatchObject({ status: 'blocked' })
    expect(isLost).toBe(true)
    expect(await data.runs.find('r')).toMatchObject({ waiting: 0 })
  })

  test('is blocked with its first append, too', async () => {
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    const kernel = createKernel({ store: losing(data), clock, workflows: [sleeping] })

    expect(await kernel.start(sleeping, null, { runId: 'r' })).toMatchObject({ status: 'blocked' })

    await clock.advance(HOUR_MS)
    expect(await kernel.run('r')).toMatchObject({ status: 'completed' })
  })
})
