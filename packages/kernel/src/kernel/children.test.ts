import { memoryStore } from '@varve/store-memory'
import type { Store } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, readLog, typesOf } from '../testing/sealed-log.ts'
import { recordCalls, type BeforeCall } from '../testing/store-calls.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'
import { createKernel, type Kernel } from './kernel.ts'
import type { KernelOptions } from './options.ts'

const HOUR = 3_600_000

/** Doubles a number, after a question when it is 0. */
function doubling(version: string) {
  return defineWorkflow(
    {
      ...{ name: 'doubling', version, input: z.number().max(100) },
      interrupts: { ask: { ask: z.null(), answer: z.number() } },
    },
    {
      step: ({ input, results }, next) => {
        if (input < 0) return next.fail({ message: 'negative', code: 'NEGATIVE' })
        if (input > 0) return next.complete({ doubled: input * 2, version })
        const answer = results['ask']
        return answer?.status === 'resumed' ? next.complete(answer.output) : next.interrupt('ask', null)
      },
    },
  )
}

const first = doubling('1')
const second = doubling('2')

/** Completes with what became of its child. */
const parent = defineWorkflow(
  { name: 'parent', version: '1', input: z.object({ n: z.number(), version: z.string().optional() }) },
  {
    step: ({ input, results }, next) => {
      const { n, version } = input
      const pinned = version !== undefined && { version }
      return results['c'] ? next.complete(results['c']) : next.child(first, n, { key: 'c', ...pinned })
    },
  },
)

/** Waits for a parent that waits for a child. */
const grandparent = defineWorkflow(
  { name: 'grandparent', version: '1', input: z.null() },
  { step: ({ results }, next) => (results['p'] ? next.complete(null) : next.child(parent, { n: 0 }, { key: 'p' })) },
)

/** Ends when it is told to, whether its child has ended or not. */
const hasty = defineWorkflow(
  {
    ...{ name: 'hasty', version: '1', input: z.null() },
    interrupts: { stop: { ask: z.null(), answer: z.null() } },
  },
  {
    step: ({ results }, next) => {
      if (results['stop']) return next.complete('enough')
      return next.all([next.child(first, 0, { key: 'c' }), next.interrupt('stop', null)])
    },
  },
)

const workflows: readonly Workflow[] = [first, second, parent, grandparent, hasty]

function setup(options: Partial<KernelOptions> = {}, before?: BeforeCall) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const another = (more: Partial<KernelOptions> = {}, on: Store = store) =>
    createKernel({ store: on, workflows, clock, onWarning: () => undefined, ...options, ...more })
  const kernel = another({}, before === undefined ? store : recordCalls(store, [], before))
  return { clock, store, kernel, another }
}

/** Ends a kernel whose store is gone: it can give nothing back. */
async function end(kernel: Kernel): Promise<void> {
  try {
    await kernel[Symbol.asyncDispose]()
  } catch {
    // A process that died says nothing either.
  }
}

/** Id of the child that a run has. */
async function childOf(store: Store, runId: string): Promise<string> {
  const [started] = await dataOf(store, runId, 'ChildStarted')
  return started?.['childRunId'] as string
}

