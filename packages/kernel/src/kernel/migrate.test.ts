import { sealEvent, StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { LogDraft } from '../log/log-event.ts'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, readLog, typesOf, writeLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import type { ActionContext, Effect } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import type { Outcome } from '../driver/outcome.ts'
import { createKernel } from './kernel.ts'
import type { KernelOptions } from './options.ts'

/** What a version does besides asking: the input of its first action, and its output. */
interface Version {
  readonly input?: number
  readonly output?: string
}

/** Acts, asks, and completes. Versions may differ in what comes before the question, or after it. */
function asking(version: string, { input = 1, output = `by ${version}` }: Version = {}) {
  return defineWorkflow(
    {
      ...{ name: 'asking', version, input: z.null() },
      interrupts: { ask: { ask: z.null(), answer: z.number() } },
      actions: { act: { run: (n: number) => n } },
    },
    {
      step: ({ results }, next) => {
        if (!results['act']) return next.run('act', input)
        return results['ask'] ? next.complete(output) : next.interrupt('ask', null)
      },
    },
  )
}

const [v1, v2] = [asking('1'), asking('2')]
const changed = asking('2', { input: 2 })

const answer = { key: 'ask', value: 7 }

/** A run of version 1 that waits for its answer, and kernels on its store. */
async function asked(options: Partial<KernelOptions> = {}) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const another = (more: Partial<KernelOptions> = {}, on: Store = store) =>
    createKernel({ store: on, clock, workflows: [v1, v2], ...options, ...more })
  await another({ workflows: [v1] }).start(v1, null, { runId: 'r' })
  return { clock, store, another, kernel: another() }
}

/** Everything that a store holds of a run. */
async function everythingOf(store: Store, runId: string): Promise<string> {
  const parts = [readLog(store, runId), store.runs.find(runId), store.snapshots.latest(runId)]
  return JSON.stringify(await Promise.all(parts))
}

