import type {} from '../../../../test/pgbouncer/global-setup.ts'
import { createKernel, type Kernel } from '@varve/kernel'
import { postgresStore } from '@varve/store-postgres'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { calling, napper } from './samples.ts'
import { createWorker } from '../worker.ts'

test('workers behind a pooler drive runs of queues with limits, and sleep', { timeout: 60_000 }, async () => {
  const schema = `worker_${crypto.randomUUID().replaceAll('-', '')}`
  const counts = { now: 0, most: 0 }
  const limited = calling(async () => {
    counts.most = Math.max(counts.most, ++counts.now)
    await new Promise((resolve) => setImmediate(resolve))
    counts.now--
  })
  const [url, directUrl] = [inject('pgUrl'), inject('directUrl')]
  const stores = []
  for (let i = 0; i < 2; i++) {
    stores.push(await postgresStore({ url, poolSize: 10 }, { schema, notifications: { url: directUrl } }))
  }
  const kernels = stores.map((store) => createKernel({ store, workflows: [limited, napper] }))
  const queues = ['default', { name: 'mail', concurrency: 3, rate: { limit: 1000, periodMs: 1000 } }]
  const workers = kernels.map((kernel) => createWorker({ kernel, queues, concurrency: 100, pollMs: 100, signals: [] }))
  for (const worker of workers) worker.start()

  const [kernel, other] = kernels as [Kernel, Kernel]
  const ids = Array.from({ length: 60 }, (_, n) => `r${n}`)
  for (const [n, runId] of ids.entries()) {
    if (n % 2 === 0) await kernel.start(limited, { n }, { runId, queue: 'mail', wait: false })
    else await kernel.start(napper, null, { runId, wait: false })
  }
  const ends = await Promise.all(ids.map(async (runId) => other.follow(runId)))
  await Promise.all(workers.map((worker) => worker.stop()))
  for (const each of [...kernels, ...stores]) await each[Symbol.asyncDispose]()
  const client = new pg.Client({ connectionString: directUrl })
  await client.connect()
  await client.query(`drop schema "${schema}" cascade`)
  await client.end()

  expect(ends.every(({ status }) => status === 'completed')).toBe(true)
  expect(counts.most).toBeLessThanOrEqual(3)
})
