import type {} from '../../../../test/postgres/global-setup.ts'
import { memoryStore } from '@varve/store-memory'
import { sqliteStore } from '@varve/store-sqlite'
import { describe, expect, inject, test } from 'vitest'
import { STEPS_PER_RUN } from '../workers/dispatch.ts'
import { kernelRuns, plainRuns } from '../workloads/runs.ts'
import { kernelSteps, plainSteps } from '../workloads/steps.ts'
import { plainPostgresCosts, postgresCosts, storeCosts } from './costs.ts'

/** Too few for a snapshot in between. */
const steps = { few: 5, many: 45 }
/** What a server counts may differ by a transaction or two that are nobody's, as of its own cleaning. */
const SLACK = 0.1
const runs = { few: 2, many: 12 }

describe('a step', () => {
  test.for(['memory', 'sqlite'] as const)('is one append, and nothing else: %s', async (name) => {
    await using store = name === 'memory' ? memoryStore() : await sqliteStore({ path: ':memory:' })

    const costs = await storeCosts(store, kernelSteps, steps)

    expect(costs).toEqual({ appends: 1, 'other calls': 0 })
  })

  test('is nothing else either in a run that lasts until its kernel begins to listen to others', async () => {
    await using store = memoryStore()

    const costs = await storeCosts(store, kernelSteps, { few: 5, many: 3000 })

    expect(costs).toEqual({ appends: 1, 'other calls': 0 })
  })

  test('is one statement and one commit on Postgres, as that of a plain program is', async () => {
    const varve = await postgresCosts(inject('pgUrl'), kernelSteps, steps)
    const plain = await plainPostgresCosts(
      inject('pgUrl'),
      (database, count) => plainSteps(database, count, { sealed: true }),
      steps,
    )

    expect(varve['statements']).toBe(1)
    expect(varve['commits']).toBeLessThanOrEqual(1 + SLACK)
    expect(plain['commits']).toBeLessThanOrEqual(1 + SLACK)
  })
})

describe('one run of many at once', () => {
  test('is an append for each step and one for its start, and nothing else but snapshots', async () => {
    await using store = memoryStore()

    const costs = await storeCosts(store, kernelRuns, runs)

    expect(costs['appends']).toBe(STEPS_PER_RUN + 1)
  })

  test('takes no more commits on Postgres than it has appends, and one to tell of it', async () => {
    const varve = await postgresCosts(inject('pgUrl'), kernelRuns, runs)
    const plain = await plainPostgresCosts(
      inject('pgUrl'),
      (database, count) => plainRuns(database, count, { sealed: true }),
      runs,
    )

    // The start, the steps, and a snapshot at the end: saving it, and removing those before; then telling of start and end.
    expect(varve['statements']).toBeLessThanOrEqual(STEPS_PER_RUN + 3)
    expect(varve['commits']).toBeLessThanOrEqual(STEPS_PER_RUN + 5)
    // Twelve runs at once take as few commits as two.
    expect(plain['commits']).toBeLessThan(1)
  })
})