describe('a child', () => {
  test('runs as a run of its own, and its output is the result of its key', async () => {
    const { store, kernel } = setup()

    const outcome = await kernel.start(parent, { n: 4 }, { runId: 'p' })

    const child = await childOf(store, 'p')
    const log = await readLog(store, child)
    expect(outcome).toMatchObject({ output: { status: 'succeeded', output: { doubled: 8 } } })
    expect(await kernel.get(child)).toMatchObject({ workflow: 'doubling', status: 'completed', parent: 'p', owes: [] })
    expect(await dataOf(store, child, 'RunStarted')).toMatchObject([{ input: 4, parent: { runId: 'p', key: 'c' } }])
    expect(await dataOf(store, 'p', 'ChildCompleted')).toMatchObject([{ headHash: log.at(-1)?.hash }])
    expect(await kernel.get('p')).toMatchObject({ owes: [], waiting: 0 })
    expect(await kernel.verify('p')).toMatchObject({ ok: true })
    expect(await kernel.verify(child)).toMatchObject({ ok: true })
  })

  test('has the same id in every store, and another one for every parent and key', async () => {
    const one = setup()
    const other = setup()
    await one.kernel.start(parent, { n: 4 }, { runId: 'p' })
    await one.kernel.start(parent, { n: 4 }, { runId: 'q' })
    await other.kernel.start(parent, { n: 4 }, { runId: 'p' })

    expect(await childOf(other.store, 'p')).toBe(await childOf(one.store, 'p'))
    expect(await childOf(one.store, 'q')).not.toBe(await childOf(one.store, 'p'))
  })

  test('is of the newest version, unless one is named', async () => {
    const { kernel } = setup()

    const newest = await kernel.start(parent, { n: 4 })
    const pinned = await kernel.start(parent, { n: 4, version: '1' })

    expect(newest).toMatchObject({ output: { output: { version: '2' } } })
    expect(pinned).toMatchObject({ output: { output: { version: '1' } } })
  })

  test('that fails tells its parent the error', async () => {
    const { kernel } = setup()

    const outcome = await kernel.start(parent, { n: -1 })

    expect(outcome).toMatchObject({ output: { status: 'failed', error: { code: 'NEGATIVE', message: 'negative' } } })
  })

  test('whose input its schema refuses is one that failed, and was never started', async () => {
    const { store, kernel } = setup()

    const outcome = await kernel.start(parent, { n: 101 }, { runId: 'p' })

    expect(outcome).toMatchObject({ output: { status: 'failed', error: { code: 'INVALID_INPUT' } } })
    expect(await kernel.find(await childOf(store, 'p'))).toBeUndefined()
  })

  test('that is canceled is canceled for its parent, too', async () => {
    const { store, kernel } = setup()
    await kernel.start(parent, { n: 0 }, { runId: 'p' })

    await kernel.cancel(await childOf(store, 'p'), { reason: 'no' })

    expect(await kernel.run('p')).toMatchObject({ status: 'completed', output: { status: 'canceled' } })
  })

  test('of a workflow that is not registered parks its parent until it is', async () => {
    const { kernel, another, clock } = setup({ workflows: [parent] })

    const starting = kernel.start(parent, { n: 4 }, { runId: 'p' })

    await expect(starting).rejects.toMatchObject(kernelError('WORKFLOW_MISSING'))
    await clock.advance(60_000)
    const recovered = await another({ workflows }).recover()
    expect(recovered).toMatchObject([{ runId: 'p', outcome: { status: 'completed' } }])
  })

  test('whose failure nobody catches fails the parent with its error', async () => {
    const careless = defineWorkflow(
      { name: 'careless', version: '1', input: z.null() },
      { step: ({ results }, next) => (results['x'] ? next.complete(1) : next.child(first, -1)) },
    )
    const { kernel } = setup({ workflows: [careless, first] })

    expect(await kernel.start(careless, null)).toMatchObject({ status: 'failed', error: { code: 'NEGATIVE' } })
  })
})

