import { createKernel } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { interceptStore, virtualClock } from '@varve/testing'
import { expect, test } from 'vitest'
import { sleeper } from './testing/samples.ts'
import { until } from './testing/until.ts'
import { createWorker } from './worker.ts'

const RUNS = 1000
const PLACES = 10

test('a thousand runs that wake up at the same instant are each claimed once, in as many claims as it takes', async () => {
  const clock = virtualClock()
  let claims = 0
  const claimed: string[] = []
  const store = interceptStore(memoryStore({ now: clock.now }), async (call, proceed) => {
    const answer = await proceed()
    if (call.name !== 'runs.claim') return answer
    claims++
    claimed.push(...(answer as readonly { readonly runId: string }[]).map(({ runId }) => runId))
    return answer
  })
  const kernels = [0, 1].map(() => createKernel({ store, clock, workflows: [sleeper] }))
  const workers = kernels.map((kernel) => createWorker({ kernel, concurrency: PLACES, signals: [] }))
  for (let n = 0; n < RUNS; n++) await kernels[0]?.start(sleeper, null, { runId: `r${n}`, wait: false })
  for (const worker of workers) worker.start()
  const total = (what: 'blocked' | 'ended'): number =>
    workers.reduce((sum, worker) => sum + worker.health().counts[what], 0)
  await until(() => total('blocked') === RUNS)
  claims = 0
  claimed.length = 0

  clock.advance(60_000)
  await until(() => total('ended') === RUNS)
  await Promise.all(workers.map((worker) => worker.stop()))

  expect(new Set(claimed).size).toBe(RUNS)
  expect(claimed).toHaveLength(RUNS)
  // One for every run that ends, at most, and a few more to see that nothing is left.
  expect(claims).toBeLessThanOrEqual(RUNS + 20)
  const { items } = await store.runs.list({ statuses: ['completed'] }, { limit: RUNS })
  expect(items).toHaveLength(RUNS)
})
