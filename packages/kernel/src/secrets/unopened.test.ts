import { StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { settled } from '../testing/manual-clock.ts'
import { dataOf, typesOf } from '../testing/sealed-log.ts'
import { keys, secretRun, TOKEN } from '../testing/secret-run.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { secretSchema } from './secret-schema.ts'
import { secret } from './secret.ts'

const input = { user: 'ada', token: secret(TOKEN) }
const once = { effect: 'at-most-once' } as const
const missing = kernelError('SECRET_KEY_MISSING')

describe('an action whose input could not be opened', () => {
  test('was not called: it must not happen twice, and is no doubt, but called once when the key is there', async () => {
    const seen: string[] = []
    const { store, kernel, workflow, another } = secretRun(({ token }) => void seen.push(token), once)
    await kernel.start(workflow, input, { runId: 'r', wait: false })

    const parked = another({ secrets: {} }).run('r')
    await expect(parked).rejects.toMatchObject(missing)
    expect(await store.runs.find('r')).toMatchObject({ problem: { code: 'SECRET_KEY_MISSING' } })
    const outcome = await another().retry('r')

    expect(outcome).toMatchObject({ status: 'completed' })
    expect(seen).toEqual([TOKEN])
    expect(await dataOf(store, 'r', 'ActionAttemptAbandoned')).toEqual([
      { key: 'call', attempt: 1, notExecuted: 'SECRET_KEY_MISSING' },
    ])
    expect(await typesOf(store, 'r')).toEqual([
      ...[
        'RunStarted',
        'ActionRequested',
        'ActionAttemptAbandoned',
        'ActionAttemptStarted',
        'ActionSucceeded',
        'Completed',
      ],
    ])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('is not lost when the process dies before it can say why the run stands still', async () => {
    const { store, kernel, workflow, another, clock } = secretRun(() => 'done', once)
    await kernel.start(workflow, input, { runId: 'r', wait: false })
    const dying = recordCalls(store, [], (name) =>
      name === 'runs.release' ? Promise.reject(new StoreError('STORE_UNREACHABLE', 'gone')) : undefined,
    )
    const kernelOfDying = another({ store: dying, secrets: {}, onWarning: () => undefined })
    await expect(kernelOfDying.run('r')).rejects.toMatchObject(missing)
    expect(await store.runs.find('r')).toMatchObject({ status: 'running', wakeAt: clock.now() })
    await clock.advance(60_000)

    expect(await another().recover()).toMatchObject([{ outcome: { output: { output: 'done' } } }])
  })

  test('leaves none of those in doubt that were about to be called beside it', async () => {
    const memory = memoryStore()
    const called: number[] = []
    const workflow = defineWorkflow(
      {
        ...{ name: 'both', version: '1', input: z.object({ tokens: z.array(secretSchema(z.string())) }) },
        actions: { call: { ...once, run: (given: { n: number; token: string }) => void called.push(given.n) } },
      },
      {
        step: ({ input: { tokens }, results }, next) =>
          Object.keys(results).length === 2
            ? next.complete(null)
            : next.all(tokens.map((token, n) => next.run('call', { n, token }, { key: `call:${n}` }))),
      },
    )
    const open = (store: Store, more = {}) => createKernel({ store, workflows: [workflow], secrets: { keys }, ...more })
    const tokens = [secret('a'), secret('b')]
    await open(memory).start(workflow, { tokens }, { runId: 'r', wait: false })
    // The key of the first is missing; the second is never read.
    let reads = 0
    const get = (id: string) => (++reads === 1 ? memory.secrets.get(id) : new Promise<undefined>(() => undefined))
    const slow: Store = { ...memory, secrets: { ...memory.secrets, get } }

    await expect(open(slow, { secrets: {} }).run('r')).rejects.toMatchObject(missing)
    expect(called).toEqual([])
    await open(memory).retry('r')
    await settled()

    expect(called.sort()).toEqual([0, 1])
    expect(await typesOf(memory, 'r')).not.toContain('ActionInDoubt')
    expect(await dataOf(memory, 'r', 'ActionAttemptAbandoned')).toMatchObject([{ key: 'call:0' }, { key: 'call:1' }])
  })
})