describe('a parent', () => {
  test('blocks while its child does, and says on what', async () => {
    const { store, kernel } = setup()

    const outcome = await kernel.start(parent, { n: 0 }, { runId: 'p' })

    const blockedOn = [{ kind: 'child', key: 'c', name: 'doubling' }]
    expect(outcome).toEqual({ status: 'blocked', runId: 'p', blockedOn, wakeAt: null })
    expect(await kernel.get('p')).toMatchObject({ status: 'blocked', blockedOn })
    expect(await kernel.get('p')).not.toHaveProperty('lease')
    expect(await kernel.get(await childOf(store, 'p'))).toMatchObject({ status: 'blocked' })
  })

  test('is driven on when its child ends', async () => {
    const { store, kernel } = setup()
    await kernel.start(parent, { n: 0 }, { runId: 'p' })

    await kernel.resume(await childOf(store, 'p'), { key: 'ask', value: 7 })
    await settled()

    expect(await kernel.get('p')).toMatchObject({ status: 'completed' })
    expect(await kernel.run('p')).toMatchObject({ output: { output: 7 } })
  })

  test('waits in process while its child is driven here', async () => {
    const napping = defineWorkflow(
      { name: 'napping', version: '1', input: z.null() },
      { step: ({ results }, next) => (results['sleep'] ? next.complete('rested') : next.sleep(3000)) },
    )
    const waiting = defineWorkflow(
      { name: 'waiting', version: '1', input: z.null() },
      { step: ({ results }, next) => (results['napping'] ? next.complete('both') : next.child(napping, null)) },
    )
    const { clock, kernel } = setup({ workflows: [napping, waiting] })

    const starting = kernel.start(waiting, null, { runId: 'p' })
    await settled()
    const during = await kernel.get('p')
    await clock.advance(3000)

    expect(during).toHaveProperty('lease')
    expect(await starting).toMatchObject({ status: 'completed', output: 'both' })
  })

  test('may have many children at once', async () => {
    const many = defineWorkflow(
      { name: 'many', version: '1', input: z.number() },
      {
        step: ({ input, results }, next) => {
          const numbers = Array.from({ length: input }, (_, n) => n + 1)
          if (Object.keys(results).length === input) return next.complete(numbers.map((n) => results[`c${n}`]?.status))
          return next.all(
            numbers.map((n) => next.child(first, n, { key: `c${n}` })),
            { concurrency: 3 },
          )
        },
      },
    )
    const { kernel } = setup({ workflows: [many, first] })

    expect(await kernel.start(many, 20)).toMatchObject({ output: Array.from({ length: 20 }, () => 'succeeded') })
  })

  test('that asks for another child under the same key is parked', async () => {
    const fickle = defineWorkflow(
      { name: 'fickle', version: '1', input: z.null() },
      { step: ({ results }, next) => next.child(first, results['c'] ? 2 : 1, { key: 'c' }) },
    )
    const { kernel } = setup({ workflows: [fickle, first] })

    await expect(kernel.start(fickle, null)).rejects.toMatchObject(kernelError('KEY_REUSED'))
  })

  test('that is canceled cancels its children, and theirs', async () => {
    const { store, kernel } = setup()
    await kernel.start(grandparent, null, { runId: 'g' })
    const child = await childOf(store, 'g')
    const grandchild = await childOf(store, child)

    const outcome = await kernel.cancel('g', { reason: 'enough' })
    await settled()

    expect(outcome).toEqual({ status: 'canceled', runId: 'g', reason: 'enough' })
    expect(await kernel.get(child)).toMatchObject({ status: 'canceled', owes: [] })
    expect(await kernel.get(grandchild)).toMatchObject({ status: 'canceled', owes: [] })
    expect(await dataOf(store, grandchild, 'CancelRequested')).toMatchObject([{ by: `run ${child}` }])
    expect(await kernel.get('g')).toMatchObject({ owes: [] })
  })

  test('that ends without its child cancels it', async () => {
    const { store, kernel } = setup()
    await kernel.start(hasty, null, { runId: 'p' })

    await kernel.resume('p', { key: 'stop', value: null })
    await settled()

    expect(await kernel.get(await childOf(store, 'p'))).toMatchObject({ status: 'canceled' })
    expect((await typesOf(store, 'p')).slice(-2)).toEqual(['ItemDropped', 'Completed'])
  })

  describe('whose child goes on as another run', () => {
    const counting = defineWorkflow(
      {
        ...{ name: 'counting', version: '1', input: z.number() },
        interrupts: { ask: { ask: z.null(), answer: z.null() } },
      },
      {
        step: ({ input, results }, next) => {
          if (input === 0) return results['ask'] ? next.complete('counted') : next.interrupt('ask', null)
          return next.continueAsNew(input - 1)
        },
      },
    )
    const outer = defineWorkflow(
      { name: 'outer', version: '1', input: z.null() },
      {
        step: ({ results }, next) =>
          results['c'] ? next.complete(results['c']) : next.child(counting, 2, { key: 'c' }),
      },
    )

    async function blocked() {
      const { store, kernel } = setup({ workflows: [counting, outer] })
      await kernel.start(outer, null, { runId: 'p' })
      await settled()
      const { items } = await kernel.list({ workflow: 'counting' })
      const last = items.find(({ status }) => status === 'blocked')!
      return { store, kernel, items, last }
    }

    test('gets the end of the last of them', async () => {
      const { kernel, items, last } = await blocked()

      await kernel.resume(last.runId, { key: 'ask', value: null })
      await settled()

      expect(items.map(({ status, parent: of }) => [status, of]).sort()).toEqual([
        ['blocked', 'p'],
        ['continued', 'p'],
        ['continued', 'p'],
      ])
      expect(await kernel.run('p')).toMatchObject({ output: { status: 'succeeded', output: 'counted' } })
    })

    test('cancels the last of them', async () => {
      const { kernel, last } = await blocked()

      await kernel.cancel('p', { reason: 'enough' })
      await settled()

      expect(await kernel.get(last.runId)).toMatchObject({ status: 'canceled', owes: [] })
    })
  })
})

