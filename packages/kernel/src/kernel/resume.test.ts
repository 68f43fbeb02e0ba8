import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { settled } from '../testing/manual-clock.ts'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { dataOf, readLog, typesOf } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

const Answer = z.object({ ok: z.boolean(), note: z.string().trim().default('') })

const approving = defineWorkflow(
  {
    ...{ name: 'approving', version: '1', input: z.null() },
    interrupts: { approve: { ask: z.object({ text: z.string() }), answer: Answer } },
    actions: { publish: { run: () => 'published' } },
  },
  {
    step: ({ results }, next) => {
      const answer = results['approve']
      if (answer?.status !== 'resumed') return next.interrupt('approve', { text: 'publish?' })
      if (results['publish'] === undefined) return next.run('publish')
      return next.complete(answer.output)
    },
  },
)

/** Asks two questions, one after the other. */
const asking = defineWorkflow(
  { name: 'asking', version: '1', input: z.null(), interrupts: { ask: { ask: z.null(), answer: z.unknown() } } },
  {
    step: ({ results }, next) => {
      const open = ['first', 'second'].find((key) => results[key] === undefined)
      return open === undefined ? next.complete('done') : next.interrupt('ask', null, { key: open })
    },
  },
)

function kernelOn(store: Store) {
  return createKernel({ store, workflows: [approving, asking], onWarning: () => undefined })
}

async function blockedRun(workflow: typeof approving | typeof asking = approving): Promise<Store> {
  const store = memoryStore()
  await kernelOn(store).start(workflow as typeof asking, null, { runId: 'r' })
  return store
}

const yes = { key: 'approve', value: { ok: true } }

test('an answer is recorded as its schema returns it, with who gave it, and the run goes on', async () => {
  const store = await blockedRun()

  const outcome = await kernelOn(store).resume('r', { key: 'approve', value: { ok: true, note: ' fine ' }, by: 'ada' })

  expect(outcome).toMatchObject({ status: 'completed', output: { ok: true, note: 'fine' } })
  expect(await dataOf(store, 'r', 'Resumed')).toEqual([
    { key: 'approve', value: { ok: true, note: 'fine' }, by: 'ada' },
  ])
})

describe('what cannot be answered is refused, and nothing is written', () => {
  const refusals: [what: string, runId: string, answer: { key: string; value: unknown; by?: string }, error: object][] =
    [
      ['an unknown run', 'nobody', yes, kernelError('RUN_NOT_FOUND')],
      [
        'an unknown key',
        'r',
        { key: 'other', value: { ok: true } },
        { ...kernelError('NOT_OPEN'), where: { runId: 'r', key: 'other' } },
      ],
      [
        'an answer that fails its schema',
        'r',
        { key: 'approve', value: { ok: 'yes' } },
        { ...kernelError('INVALID_INPUT'), where: { path: 'the answer to approve.ok' } },
      ],
      [
        'an answer that JSON cannot keep',
        'r',
        { key: 'approve', value: { ok: true, at: new Date(0) } },
        { ...storeError('NOT_JSON'), where: { path: 'answer.at' } },
      ],
      ['no answer', 'r', { key: 'approve', value: undefined }, storeError('NOT_JSON')],
      ['a key that no item can have', 'r', { key: '', value: 1 }, storeError('INVALID_ARGUMENT')],
      [
        'an answer that is too large',
        'r',
        { key: 'approve', value: { ok: true, note: 'x'.repeat(2 ** 20) } },
        { code: 'LIMIT_EXCEEDED' },
      ],
      ['a name of more than 1000 characters', 'r', { ...yes, by: 'x'.repeat(1001) }, kernelError('INVALID_INPUT')],
    ]

  test.for(refusals)('%s', async ([, runId, answer, error]) => {
    const store = await blockedRun()
    const before = await readLog(store, 'r')

    const resuming = kernelOn(store).resume(runId, answer)

    await expect(resuming).rejects.toMatchObject(error)
    expect(await readLog(store, 'r')).toEqual(before)
    expect(await store.runs.find('r')).toMatchObject({ status: 'blocked', waiting: 0 })
    expect((await store.inbox.rejected('r', { limit: 10 })).items).toEqual([])
  })
})

