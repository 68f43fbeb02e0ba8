import type { Owner, Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { processOwner } from '../owner.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, type ManualClock } from '../testing/manual-clock.ts'
import { readLog, runStarted, writeLog } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

const calling = defineWorkflow(
  {
    ...{ name: 'calling', version: '1', input: z.null() },
    interrupts: { ask: { ask: z.null(), answer: z.null() } },
    actions: { call: { run: () => 'ok' } },
  },
  {
    step: ({ results }, next) => {
      if (!results['call']) return next.run('call')
      return results['ask'] ? next.complete('done') : next.interrupt('ask', null)
    },
  },
)

const request = { type: 'ActionRequested', data: { key: 'call', action: 'call', input: null, effect: 'idempotent' } }

/** Processes take the run and die, one after the other. */
async function dieOften(store: Store, clock: ManualClock, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const owner: Owner = { ...processOwner(), boot: 'another machine', id: `dead-${clock.now()}` }
    await store.runs.acquire('r', { owner, leaseMs: 1000 })
    await clock.advance(1000)
  }
}

async function killer(deaths: number) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  await writeLog(store, 'r', [runStarted('calling'), request], { workflow: 'calling' })
  await dieOften(store, clock, deaths)
  const kernel = createKernel({ store, workflows: [calling], clock, maxRecoveries: 3 })
  return { clock, store, kernel }
}

describe('a run whose drivers die', () => {
  test('as often as is allowed is driven', async () => {
    const { kernel } = await killer(3)

    expect(await kernel.run('r')).toMatchObject({ status: 'blocked', blockedOn: [{ kind: 'interrupt' }] })
  })

  test('once more is poisoned: parked for good, with nothing started and nothing written', async () => {
    const { kernel, store } = await killer(4)

    const running = kernel.run('r')

    await expect(running).rejects.toMatchObject(kernelError('POISONED'))
    expect(await store.runs.find('r')).toMatchObject({ problem: { code: 'POISONED', retryAt: null } })
    expect(await readLog(store, 'r')).toHaveLength(2)
  })

  test('is not taken up again by recovering', async () => {
    const { kernel, clock } = await killer(4)

    const first = await kernel.recover()
    await clock.advance(1e9)
    const second = await kernel.recover()

    expect(first).toMatchObject([{ runId: 'r', error: kernelError('POISONED') }])
    expect(second).toEqual([])
  })

  test('stays poisoned for whoever runs it', async () => {
    const { kernel } = await killer(4)
    await kernel.run('r').catch(() => undefined)

    await expect(kernel.run('r')).rejects.toMatchObject(kernelError('POISONED'))
  })

  test('is driven when it is retried', async () => {
    const { kernel, store } = await killer(4)
    await kernel.run('r').catch(() => undefined)

    expect(await kernel.retry('r')).toMatchObject({ status: 'blocked' })
    expect(await store.runs.find('r')).toMatchObject({ recoveries: 0 })
    expect((await store.runs.find('r'))?.problem).toBeUndefined()
  })

  test('may be retried when it is not poisoned, or has ended', async () => {
    const { kernel } = await killer(0)

    const first = await kernel.retry('r')
    const ended = await kernel.resume('r', { key: 'ask', value: null })

    expect(first).toMatchObject({ status: 'blocked' })
    expect(await kernel.retry('r')).toEqual(ended)
  })

  test('may do so as often again when something of it has closed meanwhile', async () => {
    const { kernel, store, clock } = await killer(3)
    await kernel.run('r')
    await store.inbox.post('r', { id: 'p', type: 'Resumed', body: '{"key":"ask","value":null}' }, { maxWaiting: 9 })
    await dieOften(store, clock, 3)

    expect(await kernel.run('r')).toMatchObject({ status: 'completed' })
  })

  test('is not poisoned by being driven, blocked and disposed in good order', async () => {
    const { store, clock, kernel } = await killer(0)
    await kernel.run('r')
    for (let i = 0; i < 20; i++) {
      const another = createKernel({ store, workflows: [calling], clock, maxRecoveries: 1 })
      await another.run('r')
      await another[Symbol.asyncDispose]()
    }

    expect(await store.runs.find('r')).toMatchObject({ recoveries: 0 })
  })
})
