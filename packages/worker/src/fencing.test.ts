import type { Store } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { eventually, openScene } from './testing/scene.ts'

/** Of the one that is paused, which is to lose its run; nobody else is. */
const LEASE_MS = 600

describe('a worker that was paused for longer than its lease, in the midst of an action', { timeout: 60_000 }, () => {
  test('appends nothing when another one has finished the run: it goes on where it is no longer needed', async () => {
    const { store, kernel, enqueue, ledger, launch, rowOf } = await openScene('twoSteps')
    await enqueue('r')
    const paused = await launch({ leaseMs: LEASE_MS, holds: true })
    await paused.said('held')
    paused.kill('SIGSTOP')
    const other = await launch()
    const ended = await rowOf('r', ({ status }) => status === 'completed')
    const log = await hashesOf(store, 'r')

    paused.tell('open')
    paused.kill('SIGCONT')
    await eventually(
      () => ledger.read(),
      ({ length }) => length === 3,
    )
    paused.kill('SIGTERM')

    expect(await paused.ended).toMatchObject({ code: 0 })
    expect(await hashesOf(store, 'r')).toEqual(log)
    expect(await kernel.get('r')).toEqual(ended)
    expect(await kernel.verify('r')).toMatchObject({ ok: true, hash: log.at(-1) })
    expect(await ledger.read()).toMatchObject([
      { key: 'first', attempt: 2, token: 2 },
      { key: 'second', attempt: 1, token: 2 },
      // What it did late shows by its token, for whoever wants to refuse it.
      { key: 'first', attempt: 1, token: 1 },
    ])
    other.kill('SIGTERM')
    expect(await other.ended).toMatchObject({ code: 0 })
  })

  test('hands in the outcome of what must not happen twice, which the other one had to leave in doubt', async () => {
    const { store, kernel, enqueue, ledger, launch, rowOf } = await openScene('payment')
    await enqueue('r')
    const paused = await launch({ leaseMs: LEASE_MS, holds: true })
    await paused.said('held')
    paused.kill('SIGSTOP')
    await launch()
    const doubted = await rowOf('r', ({ status, lease }) => status === 'blocked' && lease === undefined)

    paused.tell('open')
    paused.kill('SIGCONT')
    await rowOf('r', ({ status }) => status === 'completed')

    expect(doubted).toMatchObject({ blockedOn: [{ kind: 'action', key: 'first' }], wakeAt: null })
    expect(await kernel.run('r')).toMatchObject({ status: 'completed', output: 1 })
    expect(await typesOf(store, 'r')).toEqual([
      'RunStarted',
      'ActionRequested',
      'ActionInDoubt',
      'ActionSucceeded',
      'ActionRequested',
      'ActionSucceeded',
      'Completed',
    ])
    expect((await ledger.read()).filter(({ key }) => key === 'first')).toMatchObject([{ attempt: 1, token: 1 }])
  })
})

async function hashesOf(store: Store, runId: string): Promise<string[]> {
  return (await Array.fromAsync(store.events.read(runId))).map(({ hash }) => hash)
}

async function typesOf(store: Store, runId: string): Promise<string[]> {
  return (await Array.fromAsync(store.events.read(runId))).map(({ type }) => type)
}