describe('repeating an answer that was taken', () => {
  test('returns the end of the run and appends nothing', async () => {
    const calls: string[] = []
    const store = await blockedRun()
    const first = await kernelOn(store).resume('r', yes)

    const second = await kernelOn(recordCalls(store, calls)).resume('r', yes)

    expect(second).toEqual(first)
    expect(calls.filter((call) => /append|post|release|acquire/.test(call))).toEqual([])
  })

  test('counts as the same when the schema makes the same of it', async () => {
    const store = await blockedRun()
    const first = await kernelOn(store).resume('r', yes)

    const second = await kernelOn(store).resume('r', { key: 'approve', value: { note: '  ', ok: true } })

    expect(second).toEqual(first)
    expect(await dataOf(store, 'r', 'Resumed')).toHaveLength(1)
  })

  test('returns the next block of a run that goes on', async () => {
    const store = await blockedRun(asking)
    const kernel = kernelOn(store)
    const first = await kernel.resume('r', { key: 'first', value: 1 })

    const second = await kernel.resume('r', { key: 'first', value: 1 })

    expect(first).toMatchObject({ status: 'blocked', blockedOn: [{ key: 'second' }] })
    expect(second).toEqual(first)
    expect(await dataOf(store, 'r', 'Resumed')).toHaveLength(1)
  })

  test('twice at once is one answer', async () => {
    const store = await blockedRun()
    const kernel = kernelOn(store)

    const [one, two] = await Promise.all([kernel.resume('r', yes), kernel.resume('r', yes)])

    expect(one).toMatchObject({ status: 'completed' })
    expect(two).toEqual(one)
    expect(await dataOf(store, 'r', 'Resumed')).toHaveLength(1)
  })
})

describe('a new answer', () => {
  test('to a run that has ended is refused', async () => {
    const store = await blockedRun()
    await kernelOn(store).resume('r', yes)
    const before = await readLog(store, 'r')

    const resuming = kernelOn(store).resume('r', { key: 'approve', value: { ok: false } })

    await expect(resuming).rejects.toMatchObject({
      ...kernelError('RUN_TERMINAL'),
      where: { runId: 'r', key: 'approve' },
    })
    expect(await readLog(store, 'r')).toEqual(before)
  })

  test('to a question that is closed is refused', async () => {
    const store = await blockedRun(asking)
    await kernelOn(store).resume('r', { key: 'first', value: 1 })

    const resuming = kernelOn(store).resume('r', { key: 'first', value: 2 })

    await expect(resuming).rejects.toMatchObject(kernelError('NOT_OPEN'))
    expect(await store.runs.find('r')).toMatchObject({ status: 'blocked', waiting: 0 })
  })

  test.for([1, 2])('racing another one: one is taken, the other is not open (%d kernels)', async (kernelCount) => {
    const store = await blockedRun(asking)
    const kernels = Array.from({ length: kernelCount }, () => kernelOn(store))

    const answers = await Promise.allSettled(
      [1, 2].map((value, i) => kernels[i % kernelCount]!.resume('r', { key: 'first', value })),
    )

    const [won] = answers.filter((each) => each.status === 'fulfilled')
    const [lost] = answers.filter((each) => each.status === 'rejected')
    expect(won?.value).toMatchObject({ status: 'blocked', blockedOn: [{ key: 'second' }] })
    expect(lost?.reason).toMatchObject(kernelError('NOT_OPEN'))
    expect(await dataOf(store, 'r', 'Resumed')).toHaveLength(1)
    expect(await store.runs.find('r')).toMatchObject({ waiting: 0 })
  })
})

