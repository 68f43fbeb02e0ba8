import { createKernel, type Kernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { interceptStore, virtualClock } from '@varve/testing'
import { expect, test } from 'vitest'
import { napper, parent, simple } from './testing/samples.ts'
import { until } from './testing/until.ts'
import { createWorker } from './worker.ts'

const queues = [{ name: 'default', concurrency: 1 }]

/** What a worker of another process claims at this moment, by the limits of the queue. */
async function claimedElsewhere({ runs }: Store, { dispatcher }: Kernel): Promise<readonly string[]> {
  const claims = await runs.claim({
    ...{ queues, owner: { ...dispatcher.owner, id: 'other' }, limit: 10, leaseMs: 60_000 },
    ...{ workflows: [napper, parent, simple].map(({ name }) => ({ name, versions: ['1'] })), formats: [1] },
  })
  return claims.map(({ runId }) => runId)
}

async function leasedIn({ runs }: Store): Promise<readonly string[]> {
  const { items } = await runs.list({ leased: true }, { limit: 10 })
  return items.map(({ runId }) => runId)
}

test('a run that is due again when the append is answered that gave it back waits for the place that another one took', async () => {
  const clock = virtualClock()
  const data = memoryStore({ now: clock.now })
  let released = 0
  const store = interceptStore(data, async (call, proceed) => {
    const answer = await proceed()
    if (call.name === 'events.append' && released++ === 0) {
      // Another process claims what it may, while the answer is on its way for longer than the run sleeps.
      expect(await claimedElsewhere(data, kernel)).toEqual(['b'])
      clock.advance(400)
    }
    return answer
  })
  const kernel = createKernel({ store, clock, workflows: [napper], onWarning: () => undefined })
  const idle = createKernel({ store: data, clock, workflows: [napper] })
  for (const runId of ['a', 'b']) await idle.start(napper, null, { runId, wait: false })
  await using worker = createWorker({ kernel, queues, signals: [], pollMs: 100 })
  worker.start()

  await until(() => released > 0 && worker.health().driving.length === 0 && clock.timers > 0)
  clock.advance(100)
  await until(() => clock.timers > 0)

  expect(await leasedIn(data)).toEqual(['b'])
  expect(await data.runs.find('a')).toMatchObject({ status: 'blocked' })
  clock.advance(60_000)
  await until(async () => (await data.runs.find('a'))?.status === 'completed')
})

test('a run that something was posted to before it was given back waits for the place that another one took', async () => {
  const clock = virtualClock()
  const data = memoryStore({ now: clock.now })
  let elsewhere: readonly string[] = []
  const calls: string[] = []
  const store = interceptStore(data, async (call, proceed) => {
    calls.push(call.name)
    const isFirst = call.name === 'runs.release' && elsewhere.length === 0
    if (isFirst) {
      await data.inbox.post('a', { id: 'p', type: 'Nudged', body: '{}' }, { maxWaiting: 10 })
      await idle.start(simple, { n: 1 }, { runId: 'b', priority: 1, wait: false })
    }
    const answer = await proceed()
    if (isFirst) elsewhere = await claimedElsewhere(data, kernel)
    return answer
  })
  const options = { clock, workflows: [parent, simple], onWarning: () => undefined }
  const kernel = createKernel({ store, ...options })
  const idle = createKernel({ store: data, ...options })
  await idle.start(parent, null, { runId: 'a', wait: false })
  await using worker = createWorker({ kernel, queues, signals: [], pollMs: 100 })
  worker.start()

  await until(() => elsewhere.length > 0 && worker.health().driving.length === 0 && clock.timers > 0)
  clock.advance(100)
  await until(() => clock.timers > 0)

  expect(elsewhere).toEqual(['b'])
  // Which asks for no limit.
  expect(calls).not.toContain('runs.acquire')
  expect(await leasedIn(data)).toEqual(['b'])
  clock.advance(60_000)
  await until(async () => (await data.runs.find('a'))?.status === 'completed')
})
