import type { Claim, Store, StoredEvent } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import type { DispatchedRun } from './dispatcher.ts'
import { createKernel } from './kernel.ts'

const simple = defineWorkflow(
  { name: 'simple', version: '1', input: z.null() },
  { step: (_, next) => next.complete('done') },
)

const parent = defineWorkflow(
  { name: 'parent', version: '1', input: z.null() },
  {
    step: ({ results }, next) =>
      results['child'] ? next.complete('grown') : next.child(simple, null, { key: 'child' }),
  },
)

const queues = [{ name: 'default' }]
const leaseMs = 600_000

/** A store whose claims tell something else of the first event. */
function telling(store: Store, first: (claim: Claim) => StoredEvent | undefined): Store {
  const claim: Store['runs']['claim'] = async (request) => {
    const claims = await store.runs.claim(request)
    return claims.map(({ first: _, ...rest }, i) => {
      const told = first(claims[i] as Claim)
      return { ...rest, ...(told && { first: told }) }
    })
  }
  return { ...store, runs: { ...store.runs, claim } }
}

describe('a new run that is claimed', () => {
  test.for([
    ['is not read when the claim tells its event', (claim: Claim) => claim.first, []],
    ['is read when the claim leaves it out', () => undefined, ['events.read']],
  ] as const)('%s', async ([, first, reads]) => {
    const calls: string[] = []
    const store = recordCalls(telling(memoryStore(), first), calls)
    await using kernel = createKernel({ store, workflows: [simple] })
    await kernel.start(simple, null, { runId: 'r', wait: false })
    calls.length = 0

    const [run] = await kernel.dispatcher.claim({ queues, limit: 1, leaseMs })

    expect(await run?.outcome).toMatchObject({ status: 'completed', output: 'done' })
    expect(calls.filter((call) => /read|latest/.test(call))).toEqual(reads)
  })

  test('is parked when the event that the claim tells is not the one that was sealed', async () => {
    const store = telling(
      memoryStore(),
      ({ first }) => first && { ...first, body: first.body.replace('simple', 'sample') },
    )
    await using kernel = createKernel({ store, workflows: [simple] })
    await kernel.start(simple, null, { runId: 'r', wait: false })

    const [run] = await kernel.dispatcher.claim({ queues, limit: 1, leaseMs })

    await expect(run?.outcome).rejects.toMatchObject({ code: 'CORRUPT_LOG', where: { runId: 'r', seq: 1 } })
    expect(await kernel.get('r')).toMatchObject({ problem: { code: 'CORRUPT_LOG' } })
  })
})

describe('a run that is dispatched', () => {
  test('and cannot tell its end to a parent whose inbox is full, is parked until there is room', async () => {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    await using kernel = createKernel({ store, clock, workflows: [parent, simple], limits: { waitingPosts: 1 } })
    const { dispatcher } = kernel
    const claim = async (workflow: string) => dispatcher.claim({ queues, workflows: [workflow], limit: 1, leaseMs })
    await kernel.start(parent, null, { runId: 'p', wait: false })
    for (const run of await claim('parent')) await run.outcome
    await store.inbox.post(
      'p',
      { id: 'x', type: 'SignalReceived', body: '{"signalId":"x","name":"n","value":1}' },
      { maxWaiting: 1 },
    )

    const [child] = await claim('simple')
    const failed = child?.outcome.catch((error: unknown) => error)
    for (let i = 0; i < 10; i++) await clock.advance(1000)

    expect(await failed).toMatchObject({ code: 'INBOX_FULL' })
    const row = await store.runs.find(child?.runId ?? '')
    expect(row).toMatchObject({ status: 'completed', problem: { code: 'INBOX_FULL' } })
    expect(row?.owes).toHaveLength(1)
    for (const run of await claim('parent')) await run.outcome
    await clock.advance(60_000)
    for (const run of await claim('simple')) await run.outcome
    for (const run of await claim('parent')) await run.outcome
    expect(await kernel.run('p')).toMatchObject({ status: 'completed', output: 'grown' })
  })

  test('and was put to rest for a migration that failed, is driven on', async () => {
    const clock = manualClock()
    const failing = { on: false }
    let calls = 0
    const long = (version: string) =>
      defineWorkflow(
        {
          ...{ name: 'long', version, input: z.null() },
          actions: {
            call: {
              run: async (_: null, { signal }) => {
                if (++calls > 1) return 'done'
                return new Promise((_resolve, reject) => {
                  signal.addEventListener('abort', () => {
                    failing.on = true
                    reject(signal.reason as Error)
                  })
                })
              },
            },
          },
        },
        { step: ({ results }, next) => (results['call'] ? next.complete('done') : next.run('call')) },
      )
    const store = recordCalls(memoryStore({ now: clock.now }), [], (name) => {
      if (name !== 'runs.find' || !failing.on) return undefined
      failing.on = false
      throw new Error('the server is gone')
    })
    const [one, two] = [long('1'), long('2')]
    await using kernel = createKernel({ store, clock, workflows: [two, one] })
    await kernel.start(one, null, { runId: 'r', wait: false })
    const [run] = await kernel.dispatcher.claim({ queues, limit: 1, leaseMs })
    await settled()

    await expect(kernel.migrate('r', { to: '2' })).rejects.toThrow('the server is gone')
    expect(await run?.outcome).toBeUndefined()

    expect(await kernel.follow('r')).toMatchObject({ status: 'completed' })
    expect(calls).toBe(2)
  })
})

