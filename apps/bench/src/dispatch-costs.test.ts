import type {} from '../../../test/postgres/global-setup.ts'
import { createKernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import { virtualClock } from '@varve/testing'
import { createWorker } from '@varve/worker'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { countingPool } from './counts/counting-pool.ts'
import { sequenceOf } from './work/sequence.ts'
import { countingStore, totalOf } from './workers/call-counts.ts'

const STEPS = 5
/** How many runs a worker drives at once. */
const PLACES = 10

/** More and fewer runs than a worker has places. */
const AMOUNTS = [1, 4, 10, 23]

/** Nothing is looked for in the course of a test, however slow the machine: what is due is claimed, and that is all. */
const pollMs = 3_600_000

describe('a dispatched run', () => {
  test.for(AMOUNTS.flatMap((runs) => [['memory', runs] as const, ['sqlite', runs] as const]))(
    'costs no more calls of the store than one that is run by hand, and its log is not read: %s, %i at once',
    async ([name, runs]) => {
      await using opened = name === 'memory' ? memoryStore() : await sqliteStore({ path: ':memory:' })
      const { store, take } = countingStore(opened)

      const byHand = await callsOf(take, () => runByHand(store, runs))
      const dispatched = await callsOf(take, () => dispatch(store, runs))

      // By hand it is found, acquired and read.
      expect(totalOf(dispatched)).toBeLessThanOrEqual(totalOf(byHand))
      const driving = ['events.append', 'snapshots.latest', 'snapshots.save'] as const
      for (const call of driving) expect(dispatched[call], call).toBe(byHand[call])
      expect(dispatched['events.read'] ?? 0).toBe(0)
      expect(dispatched['runs.acquire'] ?? 0).toBe(0)
      expect(dispatched['runs.claim']).toBeLessThanOrEqual(runs + 1)
    },
  )

  test('costs what its start alone costs where a worker is idle: no claim, no read', async () => {
    const { store, take } = countingStore(memoryStore())
    const sequence = sequenceOf()
    const clock = virtualClock()
    await using kernel = createKernel({ store, clock, workflows: [sequence] })
    await using worker = createWorker({ kernel, pollMs, signals: [] })
    worker.start()
    await until(() => clock.timers === 1)
    await kernel.dispatcher.now()
    take()

    await kernel.start(sequence, { steps: STEPS }, { wait: false })
    await until(() => worker.health().counts.ended === 1 && clock.timers === 1)

    expect(take()).toEqual({ 'events.append': STEPS + 1, 'snapshots.save': 1 })
  })

  test('shares its claim with those that are due with it', async () => {
    const { store, take } = countingStore(memoryStore())

    const calls = await callsOf(take, () => dispatch(store, 9))

    expect(calls['runs.claim']).toBeLessThanOrEqual(2)
  })
})

describe('on Postgres', () => {
  const schema = 'bench_dispatch_costs'
  const { pool, take } = countingPool(inject('pgUrl'))
  let store: Store
  beforeAll(async () => {
    store = await postgresStore({ pool }, { schema })
  })
  afterAll(async () => {
    await store[Symbol.asyncDispose]()
    await pool.query({ text: `drop schema ${schema} cascade` })
    await pool.end()
  })

  test.for(AMOUNTS)(
    'dispatched runs cost no statement more than runs by hand, apart from looking for more: %i',
    async (runs) => {
      const byHand = await callsOf(take, () => runByHand(store, runs))
      const dispatched = await callsOf(take, () => dispatch(store, runs))

      expect(byHand).toBeGreaterThan(runs * STEPS)
      expect(dispatched - byHand).toBeLessThanOrEqual(2)
    },
  )
})

describe('a worker', () => {
  test('that is idle asks its store 24 times in a minute', async () => {
    const clock = virtualClock()
    const { store, take } = countingStore(memoryStore({ now: clock.now }))
    await using kernel = createKernel({ store, clock, workflows: [sequenceOf()] })
    await using worker = createWorker({ kernel, signals: [] })
    worker.start()
    await until(() => clock.timers === 1)
    take()

    for (let second = 0; second < 60; second++) {
      clock.advance(1000)
      await until(() => clock.timers === 1)
    }

    expect(take()).toEqual({ 'runs.dueIn': 12, 'runs.claim': 12 })
  })
})

/** What is counted from when runs were enqueued until all have ended. */
async function callsOf<T>(take: () => T, drive: () => Promise<() => Promise<void>>): Promise<T> {
  const rest = await drive()
  take()
  await rest()
  return take()
}

/** Enqueues runs. @returns what drives them by `run`, one after the other. */
async function runByHand(store: Store, runs: number): Promise<() => Promise<void>> {
  const sequence = sequenceOf()
  const kernel = createKernel({ store, workflows: [sequence] })
  const ids = Array.from({ length: runs }, () => crypto.randomUUID())
  for (const runId of ids) await kernel.start(sequence, { steps: STEPS }, { runId, wait: false })
  return async () => {
    for (const runId of ids) await kernel.run(runId)
    await kernel[Symbol.asyncDispose]()
  }
}

/** Enqueues runs. @returns what drives them by a worker, until it is idle. */
async function dispatch(store: Store, runs: number): Promise<() => Promise<void>> {
  const sequence = sequenceOf()
  const clock = virtualClock()
  const kernel = createKernel({ store, clock, workflows: [sequence] })
  for (let run = 0; run < runs; run++) await kernel.start(sequence, { steps: STEPS }, { wait: false })
  return async () => {
    const worker = createWorker({ kernel, concurrency: PLACES, pollMs, signals: [] })
    worker.start()
    await until(() => worker.health().counts.ended === runs && clock.timers === 1)
    await worker.stop()
    await kernel[Symbol.asyncDispose]()
  }
}

/** Lets everything happen that waits for no clock, until something holds; the limit of the test's time ends it otherwise. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await setImmediate()
}
