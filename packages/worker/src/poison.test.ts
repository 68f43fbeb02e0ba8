import { expect, test } from 'vitest'
import type { WorkerProcess } from './testing/spawn-worker.ts'
import { openScene } from './testing/scene.ts'

test(
  'a run that kills its worker each time is parked, others go on, and it runs when it is mended',
  { timeout: 60_000 },
  async () => {
    const { kernel, enqueue, ledger, launch, rowOf } = await openScene('deadly')
    const task = { leaseMs: 200, concurrency: 1, maxRecoveries: 2 }
    await enqueue('deadly', { kills: true })

    const deaths: unknown[] = []
    let worker: WorkerProcess = await launch(task)
    while ((await kernel.get('deadly')).problem === undefined) {
      const ended = await Promise.race([worker.ended, rowOf('deadly', ({ problem }) => problem !== undefined)])
      if (!('signal' in ended)) break
      deaths.push(ended.signal)
      worker = await launch(task)
    }
    await enqueue('harmless', { kills: false })
    await rowOf('harmless', ({ status }) => status === 'completed')

    expect(deaths).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL'])
    const { items } = await kernel.list({ parked: true })
    expect(items).toMatchObject([{ runId: 'deadly', problem: { code: 'POISONED', retryAt: null } }])
    // The kernel of the test has the mended handler.
    expect(await kernel.retry('deadly')).toMatchObject({ status: 'completed', output: 'alive' })
    expect((await kernel.list({ parked: true })).items).toEqual([])
    const attempts = (await ledger.read()).filter(({ runId }) => runId === 'deadly').map(({ attempt }) => attempt)
    expect(attempts).toEqual([1, 2, 3, 4])
    worker.kill('SIGTERM')
    expect(await worker.ended).toMatchObject({ code: 0 })
  },
)
