import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import type { OpenInterrupt } from './open-interrupts.ts'

/** Asks as often as it is told, after some events of its own; some of its questions expire. */
const asking = defineWorkflow(
  {
    ...{ name: 'asking', version: '1', input: z.object({ ask: z.array(z.string()), before: z.number() }) },
    initialState: (input) => ({ ...input, seen: 0, answered: [] as string[] }),
    events: { noted: z.null() },
    signals: { ping: z.number() },
    interrupts: { approve: { ask: z.string(), answer: z.boolean() }, choose: { ask: z.string(), answer: z.number() } },
  },
  {
    reduce: (state, event) => {
      if (event.type === 'DomainEvent') return { ...state, seen: state.seen + 1 }
      return event.type === 'Resumed' ? { ...state, answered: [...state.answered, event.data.key] } : state
    },
    step: ({ ask, before, seen, answered }, next) => {
      if (seen < before) return next.emit({ type: 'DomainEvent', name: 'noted', payload: null })
      if (ask.length === answered.length) return next.complete(null)
      return next.all([
        ...ask.map((question) =>
          question.startsWith('which')
            ? next.interrupt('choose', question, { key: question, expiresInMs: 60_000 })
            : next.interrupt('approve', question, { key: question }),
        ),
        next.sleep(1e9),
      ])
    },
  },
)

const sleeping = defineWorkflow(
  { name: 'sleeping', version: '1', input: z.null() },
  { step: ({ results }, next) => (results['timer'] ? next.complete(null) : next.sleep(1e9)) },
)

function open() {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const calls: string[] = []
  const kernel = createKernel({ store: recordCalls(store, calls), workflows: [asking, sleeping], clock })
  const ask = (runId: string, questions: string[], before = 0, tags: string[] = []) =>
    kernel.start(asking, { ask: questions, before }, { runId, tags })
  return { clock, store, kernel, ask, calls }
}

const named = (items: readonly OpenInterrupt[]): string[] => items.map(({ runId, key }) => `${runId}:${key}`)

describe('open interrupts', () => {
  test('are listed with what they ask, since when and until when', async () => {
    const { kernel, ask, clock } = open()
    await ask('r', ['ok?', 'which?'])

    const { items } = await kernel.listInterrupts()

    const run = { runId: 'r', workflow: 'asking', version: '1', askedAt: clock.now() }
    expect(items).toEqual([
      { ...run, key: 'ok?', kind: 'approve', value: 'ok?', seq: 2 },
      { ...run, key: 'which?', kind: 'choose', value: 'which?', seq: 3, expiresAt: clock.now() + 60_000 },
    ])
    await kernel[Symbol.asyncDispose]()
  })

  test('of the newest runs come first, and runs that ask nothing are passed over', async () => {
    const { kernel, ask, clock } = open()
    await ask('old', ['a'])
    await clock.advance(1)
    await kernel.start(sleeping, null, { runId: 'asleep' })
    await clock.advance(1)
    await ask('new', ['b'])
    await ask('silent', [])

    expect(named((await kernel.listInterrupts()).items)).toEqual(['new:b', 'old:a'])
    await kernel[Symbol.asyncDispose]()
  })

  test('that were answered or have expired are gone', async () => {
    const { kernel, ask, clock } = open()
    await ask('r', ['one', 'two', 'which'])
    await kernel.resume('r', { key: 'one', value: true })
    await clock.advance(60_000)

    expect(named((await kernel.listInterrupts()).items)).toEqual(['r:two'])
    await kernel[Symbol.asyncDispose]()
  })

  test('can be asked for by their kind, and by what runs are asked for', async () => {
    const { kernel, ask } = open()
    await ask('a', ['ok?', 'which?'], 0, ['vip'])
    await ask('b', ['ok?'])

    expect(named((await kernel.listInterrupts({ kind: 'choose' })).items)).toEqual(['a:which?'])
    expect(named((await kernel.listInterrupts({ tags: ['vip'] })).items)).toEqual(['a:ok?', 'a:which?'])
    expect(named((await kernel.listInterrupts({ workflow: 'sleeping' })).items)).toEqual([])
    await kernel[Symbol.asyncDispose]()
  })

  // Hundreds of appends, one after the other: too much for the default time on a busy machine.
  test('are found however far back they were asked', { timeout: 30_000 }, async () => {
    const { kernel, ask } = open()
    await ask('r', ['early', 'late'], 500)
    for (let i = 0; i < 300; i++) await kernel.signal('r', { name: 'ping', value: i })
    await kernel.fork('r', { at: 503, as: 'f' })

    const { items } = await kernel.listInterrupts()

    expect(named(items).sort()).toEqual(['f:early', 'f:late', 'r:early', 'r:late'])
    // Asked in the copied part, and again by the fork: the later question is the one that is open.
    expect(items.filter(({ runId }) => runId === 'f').every(({ seq }) => seq > 504)).toBe(true)
    await kernel[Symbol.asyncDispose]()
  })

  test('of every page make up the whole, whatever its size, also when runs move on between them', async () => {
    const sizes = [1, 2, 3, 7, 100].flatMap((limit) => [true, false].map((moving) => ({ limit, moving })))
    for (const { limit, moving } of sizes) {
      const { kernel, ask, clock } = open()
      for (let i = 0; i < 8; i++) {
        await ask(`r${i}`, i % 3 === 0 ? ['a', 'b', 'c'] : ['a'])
        if (i % 2 === 0) await clock.advance(1)
      }
      const all = named((await kernel.listInterrupts({}, { limit: 1000 })).items)
      const listed: string[] = []
      let page = await kernel.listInterrupts({}, { limit })
      for (;;) {
        listed.push(...named(page.items))
        expect(page.items.length).toBeLessThanOrEqual(limit)
        if (page.next === undefined) break
        // What was listed is answered meanwhile, and new runs ask: neither moves what is to come.
        const { runId, key } = page.items.at(-1)!
        if (moving) await kernel.resume(runId, { key, value: true })
        await clock.advance(1)
        await ask(`new${listed.length}`, ['x'])
        page = await kernel.listInterrupts({}, { limit, cursor: page.next })
      }

      expect(listed).toEqual(all)
      await kernel[Symbol.asyncDispose]()
    }
  })

  test('cost no log of a run that asks nothing, and of the others its end', async () => {
    const { kernel, ask, calls } = open()
    await ask('r', ['a'], 200)
    await kernel.start(sleeping, null, { runId: 'asleep' })
    calls.length = 0

    await kernel.listInterrupts()

    expect(calls).toEqual(['runs.list', 'events.read'])
    await kernel[Symbol.asyncDispose]()
  })

  test('are not listed for a page that cannot be', async () => {
    const { kernel } = open()

    for (const limit of [0, 1001, 1.5]) {
      await expect(kernel.listInterrupts({}, { limit })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    }
    await expect(kernel.listInterrupts({}, { cursor: 'x' })).rejects.toMatchObject(storeError('INVALID_ARGUMENT'))
  })
})
