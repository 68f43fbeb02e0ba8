import { createKernel } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { interceptStore, virtualClock } from '@varve/testing'
import { expect, test } from 'vitest'
import { napper } from './testing/samples.ts'
import { until } from './testing/until.ts'
import { createWorker } from './worker.ts'

test('a run that is due again when the append is answered that gave it back waits for the place that another one took', async () => {
  const clock = virtualClock()
  const data = memoryStore({ now: clock.now })
  const queues = [{ name: 'default', concurrency: 1 }]
  let released = 0
  const store = interceptStore(data, async (call, proceed) => {
    const answer = await proceed()
    if (call.name === 'events.append' && released++ === 0) {
      // Another process claims what it may, while the answer is on its way for longer than the run sleeps.
      const claims = await data.runs.claim({
        ...{ queues, owner: { ...kernel.dispatcher.owner, id: 'other' }, limit: 10, leaseMs: 60_000 },
        ...{ workflows: [{ name: 'napper', versions: ['1'] }], formats: [1] },
      })
      expect(claims.map(({ runId }) => runId)).toEqual(['b'])
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

  const leased = await data.runs.list({ leased: true }, { limit: 10 })
  expect(leased.items.map(({ runId }) => runId)).toEqual(['b'])
  expect(await data.runs.find('a')).toMatchObject({ status: 'blocked' })
  clock.advance(60_000)
  await until(async () => (await data.runs.find('a'))?.status === 'completed')
})
