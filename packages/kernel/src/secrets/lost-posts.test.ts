import { StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { everythingOf, idsIn, keys } from '../testing/secret-run.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { secretSchema } from './secret-schema.ts'
import { secret } from './secret.ts'

const holder = z.object({ token: secretSchema(z.string()) })

const waiting = defineWorkflow(
  { name: 'waiting', version: '1', input: z.null(), signals: { go: holder } },
  { step: ({ results }, next) => (results['go'] ? next.complete(null) : next.waitFor('go')) },
)

type Post = Store['inbox']['post']

/** A run that waits for its signal, and a kernel whose posts go another way. */
async function waitingRun(post: (calls: number, args: Parameters<Post>, store: Store) => ReturnType<Post>) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  let calls = 0
  const inbox = { ...store.inbox, post: (...args: Parameters<Post>) => post(++calls, args, store) }
  const open = (of: Store) => createKernel({ store: of, clock, workflows: [waiting], secrets: { keys } })
  const [kernel, sender] = [open(store), open({ ...store, inbox })]
  await kernel.start(waiting, null, { runId: 'r' })
  const send = async () => {
    const sending = sender.signal('r', { id: 's', name: 'go', value: { token: secret('signal token') } })
    sending.catch(() => undefined)
    for (let i = 0; i < 20; i++) await clock.advance(100)
    return sending
  }
  return { store, kernel, send }
}

async function keptSecrets(store: Store, runId: string): Promise<readonly boolean[]> {
  const ids = idsIn(await everythingOf(store, runId))
  return Promise.all(ids.map(async (id) => (await store.secrets.get(id)) !== undefined))
}

const lost = new StoreError('UNKNOWN_OUTCOME', 'the answer was lost')

describe('the secret of a signal whose answer was lost', () => {
  test('is kept when the run took the signal and ended before it is sent again', async () => {
    const { store, kernel, send } = await waitingRun(async (calls, args, of) => {
      const answer = await of.inbox.post(...args)
      if (calls > 1) return answer
      await kernel.run('r')
      throw lost
    })

    expect(await send()).toMatchObject({ status: 'completed' })

    expect(await keptSecrets(store, 'r')).toEqual([true])
  })

  test('is kept for a fork when the run took the signal and was removed before it is sent again', async () => {
    const { store, kernel, send } = await waitingRun(async (calls, args, of) => {
      const answer = await of.inbox.post(...args)
      if (calls > 1) return answer
      await kernel.run('r')
      await kernel.fork('r', { at: 3, as: 'fork' })
      await of.runs.remove('r', { ifTerminal: true })
      throw lost
    })

    await expect(send()).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))

    expect(await keptSecrets(store, 'fork')).toEqual([true])
  })

  test('is kept when the signal comes in after all, although the inbox was full when it was sent again', async () => {
    let late = async (): Promise<unknown> => undefined
    const { store, kernel, send } = await waitingRun(async (calls, args, of) => {
      if (calls > 1) throw new StoreError('INBOX_FULL', 'for now', { retryable: true })
      late = () => of.inbox.post(...args)
      throw lost
    })

    await expect(send()).rejects.toMatchObject(storeError('INBOX_FULL'))
    await late()

    expect(await kernel.run('r')).toMatchObject({ status: 'completed' })
    expect(await keptSecrets(store, 'r')).toEqual([true])
  })
})

test('a signal that is sent twice leaves no secret behind that nothing refers to', async () => {
  const { store, kernel } = await waitingRun((_, args, of) => of.inbox.post(...args))
  const put: string[] = []
  const watched: Store = {
    ...store,
    secrets: { ...store.secrets, put: (id, bytes) => store.secrets.put(id, bytes).finally(() => void put.push(id)) },
  }
  const sender = createKernel({ store: watched, workflows: [waiting], secrets: { keys } })
  const signal = () => sender.signal('r', { id: 's', name: 'go', value: { token: secret('signal token') } })

  await Promise.all([signal(), signal()])

  const kept = await Promise.all(put.map(async (id) => (await store.secrets.get(id)) !== undefined))
  expect(kept.sort()).toEqual([false, true])
  expect(await keptSecrets(store, 'r')).toEqual([true])
  expect(await kernel.verify('r')).toMatchObject({ ok: true })
})
