import type { Store, StoreChange } from '@varve/store'
import { deepEqual, equal, fail } from 'node:assert/strict'
import { contractGroup, type CaseBody, type CaseContext, type ContractCase } from '../contract-case.ts'
import { extend, post, release, startRun } from '../test-run.ts'

/** Bounds how long a case waits for a notification that does not come. */
const GUARD_MS = 5000

/** How long a store gets to deliver one before the next is tried, while its subscription is not up yet. */
const TRY_MS = 100

/** A change of one run. */
type Told = readonly [runId: string, kind: StoreChange['kind']]

/** A subscription that can be waited for. */
interface Listening {
  readonly heard: readonly StoreChange[]
  /** Resolves when the next such call comes; false when none comes in time. */
  next(told: Told, withinMs?: number): Promise<boolean>
  stop(): Promise<void>
}

function listen(store: Store): Listening {
  const heard: StoreChange[] = []
  const waiters = new Set<(change: StoreChange) => void>()
  const subscription = store.notifications?.subscribe((change) => {
    heard.push(change)
    for (const waiter of waiters) waiter(change)
  })
  const next = async ([runId, kind]: Told, withinMs = GUARD_MS): Promise<boolean> => {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const waiter = (change: StoreChange): void => {
      if (change.runId === runId && change.kind === kind) resolve(true)
    }
    const guard = setTimeout(() => resolve(false), withinMs)
    waiters.add(waiter)
    const came = await promise
    clearTimeout(guard)
    waiters.delete(waiter)
    return came
  }
  return { heard, next, stop: async () => subscription?.[Symbol.asyncDispose]() }
}

/** Posts until a notification comes: a subscription may take a moment to be up, and a call may be lost meanwhile. */
async function warmUp(store: Store, listening: Listening): Promise<void> {
  await startRun(store, { runId: 'warm-up' })
  for (let i = 0; i < GUARD_MS / TRY_MS; i++) {
    const came = listening.next(['warm-up', 'posted'], TRY_MS)
    await post(store, 'warm-up', `p${i}`)
    if (await came) return
  }
  fail('no notification ever came')
}

/** Makes a call and fails when no such notification of `run-1` follows. */
async function notifies<T>(listening: Listening, change: Told[1], call: () => Promise<T>): Promise<T> {
  const came = listening.next(['run-1', change])
  const answer = await call()
  if (!(await came)) fail(`nobody was told that the run was ${change}`)
  return answer
}

/** A case for stores that notify. */
function notifying(body: (context: CaseContext) => Promise<void>): CaseBody {
  return async (context) => {
    if (context.store.capabilities.notify) await body(context)
  }
}

export const capabilityCases: readonly ContractCase[] = contractGroup('capabilities', {
  'each is declared, and every store opened here declares the same': async ({ store, open }) => {
    const { durable, shared, notify } = store.capabilities

    deepEqual([typeof durable, typeof shared, typeof notify], ['boolean', 'boolean', 'boolean'])
    await store[Symbol.asyncDispose]()
    deepEqual((await open()).capabilities, store.capabilities)
  },

  'notifications are there exactly when they are declared': async ({ store }) => {
    equal(store.notifications !== undefined, store.capabilities.notify)
  },

  'create, post, append and release notify': notifying(async ({ store }) => {
    const listening = listen(store)
    await warmUp(store, listening)

    let run = await notifies(listening, 'moved', async () => startRun(store))
    await notifies(listening, 'posted', async () => post(store, 'run-1', 'p'))
    run = await notifies(listening, 'moved', async () => extend(store, run, { take: ['p'] }))
    await notifies(listening, 'moved', async () => release(store, run))

    await listening.stop()
  }),

  'commits made through another handle notify': notifying(async ({ store, open }) => {
    if (!store.capabilities.shared) return
    const listening = listen(store)
    await warmUp(store, listening)
    const other = await open()

    await notifies(listening, 'moved', async () => startRun(other))
    await notifies(listening, 'posted', async () => post(other, 'run-1', 'p'))

    await listening.stop()
  }),

  'an ended subscription hears nothing, the others go on': notifying(async ({ store }) => {
    const [ended, going] = [listen(store), listen(store)]
    await warmUp(store, going)
    await ended.stop()
    await ended.stop()
    const heard = ended.heard.length

    await notifies(going, 'moved', async () => startRun(store))

    equal(ended.heard.length, heard)
    await going.stop()
  }),

  'a store that is closed ends its subscriptions': notifying(async ({ store }) => {
    const listening = listen(store)
    await warmUp(store, listening)

    await store[Symbol.asyncDispose]()

    await listening.stop()
  }),
})
