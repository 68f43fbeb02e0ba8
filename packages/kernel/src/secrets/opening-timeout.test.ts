import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, typesOf } from '../testing/sealed-log.ts'
import { keys, secretRun, TOKEN } from '../testing/secret-run.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { secret, secretRef } from './secret.ts'

const input = { user: 'ada', token: secret(TOKEN) }
const timedOut = { output: { status: 'failed', error: { code: 'TIMEOUT', kind: 'transient' } } }

/** A store of which no secret can be read, as when a database does not answer. */
function mute(store: Store): Store {
  return { ...store, secrets: { ...store.secrets, get: () => new Promise(() => undefined) } }
}

describe('the time that an attempt may take', () => {
  test('bounds the reading of its secrets, and is not exceeded by a handler that was not called', async () => {
    const called: unknown[] = []
    const { clock, store, workflow, another } = secretRun((given) => void called.push(given), { timeoutMs: 100 })
    const starting = another({ store: mute(store) }).start(workflow, input, { runId: 'r' })
    await settled()
    await clock.advance(99)
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested'])
    await clock.advance(1)

    expect(await starting).toMatchObject(timedOut)
    expect(called).toEqual([])
  })

  test('bounds the resolving of a name, whose signal is aborted', async () => {
    const clock = manualClock()
    const signals: AbortSignal[] = []
    const workflow = defineWorkflow(
      {
        name: 'named',
        version: '1',
        input: z.null(),
        actions: { call: { timeoutMs: 100, run: (_: { key: string }) => null } },
      },
      {
        step: ({ results }, next) =>
          results['call'] ? next.complete(results['call']) : next.run('call', { key: secretRef('crm') }),
      },
    )
    const resolve = (_: string, { signal }: { readonly signal: AbortSignal }): Promise<string> => {
      signals.push(signal)
      return new Promise(() => undefined)
    }
    const kernel = createKernel({ store: memoryStore(), clock, workflows: [workflow], secrets: { keys, resolve } })
    const starting = kernel.start(workflow, null)
    await settled()
    await clock.advance(100)

    expect(await starting).toMatchObject(timedOut)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
    expect(clock.pending).toBe(0)
  })

  test('when it has passed so, is no doubt of what must not happen twice: it is tried again', async () => {
    const called: string[] = []
    const options = { effect: 'at-most-once', timeoutMs: 100, retry: { maxAttempts: 2, baseMs: 0 } } as const
    const { clock, store, workflow, another } = secretRun(({ token }) => void called.push(token), options)
    let reads = 0
    const get = (id: string) => (++reads === 1 ? new Promise<undefined>(() => undefined) : store.secrets.get(id))
    const starting = another({ store: { ...store, secrets: { ...store.secrets, get } } }).start(workflow, input, {
      runId: 'r',
    })
    await settled()
    await clock.advance(100)

    expect(await starting).toMatchObject({ output: { status: 'succeeded' } })
    expect(called).toEqual([TOKEN])
    expect(await dataOf(store, 'r', 'ActionAttemptFailed')).toMatchObject([{ error: { code: 'TIMEOUT' } }])
  })

  test('begins anew when the handler is called', async () => {
    const opening = Promise.withResolvers<undefined>()
    const { clock, store, workflow, another } = secretRun(() => new Promise(() => undefined), { timeoutMs: 100 })
    const get = async (id: string) => {
      await opening.promise
      return store.secrets.get(id)
    }
    const slow = { ...store, secrets: { ...store.secrets, get } }
    const starting = another({ store: slow }).start(workflow, input, { runId: 'r' })
    await settled()
    await clock.advance(90)
    opening.resolve(undefined)
    await settled()
    await clock.advance(90)
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested'])
    await clock.advance(10)

    expect(await starting).toMatchObject(timedOut)
  })
})
