import { createKernel, systemClock, type Clock } from '@varve/kernel'
import { postgresStore } from '@varve/store-postgres'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import type {} from '../../../test/postgres/global-setup.ts'
import { calling, napper } from './testing/samples.ts'
import { createWorker } from './worker.ts'

function freshSchema(): string {
  return `worker_${crypto.randomUUID().replaceAll('-', '')}`
}

test(
  'a worker with a hundred places keeps to the connections of its store, and one to listen on',
  { timeout: 60_000 },
  async () => {
    const role = freshSchema()
    const admin = new pg.Pool({ connectionString: inject('pgUrl'), max: 1 })
    await admin.query(`create role ${role} superuser login`)
    const url = new URL(inject('pgUrl'))
    url.username = role
    const store = await postgresStore({ url: url.href, poolSize: 6 }, { schema: role })
    const counts = { now: 0, most: 0 }
    const connections: number[] = []
    const { promise: crowd, resolve: crowded } = Promise.withResolvers<undefined>()
    const countOf = async (condition: string): Promise<number> => {
      const { rows } = await admin.query<{ count: number }>(
        `select count(*)::int as count from pg_stat_activity where usename = $1 and ${condition}`,
        [role],
      )
      return rows[0]!.count
    }
    const busy = calling(async () => {
      counts.most = Math.max(counts.most, ++counts.now)
      if (counts.now === 100) {
        // It is made beside the work, and may come late.
        while ((await countOf("application_name = 'varve listen'")) === 0);
        crowded(undefined)
      }
      await crowd
      counts.now--
      connections.push(await countOf('true'))
    })
    const kernel = createKernel({ store, workflows: [busy] })
    const ids = Array.from({ length: 150 }, (_, n) => `r${n}`)
    for (const [n, runId] of ids.entries()) await kernel.start(busy, { n }, { runId, wait: false })

    const worker = createWorker({ kernel, concurrency: 100, signals: [] })
    worker.start()
    const ends = await Promise.all(ids.map(async (runId) => kernel.follow(runId)))
    await worker.stop()
    await kernel[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
    await admin.query(`drop schema ${role} cascade`)
    await admin.query(`drop role ${role}`)
    await admin.end()

    expect(ends.every(({ status }) => status === 'completed')).toBe(true)
    expect(counts.most).toBe(100)
    expect(Math.max(...connections)).toBe(7)
  },
)

test(
  'workers whose clocks are two minutes apart keep each timer by the clock of the server',
  { timeout: 60_000 },
  async () => {
    const schema = freshSchema()
    const off = (ms: number): Clock => ({ ...systemClock, now: () => systemClock.now() + ms })
    const stores = [
      await postgresStore({ url: inject('pgUrl') }, { schema }),
      await postgresStore({ url: inject('pgUrl') }, { schema }),
    ]
    const kernels = [60_000, -60_000].map((ms, i) =>
      createKernel({ store: stores[i]!, clock: off(ms), workflows: [napper] }),
    )
    const workers = kernels.map((kernel) => createWorker({ kernel, concurrency: 2, pollMs: 50, signals: [] }))
    const ids = Array.from({ length: 20 }, (_, n) => `r${n}`)
    for (const [n, runId] of ids.entries()) await kernels[n % 2]!.start(napper, null, { runId, wait: false })

    for (const worker of workers) worker.start()
    await Promise.all(ids.map(async (runId, n) => kernels[(n + 1) % 2]!.follow(runId)))
    const naps = await Promise.all(ids.map(async (runId) => (await kernels[0]!.timeline(runId)).events))
    const now = await stores[0]!.now()
    await Promise.all(workers.map((worker) => worker.stop()))
    for (const each of [...kernels, ...stores]) await each[Symbol.asyncDispose]()

    for (const events of naps) {
      const at = (type: string): number => events.find((event) => event.type === type)!.at
      const nap = at('TimerFired') - at('TimerStarted')
      expect(nap).toBeGreaterThanOrEqual(300)
      expect(nap).toBeLessThan(30_000)
      expect(Math.abs(now - at('TimerFired'))).toBeLessThan(30_000)
    }
  },
)