describe('an answer that comes while the run is driven', () => {
  test('to a run that is just about to block is taken by that drive or the next', async () => {
    const data = memoryStore()
    const gate = Promise.withResolvers<undefined>()
    const store = recordCalls(data, [], (name) => (name === 'snapshots.save' ? gate.promise : undefined))
    const kernel = kernelOn(store)
    const starting = kernel.start(asking, null, { runId: 'r' })
    await settled()
    expect(await kernel.get('r')).toMatchObject({ status: 'blocked' })

    const resuming = kernel.resume('r', { key: 'first', value: 1 })
    await settled()
    gate.resolve(undefined)

    expect(await resuming).toMatchObject({ status: 'blocked', blockedOn: [{ key: 'second' }] })
    expect(await starting).toMatchObject({ status: 'blocked' })
    expect(await data.runs.find('r')).toMatchObject({ waiting: 0 })
  })

  test('right after the run has blocked is taken, at whichever moment it comes', async () => {
    for (let delay = 0; delay < 40; delay++) {
      const store = memoryStore()
      const kernel = kernelOn(store)
      const starting = kernel.start(asking, null, { runId: 'r' })
      for (let looks = 1; (await store.runs.find('r'))?.status !== 'blocked'; looks++) {
        // A drive gives others a turn of the loop each ten milliseconds, and waits for the end of it.
        if (looks % 1000 === 0) await setImmediate()
      }
      for (let i = 0; i < delay; i++) await Promise.resolve()

      const resumed = await kernel.resume('r', { key: 'first', value: 1 })

      expect(resumed, `${delay} microtasks later`).toMatchObject({ status: 'blocked', blockedOn: [{ key: 'second' }] })
      await starting
    }
  })

  test('to an open question is taken while an action is under way', async () => {
    const gate = Promise.withResolvers<string>()
    const both = defineWorkflow(
      {
        ...{ name: 'both', version: '1', input: z.null() },
        interrupts: { ask: { ask: z.null(), answer: z.string() } },
        actions: { slow: { run: () => gate.promise } },
      },
      {
        step: ({ results }, next) =>
          results['ask'] && results['slow']
            ? next.complete(Object.keys(results))
            : next.all([next.interrupt('ask', null), next.run('slow')]),
      },
    )
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [both] })
    const starting = kernel.start(both, null, { runId: 'r' })
    await settled()

    const resuming = kernel.resume('r', { key: 'ask', value: 'yes' })
    await settled()
    const whileUnderWay = await typesOf(store, 'r')
    gate.resolve('done')

    expect(whileUnderWay.at(-1)).toBe('Resumed')
    expect(await resuming).toMatchObject({ status: 'completed', output: ['ask', 'slow'] })
    expect(await starting).toEqual(await resuming)
  })

  test('of another kernel is taken by the one that drives', async () => {
    const gate = Promise.withResolvers<string>()
    const both = defineWorkflow(
      {
        ...{ name: 'both', version: '1', input: z.null() },
        interrupts: { ask: { ask: z.null(), answer: z.string() } },
        actions: { slow: { run: () => gate.promise } },
      },
      {
        step: ({ results }, next) =>
          results['ask'] ? next.complete(results['ask']) : next.all([next.interrupt('ask', null), next.run('slow')]),
      },
    )
    const store = memoryStore()
    const [driving, other] = [1, 2].map(() => createKernel({ store, workflows: [both] }))
    const starting = driving!.start(both, null, { runId: 'r' })
    await settled()

    const resumed = await other!.resume('r', { key: 'ask', value: 'yes' })

    expect(resumed).toMatchObject({ status: 'completed' })
    expect(await starting).toEqual(resumed)
    expect(await dataOf(store, 'r', 'ItemDropped')).toEqual([{ key: 'slow', outcome: 'unknown' }])
  })
})

