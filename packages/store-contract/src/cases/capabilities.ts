import type { Store, StoreChange } from '@varve/store'
import { deepEqual, equal, fail } from 'node:assert/strict'
import { contractGroup, type CaseBody, type CaseContext, type ContractCase } from '../contract-case.ts'
import { atOnce } from '../expectations.ts'
import { sampleEvents } from '../sample-events.ts'
import {
  acquire,
  blocked,
  completed,
  creating,
  creation,
  extend,
  parkedProblem,
  post,
  release,
  startRun,
} from '../test-run.ts'

/** Bounds how long a case waits for a notification that does not come. */
const GUARD_MS = 5000

/** How long a store gets to deliver one before the next is tried, while its subscription is not up yet. */
const TRY_MS = 100

/** What is told of one run. */
type Told = Required<Pick<StoreChange, 'runId' | 'kind'>> & Partial<StoreChange>

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
  const next = async (told: Told, withinMs = GUARD_MS): Promise<boolean> => {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const waiter = (change: StoreChange): void => {
      if (tells(change, told)) resolve(true)
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

/** A change without a run says that any may have moved, so this one, too; who posts is always told by run. */
function tells(change: StoreChange, { runId, kind, dueInMs }: Told): boolean {
  const isOf = change.runId === runId || (change.runId === undefined && kind === 'moved')
  return isOf && change.kind === kind && (dueInMs === undefined || change.dueInMs === dueInMs)
}

/** Posts until a notification comes: a subscription may take a moment to be up, and a call may be lost meanwhile. */
async function warmUp(store: Store, listening: Listening): Promise<void> {
  await startRun(store, { runId: 'warm-up' })
  for (let i = 0; i < GUARD_MS / TRY_MS; i++) {
    const came = listening.next({ runId: 'warm-up', kind: 'posted' }, TRY_MS)
    await post(store, 'warm-up', `p${i}`)
    if (await came) return
  }
  fail('no notification ever came')
}

/** Makes a call and fails when no such notification, of `run-1` unless told otherwise, follows. */
async function notifies<T>(
  listening: Listening,
  told: Told['kind'] | Partial<Told>,
  call: () => Promise<T>,
): Promise<T> {
  const wanted: Told = { runId: 'run-1', kind: 'moved', ...(typeof told === 'string' ? { kind: told } : told) }
  const came = listening.next(wanted)
  const answer = await call()
  if (!(await came)) fail(`nobody was told ${JSON.stringify(wanted)}`)
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

  'create, post and release notify': notifying(async ({ store }) => {
    const listening = listen(store)
    await warmUp(store, listening)

    const run = await notifies(listening, 'moved', async () => startRun(store))
    await notifies(listening, 'posted', async () => post(store, 'run-1', 'p'))
    const extended = await extend(store, run, { take: ['p'] })
    await notifies(listening, 'moved', async () => release(store, extended))

    await listening.stop()
  }),

  'an append that ends a run notifies': notifying(async ({ store }) => {
    const listening = listen(store)
    await warmUp(store, listening)
    const run = await startRun(store)

    await notifies(listening, 'moved', async () => extend(store, run, { run: completed }))

    await listening.stop()
  }),

  'a run that is created without a lease, or due when it is released, is told as due': notifying(async ({ store }) => {
    const listening = listen(store)
    await warmUp(store, listening)
    const queued = creating({ runId: 'run-2' })
    const create = creation()
    const due = { ...queued, run: { ...queued.run, create } }

    await notifies(listening, { runId: 'run-2', dueInMs: 0 }, async () =>
      store.events.append('run-2', sampleEvents('run-2', 1), due),
    )
    const run = await startRun(store)
    await post(store, 'run-1', 'p')
    await notifies(listening, { dueInMs: 0 }, async () => {
      equal(await release(store, run), 'due')
    })

    await listening.stop()
  }),

  'a run that waits for a time is told with it, when it is created and when it is released': notifying(
    async ({ store, clock }) => {
      const listening = listen(store)
      await warmUp(store, listening)
      const { run, ...options } = creating({ runId: 'run-2', update: { ...blocked, wakeAt: clock.now() + 4000 } })

      await notifies(listening, { runId: 'run-2', dueInMs: 4000 }, async () =>
        store.events.append('run-2', sampleEvents('run-2', 1), { ...options, run: { ...run, create: creation() } }),
      )
      const sleeping = await startRun(store)
      await notifies(listening, { dueInMs: 5000 }, async () => {
        await release(store, sleeping, { ...blocked, wakeAt: clock.now() + 5000 })
      })

      await listening.stop()
    },
  ),

  'a run that somebody drives, or that waits when it is released, is not told as due': notifying(async ({ store }) => {
    const listening = listen(store)
    await warmUp(store, listening)

    let run = await notifies(listening, 'moved', async () => startRun(store))
    await notifies(listening, 'posted', async () => post(store, 'run-1', 'p'))
    run = await extend(store, run, { take: ['p'] })
    await notifies(listening, 'moved', async () => {
      equal(await release(store, run), 'released')
    })

    deepEqual(
      listening.heard.filter(({ runId, dueInMs }) => runId === 'run-1' && dueInMs !== null),
      [],
    )
    await listening.stop()
  }),

  'a run that a problem holds back is told as that, and as due by the post that frees it': notifying(
    async ({ store, clock }) => {
      const listening = listen(store)
      await warmUp(store, listening)
      const [retried, parked] = [await startRun(store), await startRun(store, { runId: 'run-2' })]
      const owing = await startRun(store, { runId: 'run-3' })
      const retryAt = clock.now() + 5000

      await notifies(listening, { dueInMs: 5000 }, async () =>
        store.runs.release(retried.claim, { expectedHead: 1, problem: { ...parkedProblem, retryAt } }),
      )
      await notifies(listening, { runId: 'run-2', dueInMs: null }, async () =>
        store.runs.release(parked.claim, { expectedHead: 1, problem: parkedProblem }),
      )
      await notifies(listening, { runId: 'run-2', kind: 'posted', dueInMs: 0 }, async () => post(store, 'run-2', 'p'))
      await notifies(listening, { runId: 'run-3', dueInMs: 0 }, async () =>
        extend(store, owing, { run: { ...completed, owes: ['x'] }, release: true }),
      )

      await listening.stop()
    },
  ),

  'an append that releases is told with the time for which the run waits': notifying(async ({ store, clock }) => {
    const listening = listen(store)
    await warmUp(store, listening)
    const [sleeping, waiting] = [await startRun(store), await startRun(store, { runId: 'run-2' })]

    await notifies(listening, { runId: 'run-1', dueInMs: 5000 }, async () =>
      extend(store, sleeping, { run: { ...blocked, wakeAt: clock.now() + 5000 }, release: true }),
    )
    await notifies(listening, { runId: 'run-2', dueInMs: null }, async () =>
      extend(store, waiting, { run: blocked, release: true }),
    )

    await listening.stop()
  }),

  'of appends that release many runs at once each is told with its own time': notifying(async ({ store, clock }) => {
    const listening = listen(store)
    await warmUp(store, listening)
    const runs = await atOnce(40, async (n) => startRun(store, { runId: `many-${n}` }))
    const now = clock.now()
    const told = runs.map(({ runId }, n) => listening.next({ runId, kind: 'moved', dueInMs: 5000 + n }))

    await Promise.all(
      runs.map(async (run, n) => extend(store, run, { run: { ...blocked, wakeAt: now + 5000 + n }, release: true })),
    )

    deepEqual(
      await Promise.all(told),
      runs.map(() => true),
    )
    await listening.stop()
  }),

  'commits made through another handle notify': notifying(async ({ store, open }) => {
    if (!store.capabilities.shared) return
    const listening = listen(store)
    await warmUp(store, listening)
    const other = await open()

    let run = await notifies(listening, 'moved', async () => startRun(other))
    await notifies(listening, 'posted', async () => post(other, 'run-1', 'p'))
    run = await extend(other, run, { take: ['p'] })
    await notifies(listening, { dueInMs: 0 }, async () => {
      await post(other, 'run-1', 'q')
      equal(await release(other, run), 'due')
    })
    const claim = await acquire(other, 'run-1', 'b')
    await notifies(listening, 'moved', async () => extend(other, { ...run, claim }, { run: completed, take: ['q'] }))

    await listening.stop()
  }),

  'posts through another handle are told by run': notifying(async ({ store, open }) => {
    if (!store.capabilities.shared) return
    const listening = listen(store)
    await warmUp(store, listening)
    const other = await open()
    const runs = ['run-1', 'run-2', 'r\u00e4umt \u5b8c\u4e86 \u{1f30a}'.repeat(10)]
    for (const runId of runs) await startRun(other, { runId })

    const told = runs.map(async (runId) => listening.next({ runId, kind: 'posted' }))
    await Promise.all(runs.map(async (runId) => post(other, runId, 'p')))

    deepEqual(
      await Promise.all(told),
      runs.map(() => true),
    )
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
