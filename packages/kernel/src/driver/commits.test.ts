import { allItems, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { processOwner } from '../owner.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

/** As many actions as the input says, one after the other; then a question, if it is to ask one. */
const sequential = defineWorkflow(
  {
    ...{ name: 'sequential', version: '1', input: z.object({ count: z.int(), ask: z.boolean() }) },
    actions: { call: { run: (n: number) => n } },
    interrupts: { ask: { ask: z.null(), answer: z.null() } },
  },
  {
    step: ({ input, results }, next) => {
      const done = Object.keys(results).length
      if (done < input.count) return next.run('call', done, { key: `call:${done}` })
      return input.ask && done === input.count ? next.interrupt('ask', null) : next.complete(done)
    },
  },
)

async function callsOf(count: number, ask = false): Promise<Record<string, number>> {
  const calls: string[] = []
  // Time stands still: a drive that lasts looks once whether anybody has posted to its run.
  const clock = manualClock()
  const store = recordCalls(memoryStore({ now: clock.now }), calls)
  const kernel = createKernel({ store, clock, workflows: [sequential] })
  await kernel.start(sequential, { count, ask }, { runId: 'r' })
  return Object.fromEntries(
    Object.entries(Object.groupBy(calls, (name) => name)).map(([name, all]) => [name, all!.length]),
  )
}

/** Before its first write a kernel asks what time it is; from then on every claim says it. */
const look = { 'store.now': 1 }

describe('a run of N sequential actions makes N + 1 appends', () => {
  test.for([0, 1, 2, 10])('and, with N = %d, nothing else but the snapshot of its end', async (count) => {
    expect(await callsOf(count)).toEqual({ ...look, 'events.append': count + 1, 'snapshots.save': 1 })
  })

  test.for([0, 10])('and, with N = %d, nothing else but a snapshot when it blocks', async (count) => {
    expect(await callsOf(count, true)).toEqual({ ...look, 'events.append': count + 1, 'snapshots.save': 1 })
  })

  test('and few snapshots on its way when it is long, each after a tail as large as the one before', async () => {
    const {
      'events.append': appends,
      'snapshots.save': saves,
      'snapshots.prune': prunes = 0,
      ...others
    } = await callsOf(400)

    expect(appends).toBe(401)
    expect(saves).toBeGreaterThanOrEqual(2)
    expect(saves).toBeLessThanOrEqual(9)
    expect(prunes).toBeLessThan(saves!)
    expect(others).toEqual(look)
  })
})

/** As many actions as the input says, all at once; each ends when all of them have begun. */
function fanning(count: number) {
  const begun = Promise.withResolvers<undefined>()
  let calls = 0
  const run = async (n: number): Promise<number> => {
    if (++calls === count) begun.resolve(undefined)
    await begun.promise
    return n
  }
  return defineWorkflow(
    { name: 'fanning', version: '1', input: z.int(), actions: { call: { run } } },
    {
      step: ({ input, results }, next) =>
        Object.keys(results).length === input
          ? next.complete(input)
          : next.all(Array.from({ length: input }, (_, n) => next.run('call', n, { key: `call:${n}` }))),
    },
  )
}

test.for<[actions: number, appends: number]>([
  [1, 2],
  [500, 2],
  [501, 4],
])('%i actions at once make %i appends', async ([count, appends]) => {
  const calls: string[] = []
  const workflow = fanning(count)
  const kernel = createKernel({ store: recordCalls(memoryStore(), calls), workflows: [workflow] })

  await kernel.start(workflow, count, { runId: 'r' })

  expect(calls.filter((name) => name === 'events.append')).toHaveLength(appends)
})

test('a run of which nothing but the lease was left to its driver is released', async () => {
  const calls: string[] = []
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const first = createKernel({ store, clock, workflows: [sequential] })
  await first.start(sequential, { count: 1, ask: true }, { runId: 'r' })
  await store.runs.acquire('r', { owner: processOwner(), leaseMs: 1 })
  await clock.advance(1)
  const kernel = createKernel({ store: recordCalls(store, calls), clock, workflows: [sequential] })

  await kernel.run('r')

  expect(calls).toEqual(['runs.find', 'runs.acquire', 'snapshots.latest', 'events.read', 'runs.release'])
})

test('a run that is continued costs one read, and no query of its head', async () => {
  const calls: string[] = []
  const store = memoryStore()
  const first = createKernel({ store, workflows: [sequential] })
  await first.start(sequential, { count: 3, ask: true }, { runId: 'r' })
  const kernel = createKernel({ store: recordCalls(store, calls), workflows: [sequential] })

  await kernel.resume('r', { key: 'ask', value: null })

  expect(calls).toEqual([
    // The question is looked up in the row, and the answer is posted.
    ...['runs.find', 'inbox.post'],
    // The run is taken, read and checked; the answer is taken into the log with the end.
    ...['runs.find', 'runs.acquire', 'snapshots.latest', 'events.read', 'inbox.list', 'events.append'],
    'snapshots.save',
    'snapshots.prune',
    // Whether the answer was set aside.
    'inbox.rejected',
  ])
})

describe('signals that are more than one append can carry', () => {
  const collecting = defineWorkflow(
    { name: 'collecting', version: '1', input: z.int(), signals: { part: z.object({ n: z.int(), text: z.string() }) } },
    {
      step: ({ input, results }, next) => {
        const taken = Object.keys(results).length
        return taken < input ? next.waitFor('part', { key: `part:${taken}` }) : next.complete(taken)
      },
    },
  )

  /** Sends so many of so many letters, drives the run, and sends one more before its second append, if at all. */
  async function collect(sent: number, length: number, meanwhile: boolean) {
    const calls: string[] = []
    const data = memoryStore()
    const sender = createKernel({ store: data, workflows: [collecting] })
    await sender.start(collecting, sent + Number(meanwhile), { runId: 'r' })
    const send = async (n: number): Promise<unknown> =>
      sender.signal('r', { name: 'part', value: { n, text: 'x'.repeat(length) }, wait: false })
    for (let n = 0; n < sent; n++) await send(n)
    let appends = 0
    const recorded = recordCalls(data, calls, (name) =>
      name === 'events.append' && ++appends === 2 && meanwhile ? send(sent).then(() => undefined) : undefined,
    )
    let listed = 0
    const list: Store['inbox']['list'] = async (...asked) => {
      const page = await recorded.inbox.list(...asked)
      listed += page.items.length
      return page
    }
    const store = { ...recorded, inbox: { ...recorded.inbox, list } }
    const { status } = await createKernel({ store, workflows: [collecting] }).run('r')
    const log = await Array.fromAsync(data.events.read('r'))
    const received = log.filter(({ type }) => type === 'SignalReceived')
    const order = received.map(({ body }) => (JSON.parse(body) as { value: { n: number } }).value.n)
    return { status, order, lists: calls.filter((name) => name === 'inbox.list').length, listed, appends }
  }

  test('are listed once, and taken in their order by several', async () => {
    const { status, order, lists, appends } = await collect(900, 1, false)

    expect(status).toBe('completed')
    expect(order).toEqual(Array.from({ length: 900 }, (_, n) => n))
    expect(appends).toBeGreaterThan(4)
    expect(lists).toBe(1)
  })

  test('are listed once more when another comes meanwhile, which is taken behind them', async () => {
    const { status, order, lists } = await collect(900, 1, true)

    expect(status).toBe('completed')
    expect(order).toEqual(Array.from({ length: 901 }, (_, n) => n))
    expect(lists).toBe(2)
  })

  test.each([false, true])(
    'are listed page by page where they are large, each once (another comes: %s)',
    async (comes) => {
      const { status, order, lists, listed } = await collect(20, 900_000, comes)

      expect(status).toBe('completed')
      expect(order).toEqual(Array.from({ length: listed }, (_, n) => n))
      expect(listed).toBe(20 + Number(comes))
      expect(lists).toBeGreaterThan(4)
    },
  )

  test('do not keep a run from its end that are more than one page, and of no use to it', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [collecting] })
    await kernel.start(collecting, 1, { runId: 'r' })
    await kernel.signal('r', { name: 'part', value: { n: 0, text: '' }, wait: false })
    for (let n = 0; n < 10; n++) {
      const body = JSON.stringify({ key: 'never asked', value: 'x'.repeat(900_000) })
      await store.inbox.post('r', { id: `late ${n}`, type: 'Resumed', body }, { maxWaiting: 1000 })
    }

    expect(await kernel.run('r')).toMatchObject({ status: 'completed', output: 1 })

    expect(await Array.fromAsync(allItems((page) => store.inbox.rejected('r', page)))).toHaveLength(10)
  })
})