describe('posts that nobody checked', () => {
  const post = async (store: Store, id: string, type: string, body: string) =>
    store.inbox.post('r', { id, type, body }, { maxWaiting: 10 })

  test('what cannot be taken is set aside with its reason, and the rest is taken', async () => {
    const store = await blockedRun()
    await post(store, 'p1', 'Resumed', '{"key":"nothing","value":1}')
    await post(store, 'p2', 'Resumed', '{"key":"approve","value":{"ok":1}}')
    await post(store, 'p3', 'Knock', '{}')
    await post(store, 'p4', 'Resumed', 'no JSON')
    await post(store, 'p5', 'Resumed', '{"key":"approve"}')
    await post(store, 'p6', 'Resumed', `{"by":"${'x'.repeat(1001)}","key":"approve","value":{"ok":true}}`)
    await post(store, 'p7', 'Resumed', '{"key":"approve","value":{"ok":true}}')
    await post(store, 'p8', 'Resumed', '{"key":"approve","value":{"ok":false}}')

    const outcome = await kernelOn(store).run('r')

    expect(outcome).toMatchObject({ status: 'completed', output: { ok: true } })
    const { items } = await store.inbox.rejected('r', { limit: 10 })
    expect(items.map(({ id, error }) => [id, (JSON.parse(error) as { code: string }).code])).toEqual([
      ['p1', 'NOT_OPEN'],
      ['p2', 'INVALID_INPUT'],
      ['p3', 'INVALID_INPUT'],
      ['p4', 'INVALID_INPUT'],
      ['p5', 'INVALID_INPUT'],
      ['p6', 'INVALID_INPUT'],
      ['p8', 'NOT_OPEN'],
    ])
  })

  test('a run that only has such posts blocks again as it was, and its log is untouched', async () => {
    const store = await blockedRun()
    await post(store, 'p1', 'Resumed', '{"key":"nothing","value":1}')

    const outcome = await kernelOn(store).run('r')

    expect(outcome.status).toBe('blocked')
    expect(await store.runs.find('r')).toMatchObject({ head: 2, waiting: 0, status: 'blocked', wakeAt: null })
  })

  test('one that is too large for the log is set aside', async () => {
    const store = await blockedRun(asking)
    await post(store, 'p1', 'Resumed', `{"key":"first","value":"${'x'.repeat(2 ** 20)}"}`)

    const outcome = await kernelOn(store).run('r')

    expect(outcome.status).toBe('blocked')
    expect(await store.runs.find('r')).toMatchObject({ waiting: 0 })
    expect((await store.inbox.rejected('r', { limit: 10 })).items).toMatchObject([{ id: 'p1' }])
  })

  test('one whose schema makes of it what JSON cannot keep is set aside', async () => {
    const dating = defineWorkflow(
      {
        ...{ name: 'dating', version: '1', input: z.null() },
        interrupts: { when: { ask: z.null(), answer: z.number().transform((ms) => new Date(ms)) } },
      },
      { step: (_, next) => next.interrupt('when', null) },
    )
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [dating] })
    await kernel.start(dating, null, { runId: 'r' })

    const resuming = kernel.resume('r', { key: 'when', value: 5 })

    await expect(resuming).rejects.toMatchObject({ code: 'NOT_JSON' })
    expect(await store.runs.find('r')).toMatchObject({ waiting: 0, status: 'blocked' })
    expect(await store.runs.find('r')).not.toHaveProperty('problem')
  })
})

describe('a reducer that throws on an answer', () => {
  const reducing = (mended: boolean) =>
    defineWorkflow(
      {
        ...{ name: 'reducing', version: '1', input: z.null(), initialState: () => '' },
        interrupts: { ask: { ask: z.null(), answer: z.string() } },
        actions: { act: { run: () => 'acted' } },
      },
      {
        reduce: (state, event) => {
          if (event.type !== 'Resumed') return state
          if (!mended && event.data.value === 'bad') throw new Error('indigestible')
          return event.data.value
        },
        step: (state, next) => (state === '' ? next.interrupt('ask', null) : next.complete(state)),
      },
    )

  test('rejects that answer with its reason, and the run waits on for a better one', async () => {
    const store = memoryStore()
    const workflow = reducing(false)
    const kernel = createKernel({ store, workflows: [workflow] })
    await kernel.start(workflow, null, { runId: 'r' })

    await expect(kernel.resume('r', { key: 'ask', value: 'bad' })).rejects.toMatchObject({
      ...kernelError('REDUCER_FAILED'),
      where: { runId: 'r', key: 'ask' },
    })

    expect(await kernel.get('r')).toMatchObject({ status: 'blocked', head: 2, waiting: 0 })
    expect(await kernel.resume('r', { key: 'ask', value: 'good' })).toMatchObject({ output: 'good' })
  })

  test('does not spoil the answer for mended code', async () => {
    const store = memoryStore()
    const [faulty, mended] = [reducing(false), reducing(true)]
    const kernel = createKernel({ store, workflows: [faulty] })
    await kernel.start(faulty, null, { runId: 'r' })
    await kernel.resume('r', { key: 'ask', value: 'bad' }).catch(() => undefined)

    const outcome = await createKernel({ store, workflows: [mended] }).resume('r', { key: 'ask', value: 'bad' })

    expect(outcome).toMatchObject({ status: 'completed', output: 'bad' })
  })
})
