import type {} from '../../../../test/postgres/global-setup.ts'
import { createKernel, defineWorkflow } from '@varve/kernel'
import { isStoreError, type Store } from '@varve/store'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { z } from 'zod'
import { interceptStore } from '../wrapped-store.ts'
import { virtualClock } from '../virtual-clock.ts'

const url = inject('pgUrl')

/** Opens stores on one new database, each with connections of its own, as processes do; and what deletes it. */
const databases = {
  SQLite: (now: () => number) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'varve-notified-'))
    const file = path.join(folder, 'runs.db')
    return {
      open: async () => sqliteStore({ path: file }, { now, synchronous: 'NORMAL' }),
      destroy: async () => rmSync(folder, { recursive: true, force: true }),
    }
  },
  Postgres: (now: () => number) => {
    const schema = `notified_${crypto.randomUUID().replaceAll('-', '')}`
    return {
      open: async () => postgresStore({ url, poolSize: 2 }, { schema, now }),
      destroy: async () => {
        const client = new pg.Client({ connectionString: url })
        await client.connect()
        await client.query(`drop schema if exists "${schema}" cascade`)
        await client.end()
      },
    }
  },
}

/** Works until it is told that the work is done, and asks somebody meanwhile. */
function working() {
  const [begun, ended] = [Promise.withResolvers<null>(), Promise.withResolvers<null>()]
  const workflow = defineWorkflow(
    {
      name: 'working',
      version: '1',
      input: z.null(),
      actions: {
        work: {
          effect: 'idempotent',
          run: () => {
            begun.resolve(null)
            return ended.promise
          },
        },
      },
      interrupts: { ask: { ask: z.null(), answer: z.null() } },
    },
    {
      step: ({ results }, next) =>
        results['work'] && results['ask']
          ? next.complete('done')
          : next.all([next.run('work', null), next.interrupt('ask', null)]),
    },
  )
  return { workflow, begun: begun.promise, done: () => ended.resolve(null) }
}

describe.each(['SQLite', 'Postgres'] as const)('two processes on %s, for which no time passes', (name) => {
  const clock = virtualClock()
  let database: ReturnType<(typeof databases)[typeof name]>
  const stores: Store[] = []
  const open = async (): Promise<Store> => {
    const store = await database.open()
    stores.push(store)
    return store
  }
  beforeEach(() => {
    database = databases[name](clock.now)
  })
  afterEach(async () => {
    for (const store of stores.splice(0)) await store[Symbol.asyncDispose]()
    await database.destroy()
  })

  test('who follows a run that the other drives sees at once that it comes to rest', async () => {
    const { workflow, begun, done } = working()
    const [mine, theirs] = [await open(), await open()]
    const { promise: isFollowing, resolve: follows } = Promise.withResolvers<undefined>()
    const refused = interceptStore(theirs, async (_, proceed) => {
      try {
        return await proceed()
      } catch (error) {
        if (isStoreError(error, 'RUN_BUSY')) follows(undefined)
        throw error
      }
    })
    await using driver = createKernel({ store: mine, workflows: [workflow], clock })
    await using follower = createKernel({ store: refused, workflows: [workflow], clock })

    const driven = driver.start(workflow, null, { runId: 'r' })
    await begun
    const followed = follower.run('r')
    await isFollowing
    done()

    expect(await followed).toMatchObject({ status: 'blocked' })
    expect(await driven).toMatchObject({ status: 'blocked' })
  })

  test('an answer given in one is taken at once by the one that drives', async () => {
    const { workflow, begun, done } = working()
    await using driver = createKernel({ store: await open(), workflows: [workflow], clock })
    await using other = createKernel({ store: await open(), workflows: [workflow], clock })
    const driven = driver.start(workflow, null, { runId: 'r' })
    await begun

    const answered = other.resume('r', { key: 'ask', value: null })
    await follow(driver.watch('r'), 'Resumed')
    done()

    expect(await answered).toMatchObject({ status: 'completed' })
    expect(await driven).toMatchObject({ status: 'completed' })
  })

  test('who watches a run that the other drives sees each of its events, and its end', async () => {
    const { workflow, done } = working()
    await using driver = createKernel({ store: await open(), workflows: [workflow], clock })
    await using watcher = createKernel({ store: await open(), workflows: [workflow], clock })
    done()
    await driver.start(workflow, null, { runId: 'r' })
    const all = follow(watcher.watch('r'), 'Completed')
    await follow(watcher.watch('r'), 'Interrupted')

    await driver.resume('r', { key: 'ask', value: null })

    expect((await all).at(-1)).toBe('Completed')
  })
})

/** The types of a run's events up to the first of this one. */
async function follow(events: AsyncIterable<{ readonly type: string }>, last: string): Promise<readonly string[]> {
  const types: string[] = []
  for await (const { type } of events) {
    types.push(type)
    if (type === last) break
  }
  return types
}