describe('what a run owes is paid after a crash', () => {
  class Crash extends Error {}

  /** Fails once, right before or after the first call that the test picks; everything after it fails, too. */
  function crashing(at: (name: string, args: readonly unknown[]) => boolean, side: 'before' | 'after') {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    let crashed = false
    const wrapped = recordCalls(store, [], (name, args) => {
      if (crashed) return Promise.reject(new Crash())
      if (!at(name, args)) return undefined
      crashed = true
      if (side === 'before') return Promise.reject(new Crash())
      const [port, verb] = name.split('.') as ['events', 'append']
      const call = (store[port][verb] as (...a: readonly unknown[]) => Promise<unknown>)(...args)
      return call.then(() => {
        throw new Crash()
      })
    })
    const kernelOf = (on: Store) => createKernel({ store: on, workflows, clock, onWarning: () => undefined })
    return { clock, store, dying: kernelOf(wrapped), next: () => kernelOf(store) }
  }

  const appendOf = (type: string) => (name: string, args: readonly unknown[]) =>
    name === 'events.append' && (args[1] as { type: string }[]).some((event) => event.type === type)
  const creationOfChild = (name: string, args: readonly unknown[]) =>
    appendOf('RunStarted')(name, args) && args[0] !== 'p'
  const toChild = (name: string, args: readonly unknown[]) =>
    name === 'inbox.post' && (args[1] as { type: string }).type === 'CancelRequested' && args[0] !== 'p'
  const answerOfChild = (name: string, args: readonly unknown[]) =>
    name === 'inbox.post' && (args[1] as { type: string }).type === 'ChildCompleted'

  test.for<[what: string, at: (name: string, args: readonly unknown[]) => boolean, side: 'before' | 'after']>([
    ['after the child was asked for', appendOf('ChildStarted'), 'after'],
    ['before the child was started', creationOfChild, 'before'],
    ['after the child was started', creationOfChild, 'after'],
    ['before the child ended', appendOf('Completed'), 'before'],
    ['after the child ended', appendOf('Completed'), 'after'],
    ['before the parent was told', answerOfChild, 'before'],
    ['after the parent was told', answerOfChild, 'after'],
    ['before the parent knew', appendOf('ChildCompleted'), 'before'],
    ['after the parent knew', appendOf('ChildCompleted'), 'after'],
  ])('%s', async ([, at, side]) => {
    const { clock, store, dying, next } = crashing(at, side)
    const dead = dying.start(parent, { n: 4 }, { runId: 'p' }).catch((error: unknown) => error)
    await settled()
    await dead
    await end(dying)
    await clock.advance(HOUR)

    await using kernel = next()
    await kernel.recover()
    await settled()

    const child = await childOf(store, 'p')
    expect(await kernel.run('p')).toMatchObject({ output: { status: 'succeeded', output: { doubled: 8 } } })
    expect(await kernel.get('p')).toMatchObject({ owes: [], waiting: 0 })
    expect(await kernel.get(child)).toMatchObject({ status: 'completed', owes: [] })
    expect(await dataOf(store, 'p', 'ChildStarted')).toHaveLength(1)
    expect(await dataOf(store, 'p', 'ChildCompleted')).toHaveLength(1)
    expect(await dataOf(store, child, 'RunStarted')).toHaveLength(1)
  })

  test.for(['before', 'after'] as const)('%s a canceled parent told its child', async (side) => {
    const { clock, store, dying, next } = crashing(toChild, side)
    await dying.start(parent, { n: 0 }, { runId: 'p' })
    await dying.cancel('p', { reason: 'enough' }).catch(() => undefined)
    await end(dying)
    await clock.advance(HOUR)

    const owed = await store.runs.find('p')
    await using kernel = next()
    await kernel.recover()
    await settled()

    expect(owed).toMatchObject({ status: 'canceled', owes: [{ kind: 'cancel' }] })
    expect(await kernel.get('p')).toMatchObject({ status: 'canceled', owes: [] })
    expect(await kernel.get(await childOf(store, 'p'))).toMatchObject({ status: 'canceled', owes: [] })
  })

  test('although the deadline of the run that has ended is over by then', async () => {
    const { clock, store, dying, next } = crashing(toChild, 'before')
    await dying.start(hasty, null, { runId: 'p', deadlineMs: HOUR })
    await dying.resume('p', { key: 'stop', value: null }).catch(() => undefined)
    await end(dying)
    await clock.advance(2 * HOUR)

    await using kernel = next()
    const recovered = await kernel.recover()
    await settled()

    expect(recovered).toMatchObject([{ runId: 'p', outcome: { status: 'completed', output: 'enough' } }])
    expect(await kernel.get('p')).toMatchObject({ status: 'completed', owes: [] })
    expect(await kernel.get(await childOf(store, 'p'))).toMatchObject({ status: 'canceled', owes: [] })
  })

  test('although the grace of the run that was canceled is over by then', async () => {
    const { clock, store, dying, next } = crashing(toChild, 'before')
    await dying.start(parent, { n: 0 }, { runId: 'p' })
    await dying.cancel('p', { reason: 'enough', graceMs: HOUR }).catch(() => undefined)
    await end(dying)
    await clock.advance(2 * HOUR)

    await using kernel = next()
    await kernel.recover()
    await settled()

    expect(await kernel.get('p')).toMatchObject({ status: 'canceled', owes: [] })
    expect(await kernel.get(await childOf(store, 'p'))).toMatchObject({ status: 'canceled' })
  })
})
