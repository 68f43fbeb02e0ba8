import { defaultLimits, type Json, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { unguarded } from '../guard/guard.ts'
import { ActionError } from '../policy/action-error.ts'
import { allowList } from '../policy/policy.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, readLog, sealLog, typesOf } from '../testing/sealed-log.ts'
import { verifyLog } from '../views/verify.ts'
import type { Effect } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'
import type { KernelOptions } from './options.ts'

/** Everything that a store holds of a run. */
async function everythingOf(store: Store, runId: string): Promise<string> {
  const parts = [readLog(store, runId), store.runs.find(runId), store.snapshots.latest(runId)]
  return JSON.stringify(await Promise.all(parts))
}

/** One action of a random workflow: it needs what some earlier ones come to. */
interface Part {
  readonly needs: readonly number[]
  readonly effect: Effect
}

interface GraphState {
  readonly outputs: Readonly<Record<string, number>>
  readonly attempts: number
  readonly waves: number
}

/** Runs its parts as soon as what they need is there, so many at once; notes each wave by an event of its own. */
function graph(parts: readonly Part[], concurrency: number, executed: string[]) {
  const act = (input: number[], { key }: { readonly key: string }) => {
    executed.push(key)
    return Promise.resolve(input.reduce((sum, n) => sum + n, 1))
  }
  return defineWorkflow(
    {
      ...{ name: 'graph', version: '1', input: z.null() },
      initialState: (): GraphState => ({ outputs: {}, attempts: 0, waves: 0 }),
      events: { wave: z.number() },
      actions: {
        pure: { effect: 'pure', run: act },
        idempotent: { effect: 'idempotent', run: act },
        'at-most-once': { effect: 'at-most-once', run: act },
      },
    },
    {
      reduce: (state, event) => {
        if (event.type === 'DomainEvent') return { ...state, waves: event.data.payload }
        if (event.type !== 'ActionSucceeded') return state
        const { key, output, attempts } = event.data
        return { ...state, outputs: { ...state.outputs, [key]: output }, attempts: state.attempts + attempts }
      },
      step: ({ outputs, attempts, waves }, next) => {
        const done = Object.keys(outputs).length
        if (done === parts.length) return next.complete({ outputs, attempts })
        if (waves === 0) return next.emit({ type: 'DomainEvent', name: 'wave', payload: 1 })
        const ready = parts.flatMap(({ needs, effect }, i) => {
          const inputs = needs.map((n) => outputs[`part:${n}`])
          if (inputs.includes(undefined)) return []
          return [next.run(effect, [i, ...(inputs as number[])], { key: `part:${i}` })]
        })
        return next.all(ready, { concurrency })
      },
    },
  )
}

const anyParts = fc.array(
  fc.record({
    needs: fc.array(fc.nat(), { maxLength: 3 }),
    effect: fc.constantFrom<Effect>('pure', 'idempotent', 'at-most-once'),
  }),
  { minLength: 1, maxLength: 6 },
)

/** The requests of a log: what was decided, whether or not it was executed. */
async function requestsOf(store: Store, runId: string) {
  const asked = [...(await dataOf(store, runId, 'ActionRequested')), ...(await dataOf(store, runId, 'ActionReused'))]
  return new Map(asked.map(({ key, action, input }) => [key, [action, input]]))
}

describe('a fork with reuse, by the same code,', () => {
  test('decides what the run decided and executes nothing, and the run is untouched byte for byte', async () => {
    let forks = 0
    await fc.assert(
      fc.asyncProperty(anyParts, fc.integer({ min: 1, max: 3 }), fc.nat(), async (drawn, concurrency, seed) => {
        const parts = drawn.map(({ needs, effect }, i) => ({ effect, needs: i === 0 ? [] : needs.map((n) => n % i) }))
        const store = memoryStore()
        const executed: string[] = []
        const workflow = graph(parts, concurrency, executed)
        const kernel = createKernel({ store, workflows: [workflow] })
        const original = await kernel.start(workflow, null, { runId: 'r' })
        const before = await everythingOf(store, 'r')
        const log = await readLog(store, 'r')
        const at = 1 + (seed % (log.length - 1))
        executed.length = 0

        const forking = kernel.fork('r', { at, as: 'f', reuse: true })
        const outcome = await forking.catch((error: unknown) => error)

        expect(executed).toEqual([])
        expect(await everythingOf(store, 'r')).toBe(before)
        // An at-most-once action that was open there keeps a run from being forked there at all.
        if (!('status' in (outcome as object))) {
          expect(outcome).toMatchObject(kernelError('INVALID_INPUT'))
          return
        }
        forks++
        expect(outcome).toEqual({ ...original, runId: 'f' })
        expect(await requestsOf(store, 'f')).toEqual(await requestsOf(store, 'r'))
        expect(await kernel.verify('f')).toMatchObject({ ok: true })
        expect((await kernel.diff('r', 'f')).keys).toEqual([])
        expect(await kernel.replay('f')).toMatchObject({ status: 'completed' })
      }),
      { numRuns: 150 },
    )
    expect(forks).toBeGreaterThan(50)
  })

  test('decides it in the very order, where one thing follows the other', async () => {
    const parts = [0, 1, 2, 3].map((i) => ({ needs: i === 0 ? [] : [i - 1], effect: 'idempotent' as const }))
    const store = memoryStore()
    const workflow = graph(parts, 1, [])
    const kernel = createKernel({ store, workflows: [workflow] })
    await kernel.start(workflow, null, { runId: 'r' })

    await kernel.fork('r', { at: 1, as: 'f', reuse: true })

    const asked = (types: readonly string[]) =>
      types
        .filter((type) => !['ActionSucceeded', 'RunForked'].includes(type))
        .map((type) => (type === 'ActionReused' ? 'ActionRequested' : type))
    expect(asked(await typesOf(store, 'f'))).toEqual(asked(await typesOf(store, 'r')))
    expect(await typesOf(store, 'f')).toEqual([
      ...['RunStarted', 'RunForked', 'DomainEvent', 'ActionReused', 'ActionReused', 'ActionReused', 'ActionReused'],
      'Completed',
    ])
  })
})

interface ShopOptions {
  readonly cents?: number
  readonly fails?: boolean
  /** What a payment waits for once it has begun. */
  readonly bank?: Promise<void>
}

/** Fetches, pays with what it got, asks, and reports. Fetching may fail; the input of the payment can be said otherwise. */
function shop(executed: string[], { cents = 5, fails = false, bank }: ShopOptions = {}) {
  const note = (key: string) => executed.push(key)
  return defineWorkflow(
    {
      ...{ name: 'shop', version: '1', input: z.null() },
      interrupts: { approve: { ask: z.null(), answer: z.boolean() } },
      actions: {
        fetch: {
          run: () => {
            note('fetch')
            if (fails) throw new ActionError('permanent', 'down')
            return 'goods'
          },
        },
        pay: {
          effect: 'at-most-once',
          run: async (n: number) => {
            const receipt = `receipt ${note('pay')} of ${n}`
            await bank
            return receipt
          },
        },
        report: { run: (_: boolean) => note('report') },
        refund: { run: () => note('refund') },
      },
    },
    {
      step: ({ results: r }, next) => {
        if (!r['fetch']) return next.run('fetch')
        if (r['fetch'].status === 'failed') return next.complete('failed')
        if (!r['pay']) return next.run('pay', cents)
        if (r['approve']?.status !== 'resumed') return next.interrupt('approve', null)
        return r['report'] ? next.complete(r['pay']) : next.run('report', r['approve'].output === true)
      },
      cancel: (_, next) => next.run('refund'),
    },
  )
}

/** A run that has fetched, paid, been approved and reported; `another` is a process of its own. */
async function shopped(options: Partial<KernelOptions> = {}) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const executed: string[] = []
  const workflow = shop(executed)
  const another = (more: Partial<KernelOptions> = {}) =>
    createKernel({ store, clock, workflows: [workflow], ...options, ...more })
  const kernel = another()
  await kernel.start(workflow, null, { runId: 'r' })
  await kernel.resume('r', { key: 'approve', value: true })
  executed.length = 0
  const log = await readLog(store, 'r')
  const seqOf = (type: string, key: string) =>
    log.find((event) => event.type === type && (JSON.parse(event.body) as { key?: string }).key === key)!.seq
  return { clock, store, executed, another, kernel, log, seqOf }
}

