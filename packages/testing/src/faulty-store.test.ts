import { genesis, isStoreError, sealEvent, StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { faultyStore, type StoreFault } from './faulty-store.ts'

const create = { workflow: 'quote', version: '1', tags: [], queue: 'default' }

async function createRun(store: Store, runId: string): Promise<void> {
  const { stored } = sealEvent(runId, genesis(runId), { type: 'RunStarted', data: { input: 1 } }, 1_700_000_000_000)
  const run = { status: 'running', blockedOn: [], wakeAt: 0, create } as const
  await store.events.append(runId, [stored], { expectedHead: 0, fencingToken: 0, run })
}

test.for([
  { fault: 'answer-lost', code: 'UNKNOWN_OUTCOME', retryable: false, happened: true },
  { fault: 'request-lost', code: 'UNKNOWN_OUTCOME', retryable: false, happened: false },
  { fault: 'unreachable', code: 'STORE_UNREACHABLE', retryable: true, happened: false },
] as const)('$fault throws $code, and the call is made: $happened', async ({ fault, code, retryable, happened }) => {
  const store = memoryStore()
  const faulty = faultyStore(store, [{ call: 'events.append', fault }])

  const creating = createRun(faulty, 'run-1')

  await expect(creating).rejects.toSatisfy((error) => isStoreError(error, code) && error.retryable === retryable)
  expect((await store.runs.find('run-1')) !== undefined).toBe(happened)
})

test('an error of your own is thrown as it is, and the call is not made', async () => {
  const store = memoryStore()
  const mine = new StoreError('STORE_BUSY', 'ask later')
  const faulty = faultyStore(store, [{ call: 'events.append', fault: mine }])

  await expect(createRun(faulty, 'run-1')).rejects.toBe(mine)
  await expect(store.runs.find('run-1')).resolves.toBeUndefined()
})

test('a fault with a number strikes that call of its method alone', async () => {
  const fault: StoreFault = { call: 'events.append', nth: 2, fault: 'unreachable' }
  const faulty = faultyStore(memoryStore(), [fault, { call: 'runs.list', fault: 'unreachable' }])

  await createRun(faulty, 'run-1')
  await expect(createRun(faulty, 'run-2')).rejects.toThrow('STORE_UNREACHABLE: events.append 2')
  await createRun(faulty, 'run-3')

  await expect(faulty.runs.find('run-3')).resolves.toHaveProperty('runId', 'run-3')
})

test('reading the bytes of an artifact can fail, whole and in chunks', async () => {
  const faulty = faultyStore(memoryStore(), [{ call: 'artifacts.read', fault: 'unreachable' }])

  const artifact = await faulty.artifacts.get(await faulty.artifacts.put(Uint8Array.of(1)))

  await expect(artifact.bytes()).rejects.toThrow('STORE_UNREACHABLE: artifacts.read 1')
  await expect(artifact.stream()[Symbol.asyncIterator]().next()).rejects.toThrow('STORE_UNREACHABLE: artifacts.read 2')
})

test('reading a log can fail, too', async () => {
  const faulty = faultyStore(memoryStore(), [{ call: 'events.read', fault: 'unreachable' }])

  const reading = faulty.events.read('run-1')[Symbol.asyncIterator]().next()

  await expect(reading).rejects.toThrow('STORE_UNREACHABLE')
})

test.for<[what: string, fault: unknown]>([
  ['a call that there is not', { call: 'append', fault: 'unreachable' }],
  ['a call before the first', { call: 'events.append', nth: 0, fault: 'unreachable' }],
  ['another kind of fault', { call: 'events.append', fault: 'lost' }],
  ['an object that is no error', { call: 'events.append', fault: { message: 'lost' } }],
  ['a field that there is not', { call: 'events.append', nr: 1, fault: 'unreachable' }],
])('a fault that would never strike, or another one, is refused: %s', ([, fault]) => {
  const make = () => faultyStore(memoryStore(), [fault as StoreFault])

  expect(make).toThrow(expect.objectContaining({ code: 'INVALID_SCENARIO' }))
})
