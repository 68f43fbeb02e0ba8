import { memoryStore } from '@varve/store-memory'
import { genesis, sealEvent, type Store } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { SimulatedCrash, type ProcessFaults } from './boundaries.ts'
import { simulatedProcess } from './simulated-process.ts'
import { virtualClock } from './virtual-clock.ts'

async function createRun(store: Store, runId: string): Promise<void> {
  const { stored } = sealEvent(runId, genesis(runId), { type: 'RunStarted', data: { input: 1 } }, 1_700_000_000_000)
  const create = { workflow: 'quote', version: '1', tags: [], queue: 'default' }
  const run = { status: 'running', blockedOn: [], wakeAt: 0, create } as const
  await store.events.append(runId, [stored], { expectedHead: 0, fencingToken: 0, run })
}

function processWith(faults?: ProcessFaults) {
  const clock = virtualClock()
  const shared = memoryStore({ now: clock.now })
  return { clock, shared, process: simulatedProcess(shared, clock, faults) }
}

test('changes of the store and what it passes by name are boundaries; reads are none', async () => {
  const { process } = processWith()

  await createRun(process.store, 'run-1')
  await process.store.runs.find('run-1')
  await process.passing('effect', () => 1)
  await process.passing('effect', () => 2)

  expect(process.boundaries()).toEqual(
    ['append:1', 'effect:1', 'effect:2'].flatMap((name) => [`${name}:before`, `${name}:after`]),
  )
})

test('boundaries at artifacts and in the cache are named with their port', async () => {
  const { process } = processWith()
  const { artifacts, cache } = process.store

  const id = await artifacts.put(Uint8Array.of(1))
  await artifacts.touch([id])
  await (await artifacts.get(id)).bytes()
  await cache.putIfAbsent({ key: 'k', group: 'g', artifacts: [id], body: null })
  await cache.delete('k')
  await artifacts.delete(id, { ifUnusedSince: 0 })

  expect(process.boundaries().filter((name) => name.endsWith(':before'))).toEqual([
    'artifacts.put:1:before',
    'artifacts.touch:1:before',
    'cache.putIfAbsent:1:before',
    'cache.delete:1:before',
    'artifacts.delete:1:before',
  ])
})

describe('a process that dies', () => {
  test.for([
    { crashAt: 'append:1:before', happened: false },
    { crashAt: 1, happened: false },
    { crashAt: 'append:1:after', happened: true },
    { crashAt: 2, happened: true },
  ] as const)('at $crashAt leaves what it did before, and only that', async ({ crashAt, happened }) => {
    const { process, shared } = processWith({ crashAt })

    const end = await process.finish(createRun(process.store, 'run-1'))

    expect(end).toBe('crashed')
    expect(process.isAlive()).toBe(false)
    expect((await shared.runs.find('run-1')) !== undefined).toBe(happened)
  })

  test('reads nothing any more of an artifact that it has got', async () => {
    const { process } = processWith()
    const artifact = await process.store.artifacts.get(await process.store.artifacts.put(Uint8Array.of(1)))

    process.kill()

    await expect(artifact.bytes()).rejects.toThrow(SimulatedCrash)
    await expect(artifact.stream()[Symbol.asyncIterator]().next()).rejects.toThrow(SimulatedCrash)
  })

  test('does nothing any more, and takes its timers with it', async () => {
    const { process, clock } = processWith()
    process.clock.schedule(10, () => expect.unreachable())

    process.kill()
    process.clock.schedule(10, () => expect.unreachable())
    clock.advance(20)

    await expect(process.store.runs.find('run-1')).rejects.toThrow(SimulatedCrash)
    await expect(process.passing('effect', () => expect.unreachable())).rejects.toThrow(SimulatedCrash)
  })
})

test('an answer that is lost leaves the process alive and the change made', async () => {
  const { process, shared } = processWith({ loseAnswerAt: ['append:1:after'] })

  await expect(createRun(process.store, 'run-1')).rejects.toThrow('UNKNOWN_OUTCOME')

  expect(process.isAlive()).toBe(true)
  await expect(shared.runs.find('run-1')).resolves.toBeDefined()
})

test('time passes while a process can only wait for it', async () => {
  const { process, clock } = processWith()
  const before = clock.now()

  await process.finish(new Promise<void>((resolve) => process.clock.schedule(604_800_000, resolve)))

  expect(clock.now() - before).toBe(604_800_000)
})

test('a process that waits for nothing that can come is reported', async () => {
  const { process } = processWith()

  const waiting = process.finish(new Promise(() => undefined))

  await expect(waiting).rejects.toThrow('PROCESS_HANGS')
})

test('what throws has come to its second boundary as well', async () => {
  const { process } = processWith()

  const failing = process.passing('effect', () => Promise.reject(new Error('no money')))

  await expect(failing).rejects.toThrow('no money')
  expect(process.boundaries()).toEqual(['effect:1:before', 'effect:1:after'])
})

test.for<[what: string, faults: unknown]>([
  ['half a boundary', { crashAt: 'append:1' }],
  ['a boundary before the first', { crashAt: -1 }],
  ['an answer that is lost before it is given', { loseAnswerAt: ['append:1:before'] }],
  ['a lost answer as a matrix calls it', { loseAnswerAt: ['append:1:lost'] }],
  ['boundaries that are no list', { loseAnswerAt: 'append:1:after' }],
  ['a fault that there is not', { crashesAt: 'append:1:after' }],
])('a fault that would never strike is refused: %s', ([, faults]) => {
  expect(() => processWith(faults as ProcessFaults)).toThrow(expect.objectContaining({ code: 'INVALID_SCENARIO' }))
})
