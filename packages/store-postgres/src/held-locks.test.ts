import type {} from '../../../test/postgres/global-setup.ts'
import { isStoreError, type Claim, type Store } from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import pg from 'pg'
import { describe, inject, test } from 'vitest'
import { migratePostgres, postgresStore } from './postgres-store.ts'
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

/** A pool of which the connection that sends a certain statement stands still behind it, until it is told to go on. */
function stopping(pool: pg.Pool, isReached: (text: string) => boolean) {
  const [standing, goOn] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()]
  const observer = (): Observer => {
    let stands = false
    return async (text, execute) => {
      if (stands) await goOn.promise
      const result = await execute()
      if (!isReached(text)) return result
      stands = true
      standing.resolve(undefined)
      return result
    }
  }
  const end = (): void => {
    goOn.resolve(undefined)
  }
  return { pool: observed(pool, observer), standing: standing.promise, end }
}

/** Works in a schema of its own, which is dropped behind. */
async function inSchema(work: (pool: pg.Pool, schema: string) => Promise<void>): Promise<void> {
  const pool = new pg.Pool({ connectionString: inject('pgUrl'), max: 10 })
  pool.on('error', () => undefined)
  const schema = newSchemaName()
  try {
    await work(pool, schema)
  } finally {
    await pool.query(`drop schema if exists ${schema} cascade`)
    await pool.end()
  }
}

const isUnreachable = (error: unknown): boolean => isStoreError(error, 'STORE_UNREACHABLE') && error.retryable

describe.concurrent('a process that stands still keeps the others for seconds at most', () => {
  test('from a queue with limits, amid a claim', async ({ expect }) => {
    await inSchema(async (pool, schema) => {
      const held = stopping(pool, (text) => text.includes('pg_advisory_xact_lock(given.key)'))
      await using store = await postgresStore({ pool }, { schema, notifications: false })
      await using stopped = await postgresStore({ pool: held.pool }, { schema, notifications: false })
      await start(store, 'run-1')
      const late = claim(stopped).catch(isUnreachable)
      await held.standing

      const claims = await claim(store)

      expect(claims.map(({ runId }) => runId)).toEqual(['run-1'])
      held.end()
      expect(await late).toBe(true)
    })
  })

  test('from opening a store, amid a migration', async ({ expect }) => {
    await inSchema(async (pool, schema) => {
      const held = stopping(pool, (text) => text.startsWith('select pg_advisory_xact_lock'))
      const late = migratePostgres({ pool: held.pool }, { schema }).catch(isUnreachable)
      await held.standing

      await using store = await postgresStore({ pool }, { schema, notifications: false })

      await start(store, 'run-1')
      expect((await store.runs.find('run-1'))?.head).toBe(1)
      held.end()
      expect(await late).toBe(true)
    })
  })

  test('from putting an artifact, amid putting the same', async ({ expect }) => {
    await inSchema(async (pool, schema) => {
      const bytes = new Uint8Array(2_000_000)
      const held = stopping(pool, (text) => text.startsWith(`insert into "${schema}"."artifacts"`))
      await using store = await postgresStore({ pool }, { schema, notifications: false })
      await using stopped = await postgresStore({ pool: held.pool }, { schema, notifications: false })
      const late = stopped.artifacts.put(bytes).catch(isUnreachable)
      await held.standing

      const id = await store.artifacts.put(bytes)

      expect((await (await store.artifacts.get(id)).bytes()).byteLength).toBe(bytes.byteLength)
      held.end()
      expect(await late).toBe(true)
    })
  })
})