describe('a run that is migrated', () => {
  test('goes on with the other version, and log and row say so', async () => {
    const { store, kernel } = await asked()

    expect(await kernel.migrate('r', { to: '2' })).toMatchObject({ status: 'blocked', blockedOn: [{ key: 'ask' }] })
    expect(await dataOf(store, 'r', 'Migrated')).toEqual([{ fromVersion: '1', toVersion: '2' }])
    expect(await kernel.get('r')).toMatchObject({ version: '2', status: 'blocked' })

    expect(await kernel.resume('r', answer)).toMatchObject({ status: 'completed', output: 'by 2' })
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
    expect(await kernel.timeline('r')).toMatchObject({ status: 'completed' })
    expect((await kernel.list({ version: '2' })).items).toMatchObject([{ runId: 'r' }])
    expect((await kernel.list({ version: '1' })).items).toEqual([])
  })

  test('needs its old version nowhere any more, and is driven by processes that have the new one', async () => {
    const { another } = await asked()
    const [old, young] = [another({ workflows: [v1] }), another({ workflows: [v2] })]

    await young.migrate('r', { to: '2', wait: false })

    expect(await young.recover()).toMatchObject([{ runId: 'r', outcome: { status: 'blocked' } }])
    await expect(old.verify('r')).rejects.toMatchObject(kernelError('WORKFLOW_MISSING'))
    expect(await young.verify('r')).toMatchObject({ ok: true })
    expect(await young.replay('r')).toMatchObject({ status: 'blocked' })
  })

  test('may want more than it did: it is asked at once', async () => {
    const eager = defineWorkflow(
      {
        ...{ name: 'asking', version: '2', input: z.null() },
        interrupts: { ask: { ask: z.null(), answer: z.number() } },
        actions: { act: { run: (n: number) => n }, more: { run: () => 'more' } },
      },
      {
        step: ({ results }, next) => {
          if (!results['act']) return next.run('act', 1)
          const fresh = results['ask'] === undefined && results['more'] === undefined
          // What was recorded is asked for alike; the version tells itself by what is in the log.
          return fresh ? next.interrupt('ask', null) : next.complete('answered')
        },
      },
    )
    const { kernel, store } = await asked({ workflows: [v1, eager] })

    await kernel.migrate('r', { to: '2' })

    expect(await kernel.resume('r', answer)).toMatchObject({ output: 'answered' })
    expect((await typesOf(store, 'r')).filter((type) => type === 'Migrated')).toHaveLength(1)
  })

  test('may be migrated on, and back', async () => {
    const { kernel, store } = await asked()

    await kernel.migrate('r', { to: '2' })
    await kernel.migrate('r', { to: '1' })

    expect(await kernel.resume('r', answer)).toMatchObject({ output: 'by 1' })
    expect(await dataOf(store, 'r', 'Migrated')).toHaveLength(2)
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('and was parked because its code fails goes on with what is mended, and loses nothing', async () => {
    const broken = defineWorkflow(
      { name: 'asking', version: '0', input: z.null(), actions: { act: { run: (n: number) => n } } },
      {
        step: ({ results }, next) => {
          if (results['act']) throw new Error('bug')
          return next.run('act', 1)
        },
      },
    )
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [broken, v1] })
    await expect(kernel.start(broken, null, { runId: 'r' })).rejects.toMatchObject(kernelError('STEP_FAILED'))

    expect(await kernel.migrate('r', { to: '1' })).toMatchObject({ status: 'blocked' })
    expect(await kernel.get('r')).not.toHaveProperty('problem')
    expect(await kernel.resume('r', answer)).toMatchObject({ output: 'by 1' })
  })

  test('takes what was posted before with the new code', async () => {
    const { store, another } = await asked()
    const body = JSON.stringify({ key: 'ask', value: 7 })
    await store.inbox.post('r', { id: 'p', type: 'Resumed', body }, { maxWaiting: 10 })

    expect(await another({ workflows: [v2] }).migrate('r', { to: '2' })).toMatchObject({ output: 'by 2' })
  })

  test('uses no snapshot of the old version, whose state it may not understand', async () => {
    const counting = (version: string, begin: object) =>
      defineWorkflow(
        {
          ...{ name: 'counting', version, input: z.null(), initialState: () => ({ ...begin, answers: 0 }) },
          interrupts: { ask: { ask: z.null(), answer: z.null() } },
        },
        {
          reduce: (state, event) => (event.type === 'Resumed' ? { ...state, answers: state.answers + 1 } : state),
          step: (state, next) => (state.answers > 0 ? next.complete(state) : next.interrupt('ask', null)),
        },
      )
    const store = memoryStore()
    const [old, young] = [counting('1', { old: true }), counting('2', { young: true })]
    const kernel = createKernel({ store, workflows: [old, young] })
    await kernel.start(old, null, { runId: 'r' })
    expect(await store.snapshots.latest('r')).toMatchObject({ workflowVersion: '1' })

    await kernel.migrate('r', { to: '2' })

    expect(await kernel.replayFromSnapshot('r')).toMatchObject({ state: { young: true, answers: 0 } })
    expect(await kernel.resume('r', { key: 'ask', value: null })).toMatchObject({
      output: { young: true, answers: 1 },
    })
  })

  test('has only its log, where it began without a start', async () => {
    const bare = (version: string) =>
      defineWorkflow(
        {
          ...{ name: 'bare', version, input: z.null(), initialState: () => ({ n: 0 }) },
          interrupts: { ask: { ask: z.null(), answer: z.null() } },
        },
        {
          reduce: (state, event) => (event.type === 'Resumed' ? { n: state.n + 1 } : state),
          step: ({ n }, next) => (n > 5 ? next.complete(`${n} by ${version}`) : next.interrupt('ask', null)),
        },
      )
    const store = memoryStore()
    await writeLog(store, 'r', [], { workflow: 'bare' })
    const kernel = createKernel({ store, workflows: [bare('1'), bare('2')] })
    const initialState = { n: 5 }
    await kernel.run('r', { initialState })
    const body = JSON.stringify({ key: 'ask', value: null })

    await kernel.migrate('r', { to: '2', initialState })
    await store.inbox.post('r', { id: 'p', type: 'Resumed', body }, { maxWaiting: 10 })
    const outcome = await kernel.migrate('r', { to: '1', initialState })

    expect(outcome).toMatchObject({ status: 'completed', output: '6 by 1' })
    expect(await dataOf(store, 'r', 'Migrated')).toHaveLength(2)
  })

  test('ends as it would have, however often and wherever it is migrated to code that decides alike', async () => {
    const alike = (version: string) =>
      defineWorkflow(
        {
          ...{ name: 'alike', version, input: z.number() },
          interrupts: { ask: { ask: z.number(), answer: z.number() } },
          actions: { act: { run: (n: number) => n * 2 } },
        },
        {
          step: ({ input, results }, next) => {
            for (let i = 0; i < input; i++) {
              if (!results[`act:${i}`] || !results[`ask:${i}`]) {
                return next.all([
                  next.run('act', i, { key: `act:${i}` }),
                  next.interrupt('ask', i, { key: `ask:${i}` }),
                ])
              }
            }
            return next.complete(Object.keys(results).length)
          },
        },
      )
    const versions = ['1', '2', '3']
    const [first, ...others] = versions.map(alike) as [ReturnType<typeof alike>]
    const workflows = [first, ...others]
    const moves = fc.array(fc.array(fc.constantFrom(...versions), { maxLength: 3 }), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(moves, async (plan) => {
        const store = memoryStore()
        const kernel = createKernel({ store, workflows })
        let outcome: Outcome = await kernel.start(first, plan.length, { runId: 'r' })
        for (const [i, targets] of plan.entries()) {
          for (const to of targets) await kernel.migrate('r', { to })
          outcome = await kernel.resume('r', { key: `ask:${i}`, value: i })
        }

        expect(outcome).toMatchObject({ status: 'completed', output: 2 * plan.length })
        expect(await kernel.verify('r')).toMatchObject({ ok: true })
        expect(await kernel.get('r')).toMatchObject({ version: plan.flat().at(-1) ?? '1' })
      }),
      { numRuns: 40 },
    )
  })
})

