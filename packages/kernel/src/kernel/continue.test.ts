import { contentId, StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, readLog, typesOf } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

/** Counts down, one run per number. */
function countdown(version: string, most = 100) {
  return defineWorkflow(
    { name: 'countdown', version, input: z.object({ n: z.number().max(most), pin: z.string().optional() }) },
    {
      step: ({ input }, next) => {
        const { n, pin } = input
        if (n === 0) return next.complete({ version })
        return next.continueAsNew({ n: n - 1 }, pin === undefined ? {} : { version: pin })
      },
    },
  )
}

const v1 = countdown('1')
const v2 = countdown('2')

function setup(workflows: readonly Workflow[] = [v1], wrap: (store: Store) => Store = (store) => store) {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const kernelOn = (on: Store, of = workflows) =>
    createKernel({ store: on, workflows: of, clock, onWarning: () => undefined })
  return { clock, store, kernel: kernelOn(wrap(store)), kernelOn }
}

/** The runs behind one, itself first. */
async function chainOf(store: Store, runId: string): Promise<string[]> {
  const [continued] = await dataOf(store, runId, 'ContinuedAsNew')
  if (continued === undefined) return [runId]
  return [runId, ...(await chainOf(store, continued['newRunId'] as string))]
}

describe('a run that continues as new', () => {
  test('ends, and goes on as another run with the new input', async () => {
    const { store, kernel } = setup()

    const outcome = await kernel.start(v1, { n: 1 }, { runId: 'r', tags: ['t'], queue: 'q' })
    await settled()

    const [, successor] = await chainOf(store, 'r')
    expect(outcome).toEqual({ status: 'continued', runId: 'r', newRunId: successor })
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ContinuedAsNew'])
    expect(await dataOf(store, successor!, 'RunStarted')).toMatchObject([
      { workflow: 'countdown', input: { n: 0 }, previous: 'r', tags: ['t'], queue: 'q' },
    ])
    expect(await kernel.get(successor!)).toMatchObject({ status: 'completed', tags: ['t'], queue: 'q' })
    expect(await kernel.get('r')).toMatchObject({ status: 'continued', owes: [] })
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('takes along the signals that no wait has taken, in their order', async () => {
    const relay = defineWorkflow(
      {
        ...{ name: 'relay', version: '1', input: z.object({ last: z.boolean() }) },
        actions: { work: { run: async () => working } },
        signals: { go: z.string() },
      },
      {
        step: ({ input, results: { work, a, b } }, next) => {
          if (!input.last) return work ? next.continueAsNew({ last: true }) : next.run('work', null, { key: 'work' })
          if (a?.status !== 'delivered') return next.waitFor('go', { key: 'a' })
          return b?.status === 'delivered' ? next.complete([a.output, b.output]) : next.waitFor('go', { key: 'b' })
        },
      },
    )
    const { promise: working, resolve: worked } = Promise.withResolvers<null>()
    const { store, kernel } = setup([relay])
    const starting = kernel.start(relay, { last: false }, { runId: 'r' })
    await settled()
    for (const value of ['one', 'two']) await kernel.signal('r', { name: 'go', value, id: value, wait: false })
    await settled()
    worked(null)

    await starting
    await settled()

    const [, successor] = await chainOf(store, 'r')
    expect(await kernel.run(successor!)).toMatchObject({ status: 'completed', output: ['one', 'two'] })
    expect((await typesOf(store, successor!)).slice(0, 3)).toEqual(['RunStarted', 'SignalReceived', 'SignalReceived'])
    expect(await kernel.verify(successor!)).toMatchObject({ ok: true })
  })

  test('answers the same again, and writes nothing', async () => {
    const { store, kernel } = setup()
    const outcome = await kernel.start(v1, { n: 1 }, { runId: 'r' })
    await settled()
    const log = await readLog(store, 'r')

    expect(await kernel.run('r')).toEqual(outcome)
    expect(await kernel.start(v1, { n: 1 }, { runId: 'r' })).toEqual(outcome)
    expect(await readLog(store, 'r')).toEqual(log)
  })

  test('with its first append, whose answer is lost, owes nothing and holds no lease when it has paid', async () => {
    let lost = false
    const { clock, store, kernel } = setup([v1], (inner) => {
      const append: Store['events']['append'] = async (...args) => {
        const result = await inner.events.append(...args)
        if (lost) return result
        lost = true
        throw new StoreError('UNKNOWN_OUTCOME', 'the answer is lost')
      }
      return { ...inner, events: { ...inner.events, append } }
    })

    const started = kernel.start(v1, { n: 1 }, { runId: 'r' })
    await clock.advance(1000)

    expect(await started).toMatchObject({ status: 'continued' })
    expect(await store.runs.find('r')).toMatchObject({ status: 'continued', owes: [] })
    expect((await store.runs.find('r'))?.lease).toBe(undefined)
  })

  test('has no more time than it was given, however often it does so', async () => {
    const { clock, store, kernel } = setup()
    const deadlineAt = clock.now() + 1000

    await kernel.start(v1, { n: 1 }, { runId: 'r', deadlineMs: 1000 })
    await settled()

    const [, successor] = await chainOf(store, 'r')
    expect(await dataOf(store, successor!, 'RunStarted')).toMatchObject([{ deadlineAt }])
  })

  test('while its parent gives it up leaves no successor behind', async () => {
    const child = defineWorkflow(
      { name: 'child', version: '1', input: z.number(), signals: { go: z.null() } },
      { step: ({ input }, next) => (input === 0 ? next.continueAsNew(1) : next.waitFor('go')) },
    )
    const parent = defineWorkflow(
      { name: 'parent', version: '1', input: z.null(), signals: {} },
      { step: ({ results }, next) => (results['child'] ? next.complete(null) : next.child(child, 0)) },
    )
    let dead = false
    const { clock, store, kernel, kernelOn } = setup([parent, child], (inner) =>
      recordCalls(inner, [], (name, args) => {
        if (dead) return Promise.reject(new Error('dead'))
        if (name !== 'events.append' || !JSON.stringify(args[1]).includes('ContinuedAsNew')) return undefined
        dead = true
        return inner.events.append(...(args as [string, [], never])).then(() => {
          throw new Error('dead')
        })
      }),
    )
    await kernel.start(parent, null, { runId: 'p' }).catch(() => undefined)
    await settled()
    await clock.advance(60_000)

    await using next = kernelOn(store)
    await next.cancel('p', { reason: 'enough' })
    await next.recover()
    await settled()

    const { items } = await next.list({ workflow: 'child' })
    expect(items.map(({ status }) => status)).toEqual(['canceled', 'continued'])
  })

  test('reads as much for each child that does so, however many others its parent has', async () => {
    const child = defineWorkflow(
      { name: 'child', version: '1', input: z.number() },
      { step: ({ input }, next) => (input > 0 ? next.continueAsNew(input - 1) : next.complete(null)) },
    )
    const parent = defineWorkflow(
      { name: 'parent', version: '1', input: z.number() },
      {
        step: ({ input, results }, next) => {
          const children = Array.from({ length: input }, (_, n) => next.child(child, 1, { key: `c${n}` }))
          return Object.keys(results).length === input ? next.complete(null) : next.all(children)
        },
      },
    )
    const eventsRead = async (children: number): Promise<number> => {
      let read = 0
      const { store, kernel } = setup([parent, child], (inner) => {
        const counted: Store['events']['read'] = async function* (...args) {
          for await (const event of inner.events.read(...args)) {
            read++
            yield event
          }
        }
        return { ...inner, events: { ...inner.events, read: counted } }
      })
      await kernel.start(parent, children, { runId: 'p' })
      while ((await store.runs.find('p'))?.status !== 'completed') await settled()
      return read
    }

    expect(await eventsRead(160)).toBeLessThan(10 * (await eventsRead(20)))
  })

  test('may do so many times, and every run has a seed of its own', async () => {
    const { store, kernel } = setup()

    await kernel.start(v1, { n: 20 }, { runId: 'r' })
    for (let i = 0; i < 20; i++) await settled()

    const chain = await chainOf(store, 'r')
    const starts = await Promise.all(chain.map((runId) => dataOf(store, runId, 'RunStarted')))
    expect(chain).toHaveLength(21)
    expect(new Set(starts.map(([data]) => data?.['seed'])).size).toBe(21)
    expect(await kernel.get(chain.at(-1)!)).toMatchObject({ status: 'completed' })
  })

  test.for<[what: string, pin: string | undefined, version: string]>([
    ['of the newest version', undefined, '2'],
    ['of the version that is named', '1', '1'],
  ])('is then %s', async ([, pin, version]) => {
    const { store, kernel } = setup([v1, v2])

    await kernel.start(v1, { n: 1, ...(pin !== undefined && { pin }) }, { runId: 'r' })
    await settled()

    const [, successor] = await chainOf(store, 'r')
    expect(await kernel.get(successor!)).toMatchObject({ version, status: 'completed' })
  })

  test('cannot do so with an input that its schema refuses', async () => {
    const wrong = defineWorkflow(
      { name: 'wrong', version: '1', input: z.number().min(0) },
      { step: ({ input }, next) => next.continueAsNew(input - 1) },
    )
    const { kernel } = setup([wrong])

    await expect(kernel.start(wrong, 0, { runId: 'r' })).rejects.toMatchObject(kernelError('INVALID_STEP'))
    expect(await kernel.find('r')).toBeUndefined()
  })

  test('cannot do so with an input that no run could start with', async () => {
    const growing = defineWorkflow(
      { name: 'growing', version: '1', input: z.string() },
      { step: (_, next) => next.continueAsNew('x'.repeat(1024 * 1024 - 125)) },
    )
    const { kernel } = setup([growing])

    const starting = kernel.start(growing, '', { runId: 'r' })

    await expect(starting).rejects.toMatchObject(kernelError('LIMIT_EXCEEDED'))
    expect(await kernel.find('r')).toBeUndefined()
  })

  test('cannot do so with signals that refer to more than a run can begin with, and loses none of them', async () => {
    const patient = (version: string, waits: boolean) =>
      defineWorkflow(
        {
          ...{ name: 'patient', version, input: z.json() },
          actions: { work: { run: async () => working } },
          signals: { go: z.json() },
        },
        {
          step: ({ input, results: { work, taken } }, next) => {
            if (input !== null) return next.complete('went on')
            if (!work) return next.run('work', null, { key: 'work' })
            return waits && !taken ? next.waitFor('go', { key: 'taken' }) : next.continueAsNew(refTo('input'))
          },
        },
      )
    const refTo = (text: string) => ({ $artifact: contentId(text), size: text.length, mediaType: 'text/plain' })
    const refs = (prefix: string) => Array.from({ length: 500 }, (_, n) => refTo(`${prefix} ${n}`))
    const { promise: working, resolve: worked } = Promise.withResolvers<null>()
    const [hasty, mended] = [patient('1', false), patient('2', true)]
    const { store, kernel, kernelOn } = setup([hasty])
    const starting = kernel.start(hasty, null, { runId: 'r' })
    await settled()
    for (const id of ['a', 'b']) await kernel.signal('r', { name: 'go', value: refs(id), id, wait: false })
    await settled()
    worked(null)

    await expect(starting).rejects.toMatchObject(kernelError('LIMIT_EXCEEDED'))
    expect(await kernel.get('r')).toMatchObject({ status: 'running', problem: { code: 'LIMIT_EXCEEDED' } })
    await using next = kernelOn(store, [hasty, mended])
    await next.migrate('r', { to: '2' })
    await settled()

    const [, successor] = await chainOf(store, 'r')
    expect(await next.run(successor!)).toMatchObject({ status: 'completed', output: 'went on' })
    expect(await dataOf(store, successor!, 'SignalReceived')).toMatchObject([{ signalId: 'b' }])
  })

  test('with an input that a newer version refuses is parked, until one is registered that takes it', async () => {
    const { clock, store, kernel, kernelOn } = setup([v1, countdown('2', 3)])

    const starting = kernel.start(v1, { n: 5 }, { runId: 'r' })

    await expect(starting).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    expect(await kernel.get('r')).toMatchObject({ status: 'continued', problem: { code: 'INVALID_INPUT' } })
    await clock.advance(60_000)
    await kernelOn(store, [v1, v2]).recover()
    await settled()
    expect(await kernel.get('r')).toMatchObject({ owes: [] })
    expect(await chainOf(store, 'r')).toHaveLength(6)
  })

  test.for(['before', 'after'] as const)('although its process dies %s it starts the other', async (side) => {
    let dead = false
    const { clock, store, kernel, kernelOn } = setup([v1], (inner) =>
      recordCalls(inner, [], (name, args) => {
        if (dead) return Promise.reject(new Error('dead'))
        if (name !== 'events.append' || args[0] === 'r') return undefined
        dead = true
        const done = side === 'before' ? Promise.resolve() : inner.events.append(...(args as [string, [], never]))
        return Promise.resolve(done).then(() => {
          throw new Error('dead')
        })
      }),
    )
    await kernel.start(v1, { n: 1 }, { runId: 'r' }).catch(() => undefined)
    await settled()
    const owed = await store.runs.find('r')
    await clock.advance(60_000)

    await using next = kernelOn(store)
    await next.recover()
    await settled()

    const [, successor] = await chainOf(store, 'r')
    expect(owed).toMatchObject({ status: 'continued', owes: [{ kind: 'start' }] })
    expect(await next.get('r')).toMatchObject({ owes: [] })
    expect(await next.get(successor!)).toMatchObject({ status: 'completed' })
  })

  test('although its process dies before it can say that it started the other', async () => {
    let dead = false
    const { clock, store, kernel, kernelOn } = setup([v1], (inner) =>
      recordCalls(inner, [], (name, args) => {
        dead ||= name === 'runs.release' && (args[0] as { runId: string }).runId === 'r'
        return dead && name !== 'snapshots.save' ? Promise.reject(new Error('dead')) : undefined
      }),
    )
    await kernel.start(v1, { n: 1 }, { runId: 'r' }).catch(() => undefined)
    await settled()
    const log = await readLog(store, 'r')
    await clock.advance(60_000)

    await using next = kernelOn(store)
    const recovered = await next.recover()
    await settled()

    const [, successor] = await chainOf(store, 'r')
    expect(await store.snapshots.latest('r')).toMatchObject({ seq: log.length })
    expect(recovered).toContainEqual({ runId: 'r', outcome: { status: 'continued', runId: 'r', newRunId: successor } })
    expect(await readLog(store, 'r')).toEqual(log)
    expect(await next.get('r')).toMatchObject({ status: 'continued', owes: [] })
    expect(await next.get(successor!)).toMatchObject({ status: 'completed' })
  })
})
