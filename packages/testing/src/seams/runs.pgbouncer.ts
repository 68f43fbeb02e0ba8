import type {} from '../../../../test/pgbouncer/global-setup.ts'
import { createKernel, defineWorkflow } from '@varve/kernel'
import { postgresStore } from '@varve/store-postgres'
import { afterAll, expect, inject, test } from 'vitest'
import pg from 'pg'
import { z } from 'zod'
import { virtualClock } from '../virtual-clock.ts'

const [url, directUrl] = [inject('pgUrl'), inject('directUrl')]
const schema = `bouncer_${crypto.randomUUID().replaceAll('-', '')}`
afterAll(async () => {
  const client = new pg.Client({ connectionString: directUrl })
  await client.connect()
  await client.query(`drop schema if exists "${schema}" cascade`)
  await client.end()
})

const paid = defineWorkflow(
  { name: 'paid', version: '1', input: z.null(), signals: { paid: z.number() } },
  {
    step: ({ results }, next) => (results['paid'] ? next.complete('paid') : next.waitFor('paid')),
  },
)

/** On a store of its own, and by a clock that stands still: nothing but a notification moves it on. */
async function openProcess() {
  const clock = virtualClock()
  const options = { schema, now: clock.now, notifications: { url: directUrl } }
  const store = await postgresStore({ url, poolSize: 10 }, options)
  return { store, kernel: createKernel({ store, workflows: [paid], clock }) }
}

test('runs that one process starts are finished by signals of another', { timeout: 30_000 }, async () => {
  const [first, second] = [await openProcess(), await openProcess()]
  const runIds = Array.from({ length: 20 }, (_, n) => `run-${n}`)
  await Promise.all(runIds.map(async (runId) => first.kernel.start(paid, null, { runId })))
  const watched = runIds.map(async (runId) => {
    const types: string[] = []
    for await (const { type } of first.kernel.watch(runId)) types.push(type)
    return types.at(-1)
  })

  await Promise.all(runIds.map(async (runId, n) => second.kernel.signal(runId, { name: 'paid', value: n })))

  expect(await Promise.all(watched)).toEqual(runIds.map(() => 'Completed'))
  for (const { kernel, store } of [first, second]) {
    await kernel[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
  }
})