describe('a new run that was taken', () => {
  test('and is given up before it was created, is recorded all the same', async () => {
    const store = memoryStore()
    await using kernel = createKernel({ store, workflows: [simple] })
    const { dispatcher } = kernel
    let leaving: Promise<unknown> = Promise.resolve()
    let before: DispatchedRun | undefined
    const leaveSoon = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) await Promise.resolve(before?.leave('stop'))
    }
    dispatcher.takeNew(
      { queues, leaseMs },
      {
        isFree: () => true,
        take: (begun) => {
          leaving = before === undefined ? begun.then((run) => (before = run)) : leaveSoon()
        },
      },
    )
    await kernel.start(simple, null, { runId: 'r', wait: false })
    await leaving
    await before?.outcome
    await store.runs.remove('r', { ifTerminal: true })

    expect(await kernel.start(simple, null, { runId: 'r', wait: false })).toEqual({ status: 'running', runId: 'r' })
    await leaving

    expect(await store.runs.find('r')).toBeDefined()
  })
})

describe('a run that is claimed and must not be driven', () => {
  const damage = 'owes of run r is no JSON; restore that row from a backup'

  test('is parked when its row cannot be read, and what was claimed with it is driven', async () => {
    const data = memoryStore()
    const claim: Store['runs']['claim'] = async (request) =>
      (await data.runs.claim(request)).map((each) => (each.runId === 'r' ? { ...each, damage } : each))
    await using kernel = createKernel({ store: { ...data, runs: { ...data.runs, claim } }, workflows: [simple] })
    for (const runId of ['r', 's']) await kernel.start(simple, null, { runId, wait: false })

    const [damaged, whole] = await kernel.dispatcher.claim({ queues, limit: 2, leaseMs })

    const error = await damaged?.outcome.catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'CORRUPT_LOG', where: { runId: 'r' } })
    expect(kernel.dispatcher.parks(error)).toBe(true)
    expect(await whole?.outcome).toMatchObject({ status: 'completed' })
    const row = await kernel.get('r')
    expect(row).toMatchObject({ head: 1, problem: { code: 'CORRUPT_LOG', message: `CORRUPT_LOG: ${damage}` } })
    expect(row.lease).toBeUndefined()
  })

  test('is parked when it owes what this release does not know, and pays what is known', async () => {
    const store = memoryStore()
    await using kernel = createKernel({ store, workflows: [parent, simple] })
    await kernel.start(parent, null, { runId: 'r', wait: false })
    const claim = await store.runs.acquire('r', { owner: { ...kernel.dispatcher.owner, id: 'later' }, leaseMs })
    const owes = [{ kind: 'later' }, { kind: 'cancel', runId: 'gone' }]
    await store.runs.release(claim, { expectedHead: 1, run: { status: 'running', blockedOn: [], wakeAt: 0, owes } })

    const [run] = await kernel.dispatcher.claim({ queues, limit: 1, leaseMs })

    const error = await run?.outcome.catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'CORRUPT_LOG', where: { runId: 'r' } })
    expect(kernel.dispatcher.parks(error)).toBe(true)
    // What it does besides goes on: the child was started.
    expect(await kernel.get('r')).toMatchObject({
      owes: expect.arrayContaining([{ kind: 'later' }]) as never,
      problem: {},
    })
    expect((await kernel.list({ parent: 'r' })).items).toHaveLength(1)
  })
})
