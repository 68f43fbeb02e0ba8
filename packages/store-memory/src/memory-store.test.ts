import { genesis, sealEvent } from '@varve/store'
import { expect, test, vi } from 'vitest'
import { memoryStore } from './memory-store.ts'

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }

async function storeWithRun(): Promise<ReturnType<typeof memoryStore>> {
  const store = memoryStore({ now: () => 1000 })
  const { stored } = sealEvent('run-1', genesis('run-1'), { type: 'Sampled', data: {} }, 1000)
  const create = { workflow: 'w', version: '1', tags: ['t'], queue: 'q', lease: { owner, leaseMs: 1000 } }
  const run = {
    status: 'running',
    blockedOn: [{ kind: 'wait', key: 'k' }],
    wakeAt: 0,
    owes: [{ to: 'x' }],
    create,
  } as const
  await store.events.append('run-1', [stored], { expectedHead: 0, fencingToken: 0, run })
  return store
}

test('nothing that it hands out can be used to change it', async () => {
  const store = await storeWithRun()
  const row = await store.runs.find('run-1')

  for await (const event of store.events.read('run-1')) expect(Object.isFrozen(event)).toBe(true)
  for (const part of [row?.tags, row?.blockedOn[0], row?.owes[0], row?.lease?.owner]) {
    expect(Object.isFrozen(part)).toBe(true)
  }
})

test('a listener that throws is reported and disturbs nobody', async () => {
  const store = await storeWithRun()
  const heard: string[] = []
  const uncaught = vi.fn()
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException').once('uncaughtException', uncaught)
  store.notifications?.subscribe(() => {
    throw new TypeError('a bug')
  })
  store.notifications?.subscribe(({ runId, kind }) => {
    heard.push(`${runId} ${kind}`)
  })

  const answer = await store.inbox.post('run-1', { id: 'p', type: 'Resumed', body: '1' }, { maxWaiting: 1 })
  await new Promise((resolve) => setImmediate(resolve))
  for (const listener of others) process.on('uncaughtException', listener)

  expect(answer).toBe('kept')
  expect(heard).toEqual(['run-1 posted'])
  expect(uncaught).toHaveBeenCalledOnce()
})

test('a listener hears nothing once its subscription has ended, not even of a commit before', async () => {
  const store = await storeWithRun()
  const heard: string[] = []
  const subscription = store.notifications?.subscribe(({ runId }) => {
    heard.push(String(runId))
  })

  const posting = store.inbox.post('run-1', { id: 'p', type: 'Resumed', body: '1' }, { maxWaiting: 1 })
  await subscription?.[Symbol.asyncDispose]()

  expect(await posting).toBe('kept')
  expect(heard).toEqual([])
})

test('what cannot be copied is refused and leaves nothing', async () => {
  const store = memoryStore()
  const owes = [() => undefined] as never
  const create = { workflow: 'w', version: '1', tags: [], queue: 'q' }
  const run = { status: 'running', blockedOn: [], wakeAt: 0, owes, create } as const

  const appending = store.events.append('run-1', [], { expectedHead: 0, fencingToken: 0, run })

  await expect(appending).rejects.toThrow()
  expect(await store.runs.find('run-1')).toBeUndefined()
})

test('thousands of runs are created and claimed in a moment', { timeout: 10_000 }, async () => {
  const store = memoryStore({ now: () => 1000 })
  const create = { workflow: 'w', version: '1', tags: [], queue: 'q' }
  const run = { status: 'running', blockedOn: [], wakeAt: 0, create } as const
  for (let i = 0; i < 5000; i++) await store.events.append(`run-${i}`, [], { expectedHead: 0, fencingToken: 0, run })

  const workflows = [{ name: 'w', versions: ['1'] }]
  const request = { owner, workflows, queues: [{ name: 'q' }], formats: [0], limit: 1000, leaseMs: 1000 }
  const claimed: string[] = []
  for (let i = 0; i < 5; i++) claimed.push(...(await store.runs.claim(request)).map(({ runId }) => runId))

  expect(new Set(claimed).size).toBe(5000)
})

test('however many runs wait for their time, the next one is found', { timeout: 60_000 }, async () => {
  const store = memoryStore({ now: () => 1000 })
  const create = { workflow: 'w', version: '1', tags: [], queue: 'q' }
  for (let n = 0; n < 200_000; n++) {
    const run = { status: 'blocked', blockedOn: [], wakeAt: 2000 + n, create } as const
    await store.events.append(`run-${n}`, [], { expectedHead: 0, fencingToken: 0, run })
  }

  const request = { workflows: [{ name: 'w', versions: ['1'] }], queues: [{ name: 'q' }], formats: [0] }

  expect(await store.runs.dueIn(request)).toBe(1000)
})

test.for(['5', true, null, undefined, Number.NaN, 0.5])(
  'a clock that tells %s stops what needs the time',
  async (time) => {
    const store = memoryStore({ now: () => time as number })
    const run = {
      status: 'running',
      blockedOn: [],
      wakeAt: 0,
      create: { workflow: 'w', version: '1', tags: [], queue: 'q' },
    } as const

    const appending = store.events.append('run-1', [], { expectedHead: 0, fencingToken: 0, run })

    await expect(appending).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(store.now()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(await store.runs.find('run-1')).toBeUndefined()
  },
)

test.for([null, 'text', [], { now: 7 }, { now: null }, { clock: Date.now }])(
  'options that are none are refused: %o',
  (options) => {
    const opening = (): unknown => memoryStore(options as unknown as Parameters<typeof memoryStore>[0])

    expect(opening).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  },
)