type Run = (ctx: ActionContext) => Promise<string>

/** Does one thing and completes with its version and what became of that. */
const doing = (version: string, effect: Effect, run: Run) =>
  defineWorkflow(
    {
      ...{ name: 'doing', version, input: z.null() },
      actions: { act: { effect, run: (_: null, ctx) => run(ctx) } },
    },
    {
      step: ({ results }, next) => (results['act'] ? next.complete([version, results['act']]) : next.run('act')),
    },
  )

const endless: Run = () => new Promise(() => undefined)

describe('what a run is in the midst of', () => {
  /** A run of version 1 whose process died while it was at it; `run` is what version 2 does. */
  async function killedAmid(effect: Effect, run: Run) {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    let isDead = false
    const dying = recordCalls(store, [], () => (isDead ? new Promise(() => undefined) : undefined))
    const first = doing('1', effect, endless)
    const process = createKernel({ store: dying, clock, workflows: [first] })
    process.start(first, null, { runId: 'r' }).catch(() => undefined)
    await settled()
    isDead = true
    await clock.advance(31_000)
    return { store, kernel: createKernel({ store, clock, workflows: [doing('2', effect, run)] }) }
  }

  test('is tried again under its own key by the new code', async () => {
    const { store, kernel } = await killedAmid('idempotent', (ctx) => Promise.resolve(`${ctx.key} ${ctx.attempt}`))

    const outcome = await kernel.migrate('r', { to: '2' })

    expect(outcome).toMatchObject({ output: ['2', { status: 'succeeded', output: 'act 2' }] })
    expect(await typesOf(store, 'r')).toEqual([
      ...['RunStarted', 'ActionRequested', 'Migrated', 'ActionAttemptAbandoned', 'ActionAttemptStarted'],
      ...['ActionSucceeded', 'Completed'],
    ])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('and must not happen twice stays in doubt, before the migration and behind it', async () => {
    const { store, kernel } = await killedAmid('at-most-once', endless)

    const outcome = await kernel.migrate('r', { to: '2' })

    expect(outcome).toMatchObject({ status: 'blocked', blockedOn: [{ key: 'act', inDoubt: true }] })
    const again = createKernel({ store, workflows: [doing('3', 'at-most-once', endless)] })
    expect(await again.migrate('r', { to: '3' })).toMatchObject(outcome)
    const settlement = { key: 'act', outcome: { status: 'succeeded', output: 'paid' } } as const
    expect(await again.settle('r', settlement)).toMatchObject({ output: ['3', { output: 'paid' }] })
    expect(await again.verify('r')).toMatchObject({ ok: true })
  })
})

describe('a run that is driven', () => {
  /** A run of version 1 that this kernel is at work on; its first attempt ends when it is told to, or aborted. */
  async function underWay(effect: Effect, begin: 'start' | 'recover' = 'start') {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    const attempts: string[] = []
    let finish = (_: string): void => undefined
    const run =
      (version: string): Run =>
      (ctx) => {
        attempts.push(`${version} ${ctx.attempt}`)
        if (version === '2') return Promise.resolve('done')
        return new Promise((resolve, reject) => {
          finish = resolve
          ctx.signal.addEventListener('abort', () => {
            reject(new Error('aborted'))
          })
        })
      }
    const [first, second] = [doing('1', effect, run('1')), doing('2', effect, run('2'))]
    const another = () => createKernel({ store, clock, workflows: [first, second] })
    const kernel = another()
    const started = kernel.start(first, null, { runId: 'r', wait: begin === 'start' })
    started.catch(() => undefined)
    const recovered = started.then(() => (begin === 'recover' ? kernel.recover() : []))
    recovered.catch(() => undefined)
    await settled()
    return {
      clock,
      store,
      attempts,
      kernel,
      another,
      started,
      recovered,
      finish: (value: string) => {
        finish(value)
      },
    }
  }

  test('here gives its attempt up, and all who wait for it see how it ends with the new code', async () => {
    const { store, attempts, kernel, started } = await underWay('idempotent')
    const following = kernel.run('r')

    const outcome = await kernel.migrate('r', { to: '2' })

    expect(outcome).toMatchObject({ output: ['2', { output: 'done' }] })
    expect(await Promise.all([started, following])).toEqual([outcome, outcome])
    expect(attempts).toEqual(['1 1', '2 2'])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
    expect(await store.runs.find('r')).toMatchObject({ waiting: 0, owes: [], recoveries: 0 })
  })

  test('here is driven on by whoever drove it when the migration does not wait', async () => {
    const { kernel, started } = await underWay('idempotent')

    expect(await kernel.migrate('r', { to: '2', wait: false })).toEqual({ status: 'running', runId: 'r' })

    expect(await started).toMatchObject({ output: ['2', { output: 'done' }] })
  })

  test('here in the background is driven on there', async () => {
    const { kernel, recovered } = await underWay('idempotent', 'recover')

    await kernel.migrate('r', { to: '2', wait: false })

    expect(await recovered).toMatchObject([{ runId: 'r', outcome: { output: ['2', { output: 'done' }] } }])
  })

  test('here finishes first what must not happen twice', async () => {
    const { store, attempts, kernel, started, finish } = await underWay('at-most-once')

    const migrating = kernel.migrate('r', { to: '2' })
    migrating.catch(() => undefined)
    await settled()
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested'])
    finish('paid')

    // What is made of it is the new code's to say.
    expect(await migrating).toMatchObject({ output: ['2', { output: 'paid' }] })
    expect(await started).toMatchObject({ output: ['2', { output: 'paid' }] })
    expect(attempts).toEqual(['1 1'])
    expect(await typesOf(store, 'r')).not.toContain('ActionInDoubt')
  })

  test('here has its turn between two actions that must not happen twice, however many there are', async () => {
    const versions: string[] = []
    const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    const chain = (version: string) =>
      defineWorkflow(
        {
          ...{ name: 'chain', version, input: z.null() },
          actions: { once: { effect: 'at-most-once', run: (_: number) => tick().then(() => versions.push(version)) } },
        },
        {
          step: ({ results }, next) => {
            const n = Object.keys(results).length
            return n === 30 ? next.complete(version) : next.run('once', n, { key: `once:${n}` })
          },
        },
      )
    const [first, second] = [chain('1'), chain('2')]
    const kernel = createKernel({ store: memoryStore(), workflows: [first, second] })
    const started = kernel.start(first, null, { runId: 'r' })
    while (versions.length < 3) await tick()

    expect(await kernel.migrate('r', { to: '2' })).toMatchObject({ output: '2' })

    expect(await started).toMatchObject({ output: '2' })
    expect(versions).toHaveLength(30)
    expect(new Set(versions)).toEqual(new Set(['1', '2']))
  })

  /** Two chains of actions that must not happen twice, each begun while one of the other is under way. */
  function overlapping(length: number) {
    const versions: string[] = []
    const under = new Map<number, () => void>()
    const chains = (version: string) =>
      defineWorkflow(
        {
          ...{ name: 'chains', version, input: z.null() },
          actions: {
            once: {
              effect: 'at-most-once',
              run: (n: number) => {
                versions.push(version)
                return new Promise<null>((resolve) => {
                  under.set(n, () => {
                    resolve(null)
                  })
                })
              },
            },
          },
        },
        {
          step: ({ results }, next) => {
            const done = [0, 1].map((chain) => Object.keys(results).filter((key) => key.startsWith(`${chain}:`)).length)
            if (done.every((n) => n === length)) return next.complete(version)
            return next.all(
              done.flatMap((n, chain) => (n < length ? [next.run('once', chain, { key: `${chain}:${n}` })] : [])),
            )
          },
        },
      )
    const finish = async (chain: number): Promise<void> => {
      const end = under.get(chain)
      under.delete(chain)
      end?.()
      await settled()
    }
    return { first: chains('1'), second: chains('2'), versions, finish, under }
  }

  test('here has its turn although one that must not happen twice is always under way: no other is begun', async () => {
    const { first, second, versions, finish, under } = overlapping(20)
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [first, second] })
    const started = kernel.start(first, null, { runId: 'r' })
    await settled()
    await finish(0)

    const migrating = kernel.migrate('r', { to: '2', wait: false })
    await settled()
    await finish(1)
    expect(under.size).toBe(1)
    await finish(0)
    await migrating

    expect(await dataOf(store, 'r', 'Migrated')).toHaveLength(1)
    for (let left = 40; left > 0 && versions.length <= 40; left--) {
      await finish(0)
      await finish(1)
    }
    expect(await started).toMatchObject({ output: '2' })
    expect(versions).toEqual([...Array<string>(3).fill('1'), ...Array<string>(37).fill('2')])
    expect(await typesOf(store, 'r')).not.toContain('ActionInDoubt')
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('here can be canceled while its migration waits for what must not happen twice', async () => {
    const { first, second, finish } = overlapping(5)
    const kernel = createKernel({ store: memoryStore(), workflows: [first, second] })
    const started = kernel.start(first, null, { runId: 'r' })
    await settled()
    const migrating = kernel.migrate('r', { to: '2' })
    migrating.catch(() => undefined)
    await settled()
    await finish(1)

    await kernel.cancel('r', { reason: 'not needed' }).catch(() => undefined)

    expect(await started).toMatchObject({ status: 'canceled' })
    await expect(migrating).rejects.toMatchObject(kernelError('RUN_TERMINAL'))
  })

  test('elsewhere is waited for', async () => {
    const { clock, store, another, kernel, started, finish } = await underWay('idempotent')
    const migrating = another().migrate('r', { to: '2' })
    migrating.catch(() => undefined)
    await clock.advance(10_000)
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested'])

    await kernel[Symbol.asyncDispose]()
    await clock.advance(1000)

    await expect(started).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
    expect(await migrating).toMatchObject({ output: ['2', { output: 'done' }] })
    finish('too late')
  })

  test('elsewhere may end there: that is told', async () => {
    const { clock, another, started, finish } = await underWay('idempotent')
    const migrating = another().migrate('r', { to: '2' })
    migrating.catch(() => undefined)
    await settled()

    finish('in time')
    await started
    await clock.advance(1000)

    await expect(migrating).rejects.toMatchObject(kernelError('RUN_TERMINAL'))
  })

  test('stops waiting when its kernel is disposed', async () => {
    const { another } = await underWay('idempotent')
    const other = another()
    const migrating = other.migrate('r', { to: '2' })
    migrating.catch(() => undefined)
    await settled()

    await other[Symbol.asyncDispose]()

    await expect(migrating).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
  })
})

describe('a migration at any moment of a run', () => {
  const tick = () => new Promise((resolve) => setImmediate(resolve))

  /** Does four things that must not happen twice, and four that may, each in its time. */
  const busy = (version: string, done: string[]) => {
    const act = async (_: null, { key }: ActionContext) => {
      await tick()
      done.push(key)
      await tick()
    }
    return defineWorkflow(
      {
        ...{ name: 'busy', version, input: z.null() },
        actions: { once: { effect: 'at-most-once', run: act }, often: { run: act } },
      },
      {
        step: ({ results }, next) => {
          for (const [i, action] of (['once', 'often', 'often', 'once'] as const).entries()) {
            const [a, b] = [`${action}:${i}`, `beside:${i}`]
            if (results[a] && results[b]) continue
            return next.all([next.run(action, null, { key: a }), next.run('often', null, { key: b })])
          }
          return next.complete(version)
        },
      },
    )
  }

  test.for(['here', 'elsewhere'])('that is driven %s harms nothing', async (where) => {
    let migrated = 0
    for (let moment = 0; moment < 40; moment++) {
      const store = memoryStore()
      const done: string[] = []
      const [first, second] = [busy('1', done), busy('2', done)]
      const another = () => createKernel({ store, workflows: [first, second] })
      const kernel = another()
      const started = kernel.start(first, null, { runId: 'r' })
      for (let i = 0; i < moment; i++) await tick()

      const migrating = (where === 'here' ? kernel : another()).migrate('r', { to: '2' })
      const outcome = await migrating.catch((error: unknown) => error)

      const ended = await started
      const row = await store.runs.find('r')
      const late = `${where}, moment ${moment}`
      if (row?.version === '2') migrated++
      // It was too early, or too late.
      else expect(['RUN_NOT_FOUND', 'RUN_TERMINAL']).toContain((outcome as { readonly code: string }).code)
      expect(ended, late).toMatchObject({ status: 'completed', output: row?.version })
      expect(row?.lease, late).toBeUndefined()
      expect(await typesOf(store, 'r'), late).not.toContain('ActionInDoubt')
      expect(done.filter((key) => key.startsWith('once')).sort(), late).toEqual(['once:0', 'once:3'])
      expect(new Set(done).size, late).toBe(8)
      expect(await another().verify('r'), late).toMatchObject({ ok: true })
    }
    if (where === 'here') expect(migrated).toBeGreaterThan(5)
  })
})

describe('migrations', () => {
  test('at once, of one kernel or of several, are one', async () => {
    const { store, another } = await asked()
    const [one, other] = [another(), another()]

    const outcomes = await Promise.all([one, one, other].map((kernel) => kernel.migrate('r', { to: '2' })))

    expect(outcomes).toEqual([outcomes[0], outcomes[0], outcomes[0]])
    expect(await dataOf(store, 'r', 'Migrated')).toEqual([{ fromVersion: '1', toVersion: '2' }])
    expect(await store.runs.find('r')).toMatchObject({ version: '2' })
    expect(await store.runs.find('r')).not.toHaveProperty('lease')
  })

  test('to different versions at once come one after the other', async () => {
    const v3 = asking('3')
    const { store, another } = await asked({ workflows: [v1, v2, v3] })

    await Promise.all(['2', '3'].map((to) => another().migrate('r', { to })))

    const [first, second, ...more] = await dataOf(store, 'r', 'Migrated')
    expect(more).toEqual([])
    expect(second?.['fromVersion']).toBe(first?.['toVersion'])
    expect(await store.runs.find('r')).toMatchObject({ version: second?.['toVersion'] })
  })

  test('whose answer is lost are made once', async () => {
    const { store, another } = await asked()
    let isLost = false
    const losing: Store = {
      ...store,
      events: {
        ...store.events,
        append: async (...args) => {
          const answer = await store.events.append(...args)
          if (isLost) return answer
          isLost = true
          throw new StoreError('UNKNOWN_OUTCOME', 'lost on purpose')
        },
      },
    }

    expect(await another({}, losing).migrate('r', { to: '2' })).toMatchObject({ status: 'blocked' })

    expect(isLost).toBe(true)
    expect(await dataOf(store, 'r', 'Migrated')).toHaveLength(1)
  })

  test('that lose their lease on the way look at the log anew', async () => {
    const { store, another } = await asked()
    let isTaken = false
    /** Another process takes the run, writes what came in for it, and lets go. */
    const takeOver = async (): Promise<void> => {
      isTaken = true
      const { token, head: expectedHead } = (await store.runs.find('r'))!
      const owner = { id: 'other', boot: null, pidNamespace: null, pid: 1, startedAt: null }
      const claim = await store.runs.acquire('r', { owner, leaseMs: 1000, takeover: token })
      const last = (await readLog(store, 'r')).at(-1)!
      const signal: LogDraft = { type: 'SignalReceived', data: { signalId: 's', name: 'n', value: null } }
      const { stored } = sealEvent('r', { seq: last.seq, hash: last.hash }, signal, last.at)
      const run = { status: 'running', blockedOn: [], wakeAt: 0 } as const
      await store.events.append('r', [stored], { expectedHead, fencingToken: claim.token, run })
      await store.runs.release(claim, { expectedHead: stored.seq })
    }
    const robbed = recordCalls(store, [], (name) => (name === 'events.append' && !isTaken ? takeOver() : undefined))

    expect(await another({}, robbed).migrate('r', { to: '2' })).toMatchObject({ status: 'blocked' })

    expect((await typesOf(store, 'r')).slice(-2)).toEqual(['SignalReceived', 'Migrated'])
    expect(await another().verify('r')).toMatchObject({ ok: true })
    expect(await store.runs.find('r')).not.toHaveProperty('lease')
  })

  test('to the version that a run is of change nothing, also when it has ended', async () => {
    const { store, kernel } = await asked()
    const before = await everythingOf(store, 'r')

    expect(await kernel.migrate('r', { to: '1' })).toMatchObject({ status: 'blocked' })
    expect(await everythingOf(store, 'r')).toBe(before)

    await kernel.migrate('r', { to: '2' })
    const ended = await kernel.resume('r', answer)
    expect(await kernel.migrate('r', { to: '2' })).toEqual(ended)
  })

  test('do not keep others waiting when they fail', async () => {
    const { store, another } = await asked({ workflows: [v1, changed] })
    const kernel = another()

    await expect(kernel.migrate('r', { to: '2' })).rejects.toMatchObject(kernelError('CODE_CHANGED'))

    expect(await kernel.resume('r', answer)).toMatchObject({ output: 'by 1' })
    expect(await store.runs.find('r')).not.toHaveProperty('lease')
  })
})

describe('a migration is refused, and nothing is written,', () => {
  test('to code that decides otherwise than recorded; it says where', async () => {
    const { store, kernel } = await asked({ workflows: [v1, changed] })
    const before = await everythingOf(store, 'r')

    const migrating = kernel.migrate('r', { to: '2' })

    await expect(migrating).rejects.toMatchObject({
      ...kernelError('CODE_CHANGED'),
      where: { runId: 'r', seq: 2, path: 'event.data.input' },
      divergence: { seq: 2, recorded: { data: { input: 1 } }, decided: { data: { input: 2 } } },
    })
    await expect(migrating).rejects.toThrow(/version 2 .* run r.* seq 2 .*leave the run on version 1/)
    expect(await everythingOf(store, 'r')).toBe(before)
  })

  test('wherever the log differs, also far behind the last snapshot', async () => {
    const loop = (version: string, from: number) =>
      defineWorkflow(
        {
          ...{ name: 'loop', version, input: z.null() },
          interrupts: { ask: { ask: z.null(), answer: z.null() } },
          actions: { act: { run: (n: number) => n } },
        },
        {
          step: ({ results }, next) => {
            for (let i = 0; i < 5; i++) {
              const key = `act:${i}`
              if (!results[key]) return next.run('act', i === from ? -1 : i, { key })
            }
            return next.interrupt('ask', null)
          },
        },
      )
    const first = loop('same', -1)
    for (let i = 0; i < 5; i++) {
      const store = memoryStore()
      const kernel = createKernel({ store, workflows: [first, loop('other', i)] })
      await kernel.start(first, null, { runId: 'r' })
      const before = await everythingOf(store, 'r')

      const migrating = kernel.migrate('r', { to: 'other' })

      await expect(migrating).rejects.toMatchObject({ code: 'CODE_CHANGED', where: { seq: 2 + 2 * i } })
      expect(await everythingOf(store, 'r')).toBe(before)
    }
  })

  test('of a run that has ended', async () => {
    const { store, kernel } = await asked()
    await kernel.resume('r', answer)
    const before = await everythingOf(store, 'r')

    await expect(kernel.migrate('r', { to: '2' })).rejects.toMatchObject(kernelError('RUN_TERMINAL'))

    expect(await everythingOf(store, 'r')).toBe(before)
  })

  test('to a version that is not registered, naming those that are', async () => {
    const { store, kernel } = await asked()
    const before = await everythingOf(store, 'r')

    const migrating = kernel.migrate('r', { to: '9' })

    await expect(migrating).rejects.toMatchObject({ ...kernelError('WORKFLOW_MISSING'), where: { runId: 'r' } })
    await expect(migrating).rejects.toThrow(/asking@9.*asking@1, asking@2/)
    expect(await everythingOf(store, 'r')).toBe(before)
  })

  test('of a run that nobody knows, or to what is no version', async () => {
    const { kernel } = await asked()

    await expect(kernel.migrate('x', { to: '2' })).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
    await expect(kernel.migrate('r', { to: '' })).rejects.toMatchObject(storeError('INVALID_ARGUMENT'))
  })
})