describe('a fork with reuse', () => {
  test('takes over what the run did, once, and executes what it did not', async () => {
    const { store, kernel, executed, seqOf } = await shopped()

    expect(await kernel.fork('r', { at: 1, as: 'f', reuse: true })).toMatchObject({ status: 'blocked' })
    const outcome = await kernel.resume('f', { key: 'approve', value: false })

    // The same key, another input.
    expect(executed).toEqual(['report'])
    expect(outcome).toMatchObject({ output: { status: 'succeeded', output: 'receipt 2 of 5' } })
    expect(await dataOf(store, 'f', 'RunForked')).toMatchObject([{ fromRunId: 'r', atSeq: 1, reuse: true }])
    expect(await dataOf(store, 'f', 'ActionReused')).toEqual([
      {
        ...{ key: 'fetch', action: 'fetch', input: null, output: 'goods', attempts: 1 },
        from: { runId: 'r', seq: seqOf('ActionSucceeded', 'fetch') },
      },
      {
        ...{ key: 'pay', action: 'pay', input: 5, output: 'receipt 2 of 5', attempts: 1 },
        from: { runId: 'r', seq: seqOf('ActionSucceeded', 'pay') },
      },
    ])
    expect(await kernel.verify('f')).toMatchObject({ ok: true })
  })

  test('executes everything when it was not asked for', async () => {
    const { kernel, executed } = await shopped()

    await kernel.fork('r', { at: 1, as: 'f' })

    expect(executed).toEqual(['fetch', 'pay'])
  })

  test('takes over what was under way where it was forked, and ended behind', async () => {
    const { kernel, executed, seqOf } = await shopped()

    await kernel.fork('r', { at: seqOf('ActionRequested', 'fetch'), as: 'f', reuse: true })

    expect(executed).toEqual([])
  })

  test('executes again what failed', async () => {
    const store = memoryStore()
    const executed: string[] = []
    const failing = shop(executed, { fails: true })
    await createKernel({ store, workflows: [failing] }).start(failing, null, { runId: 'r' })
    executed.length = 0

    const mended = createKernel({ store, workflows: [shop(executed)] })
    expect(await mended.fork('r', { at: 1, as: 'f', reuse: true })).toMatchObject({ status: 'blocked' })

    expect(executed).toEqual(['fetch', 'pay'])
  })

  test('executes what other code asks for with another input', async () => {
    const { store, executed } = await shopped()
    const dearer = createKernel({ store, workflows: [shop(executed, { cents: 6 })] })

    await dearer.fork('r', { at: 1, as: 'f', reuse: true })

    expect(executed).toEqual(['pay'])
    expect(await dataOf(store, 'f', 'ActionReused')).toMatchObject([{ key: 'fetch' }])
  })

  test('cleans up for itself when it is canceled', async () => {
    const { store, executed, another } = await shopped()
    const workflow = shop(executed)
    const kernel = another({ workflows: [workflow] })
    await kernel.start(workflow, null, { runId: 'c' })
    await kernel.cancel('c', { reason: 'no' })
    executed.length = 0

    await kernel.fork('c', { at: 1, as: 'f', reuse: true })
    await kernel.cancel('f', { reason: 'no' })

    expect(executed).toEqual(['refund'])
    expect(await typesOf(store, 'f')).toContain('ActionReused')
    expect(await kernel.verify('f')).toMatchObject({ ok: true })
  })

  test('asks the policy first', async () => {
    const { store, executed, another } = await shopped()

    const strict = another({ policy: allowList({ actions: ['pay'] }) })
    await strict.fork('r', { at: 1, as: 'f', reuse: true })

    expect(await dataOf(store, 'f', 'ActionDenied')).toMatchObject([{ key: 'fetch' }])
    expect(await dataOf(store, 'f', 'ActionReused')).toMatchObject([{ key: 'pay' }])
    expect(executed).toEqual([])
  })

  test('knows it in every process and from every snapshot', async () => {
    const { store, executed, another } = await shopped()
    await another().fork('r', { at: 1, as: 'f', reuse: true, wait: false })
    await another().run('f')
    expect(await store.snapshots.latest('f')).toBeDefined()

    await another().resume('f', { key: 'approve', value: true })

    expect(executed).toEqual([])
    expect((await dataOf(store, 'f', 'ActionReused')).map(({ key }) => key)).toEqual(['fetch', 'pay', 'report'])
  })

  test('of a fork with reuse takes over what that took over', async () => {
    const { store, executed, kernel } = await shopped()
    await kernel.fork('r', { at: 1, as: 'f', reuse: true })

    await kernel.fork('f', { at: 1, as: 'g', reuse: true })
    await kernel.fork('f', { at: 2, as: 'h' })

    expect(await dataOf(store, 'g', 'ActionReused')).toMatchObject([
      { key: 'fetch', from: { runId: 'f' } },
      { key: 'pay', from: { runId: 'f' } },
    ])
    // That one did not ask for it.
    expect(executed).toEqual(['fetch', 'pay'])
    expect(await kernel.verify('g')).toMatchObject({ ok: true })
    expect(await kernel.verify('h')).toMatchObject({ ok: true })
  })

  test('takes over what the run has done by the time that the fork is taken up', async () => {
    const { store, executed, kernel, another } = await shopped()
    const workflow = shop(executed)
    const other = another({ workflows: [workflow] })
    await other.start(workflow, null, { runId: 'slow' })
    await other.fork('slow', { at: 1, as: 'f', reuse: true })
    executed.length = 0
    await other.resume('slow', { key: 'approve', value: true })

    await kernel.resume('f', { key: 'approve', value: true })

    expect(executed).toEqual(['report'])
    expect((await dataOf(store, 'f', 'ActionReused')).map(({ key }) => key)).toEqual(['fetch', 'pay', 'report'])
  })

  test.for(['is gone', 'is of another run'])('is parked when the log %s, and does nothing twice', async (what) => {
    const { store, executed, kernel, another } = await shopped()
    await kernel.fork('r', { at: 1, as: 'f', reuse: true, wait: false })
    await store.runs.remove('r', { ifTerminal: true })
    const workflow = shop([])
    if (what !== 'is gone') await another({ workflows: [workflow] }).start(workflow, null, { runId: 'r' })

    const running = kernel.run('f')

    await expect(running).rejects.toMatchObject({ ...kernelError('REUSE_GONE'), where: { runId: 'f', key: 'fetch' } })
    expect((await kernel.list({ parked: true })).items).toMatchObject([{ runId: 'f', problem: { code: 'REUSE_GONE' } }])
    expect(executed).toEqual([])
    expect(await kernel.fork('f', { at: 2, as: 'g' })).toMatchObject({ status: 'blocked' })
    expect(executed).toEqual(['fetch', 'pay'])
  })

  test('waits, parked, for what must not happen twice and is under way in the run', async () => {
    const { store, executed, another } = await shopped()
    const { promise: bank, resolve: pay } = Promise.withResolvers<undefined>()
    const workflow = shop(executed, { bank })
    const kernel = another({ workflows: [workflow] })
    const paying = kernel.start(workflow, null, { runId: 'slow' })
    await settled()
    expect(executed).toEqual(['fetch', 'pay'])

    const forking = kernel.fork('slow', { at: 1, as: 'f', reuse: true })

    await expect(forking).rejects.toMatchObject({ ...kernelError('REUSE_IN_DOUBT'), where: { runId: 'f', key: 'pay' } })
    await expect(forking).rejects.toThrow('under way in run slow')
    pay(undefined)
    await paying
    expect(await kernel.retry('f')).toMatchObject({ status: 'blocked' })
    expect(executed).toEqual(['fetch', 'pay'])
    expect((await dataOf(store, 'f', 'ActionReused')).map(({ key }) => key)).toEqual(['fetch', 'pay'])
  })

  test('does not do what the run was doing when it was canceled, and must not happen twice', async () => {
    const { executed, another } = await shopped()
    const { promise: bank, resolve: pay } = Promise.withResolvers<undefined>()
    const workflow = shop(executed, { bank })
    const kernel = another({ workflows: [workflow] })
    const paying = kernel.start(workflow, null, { runId: 'slow' })
    await settled()
    await kernel.cancel('slow', { reason: 'no', wait: false })
    pay(undefined)
    expect(await paying).toMatchObject({ status: 'canceled' })
    executed.length = 0

    const forking = kernel.fork('slow', { at: 1, as: 'f', reuse: true })

    await expect(forking).rejects.toThrow('run slow ended without knowing what became of it')
    expect(executed).toEqual([])
    await kernel.fork('f', { at: 2, as: 'g' })
    expect(executed).toEqual(['fetch', 'pay'])
  })

  test('of a fork with reuse does not do what that one has not come to take over, and must not happen twice', async () => {
    const { store, executed, kernel } = await shopped()
    await kernel.fork('r', { at: 1, as: 'f', reuse: true, wait: false })

    const forking = kernel.fork('f', { at: 2, as: 'g', reuse: true })

    await expect(forking).rejects.toMatchObject({ ...kernelError('REUSE_IN_DOUBT'), where: { runId: 'g', key: 'pay' } })
    await expect(forking).rejects.toThrow('wait for that, or fork run r with reuse')
    expect(executed).toEqual(['fetch'])
    await kernel.run('f')
    expect(await kernel.retry('g')).toMatchObject({ status: 'blocked' })
    expect(executed).toEqual(['fetch'])
    expect(await dataOf(store, 'g', 'ActionReused')).toMatchObject([{ key: 'pay', from: { runId: 'f' } }])
  })

  test('of a fork that ended before it took over what must not happen twice says which run has done it', async () => {
    const { executed, kernel } = await shopped()
    await kernel.fork('r', { at: 1, as: 'f', reuse: true, wait: false })
    await kernel.cancel('f', { reason: 'no' })

    const forking = kernel.fork('f', { at: 2, as: 'g', reuse: true })

    await expect(forking).rejects.toThrow(
      'run r has done it, and run f ended without taking that over; fork run r with reuse',
    )
    await kernel.fork('r', { at: 1, as: 'h', reuse: true })
    expect(executed).not.toContain('pay')
  })

  test('of a fork with reuse does what only a run that is gone may have done', async () => {
    const { store, executed, kernel } = await shopped()
    await kernel.fork('r', { at: 1, as: 'f', reuse: true, wait: false })
    await kernel.cancel('f', { reason: 'no' })
    await store.runs.remove('r', { ifTerminal: true })
    executed.length = 0

    expect(await kernel.fork('f', { at: 2, as: 'g', reuse: true })).toMatchObject({ status: 'blocked' })

    expect(executed).toEqual(['fetch', 'pay'])
  })

  test('may edit what it was given, and executes what follows from that', async () => {
    const { kernel, executed, seqOf, log } = await shopped()
    const at = log.find(({ type }) => type === 'Resumed')!.seq

    await kernel.fork('r', { at, as: 'f', edit: { value: false }, reuse: true })

    expect(executed).toEqual(['report'])
    expect(seqOf('ActionRequested', 'report')).toBeGreaterThan(at)
  })

  test('is refused where something that must not happen twice is under way, as any fork is', async () => {
    const { kernel, seqOf, executed } = await shopped()

    const forking = kernel.fork('r', { at: seqOf('ActionRequested', 'pay'), as: 'f', reuse: true })

    await expect(forking).rejects.toMatchObject({ ...kernelError('INVALID_INPUT'), where: { key: 'pay' } })
    await settled()
    expect(executed).toEqual([])
  })
})

