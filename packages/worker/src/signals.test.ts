import { describe, expect, test } from 'vitest'
import { openScene } from './testing/scene.ts'

describe('a process with a worker', { timeout: 60_000 }, () => {
  test('ends by itself at SIGTERM: what is under way ends, the rest is left to others, who need not wait', async () => {
    const { kernel, enqueue, ledger, launch, rowOf } = await openScene('twoSteps')
    await enqueue('under way')
    const worker = await launch({ holds: true, concurrency: 1, graceMs: 30_000 })
    await worker.said('held')
    await enqueue('left')

    worker.kill('SIGTERM')
    await worker.said('stopping')
    worker.tell('open')
    const end = await worker.ended

    expect(end).toEqual({ code: 0, signal: null, error: '' })
    expect(await worker.said('ended')).toMatchObject({ claimed: 1, givenUp: 1 })
    // The outcome is in the log, and no second action was begun; with a lease of a minute, nobody could wait for its end.
    const given = await kernel.get('under way')
    expect(given).toMatchObject({ status: 'running', head: 3 })
    expect(given.lease).toBeUndefined()
    await launch()
    await rowOf('under way', ({ status }) => status === 'completed')
    await rowOf('left', ({ status }) => status === 'completed')
    expect((await ledger.read()).filter(({ key }) => key === 'first')).toHaveLength(2)
  })

  test('ends at once at a second SIGTERM', async () => {
    const { kernel, enqueue, launch } = await openScene('twoSteps')
    await enqueue('r')
    const worker = await launch({ holds: true, graceMs: 30_000 })
    await worker.said('held')

    worker.kill('SIGTERM')
    await worker.said('stopping')
    worker.kill('SIGTERM')

    expect(await worker.ended).toMatchObject({ code: null, signal: 'SIGTERM' })
    expect((await kernel.get('r')).lease).toBeDefined()
  })

  test('aborts what does not end within the grace period, and leaves its run to others', async () => {
    const { enqueue, launch, rowOf } = await openScene('twoSteps')
    await enqueue('r')
    const worker = await launch({ holds: true, graceMs: 100 })
    await worker.said('held')

    worker.kill('SIGTERM')
    const row = await rowOf('r', ({ lease }) => lease === undefined)

    expect(row).toMatchObject({ status: 'running', head: 2 })
    expect(await worker.ended).toMatchObject({ code: 0 })
    await launch()
    await rowOf('r', ({ status }) => status === 'completed')
  })
})
