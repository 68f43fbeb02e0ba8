import type {} from '../../../test/postgres/global-setup.ts'
import { isStoreError, type Claim, type Store } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import pg from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { postgresStore } from './postgres-store.ts'
import { observed, type Observer } from './testing/observed-pool.ts'
import { newSchemaName } from './testing/postgres-harness.ts'

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }

async function start({ events }: Store, runId: string): Promise<void> {
  const create = { workflow: 'w', version: '1', tags: [], queue: 'q' }
  const run = { status: 'running', blockedOn: [], wakeAt: 0, create } as const
  await events.append(runId, sampleEvents(runId, 1), { expectedHead: 0, fencingToken: 0, run })
}

async function claim({ runs }: Store): Promise<readonly Claim[]> {
  const workflows = [{ name: 'w', versions: ['1'] }]
  const queues = [{ name: 'q', concurrency: 1 }]
  return runs.claim({ workflows, queues, formats: [1], owner, limit: 10, leaseMs: 60_000 })
}

test('a process that stands still amid a claim keeps the others from a queue with limits for seconds at most', async () => {
  const schema = newSchemaName()
  const pool = new pg.Pool({ connectionString: inject('pgUrl'), max: 10 })
  pool.on('error', () => undefined)
  const standing = Promise.withResolvers<undefined>()
  const goOn = Promise.withResolvers<undefined>()
  let locked = false
  const stopping: Observer = async (text, execute) => {
    if (locked) await goOn.promise
    const result = await execute()
    if (!text.includes('pg_advisory_xact_lock') || text.includes('migrate')) return result
    locked = true
    standing.resolve(undefined)
    return result
  }
  const store = await postgresStore({ pool }, { schema, notifications: false })
  const stopped = await postgresStore({ pool: observed(pool, () => stopping) }, { schema, notifications: false })
  onTestFinished(async () => {
    goOn.resolve(undefined)
    await Promise.all([store[Symbol.asyncDispose](), stopped[Symbol.asyncDispose]()])
    await pool.query(`drop schema ${schema} cascade`)
    await pool.end()
  })
  await start(store, 'run-1')
  const late = claim(stopped)
  await standing.promise

  const claims = await claim(store)

  expect(claims.map(({ runId }) => runId)).toEqual(['run-1'])
  goOn.resolve(undefined)
  const error: unknown = await late.catch((reason: unknown) => reason)
  expect(isStoreError(error, 'STORE_UNREACHABLE') && error.retryable).toBe(true)
})