describe('verifying a fork with reuse', () => {
  /** The fork's log with one event of a type said otherwise, under a chain that fits. */
  async function verifyEdited(type: string, edit: object) {
    const { store, kernel } = await shopped()
    await kernel.fork('r', { at: 1, as: 'f', reuse: true })
    const log = await readLog(store, 'f')
    const seq = log.find((event) => event.type === type)!.seq
    const drafts = log.map((event) => {
      const data = JSON.parse(event.body) as object
      return { type: event.type, data: (event.seq === seq ? { ...data, ...edit } : data) as Json }
    })
    const env = { limits: defaultLimits, guard: unguarded }
    return { seq, answer: await verifyLog(env, 'f', shop([]).definition, sealLog('f', drafts)) }
  }

  test.for<[string, object]>([
    ['key', { key: 'other' }],
    ['action', { action: 'refund' }],
    ['input', { input: 1 }],
  ])('finds a result that stands for another request: its %s', async ([, edit]) => {
    const { seq, answer } = await verifyEdited('ActionReused', edit)

    expect(answer).toMatchObject({ ok: false, code: 'CODE_CHANGED', seq })
  })

  test('finds a result that is not from where the fork was taken', async () => {
    for (const from of [
      { runId: 'x', seq: 9 },
      { runId: 'r', seq: 1 },
    ]) {
      const { seq, answer } = await verifyEdited('ActionReused', { from })

      expect(answer).toMatchObject({ ok: false, code: 'INVALID_LOG', seq })
    }
  })

  test('finds a fork that was not to reuse anything', async () => {
    const { seq, answer } = await verifyEdited('RunForked', { reuse: false })

    expect(answer).toMatchObject({ ok: false, code: 'INVALID_LOG', seq: seq + 1 })
  })
})
