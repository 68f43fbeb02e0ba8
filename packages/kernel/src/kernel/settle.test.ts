import { describe, expect, test } from 'vitest'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { settled } from '../testing/manual-clock.ts'
import { inDoubt, payingRun, type Pay } from '../testing/paying.ts'
import { dataOf, readLog, typesOf } from '../testing/sealed-log.ts'
import type { SettleOptions } from './post.ts'

const unsure = (): never => {
  throw new Error('hang up')
}

async function doubtful(pay: Pay = unsure) {
  const run = payingRun(pay)
  await run.start()
  return run
}

const paid: SettleOptions = { key: 'pay', outcome: { status: 'succeeded', output: 'paid' }, by: 'ann' }

describe('settling an action in doubt', () => {
  test.for<[what: string, outcome: SettleOptions['outcome'], closed: object]>([
    ['succeeded', { status: 'succeeded', output: { n: 1 } }, { status: 'succeeded', output: { n: 1 } }],
    ['succeeded without an output', { status: 'succeeded', output: undefined }, { status: 'succeeded', output: null }],
    ['failed', { status: 'failed', message: 'declined' }, { status: 'failed', error: { message: 'declined' } }],
  ])('as %s closes it and drives the run on', async ([, outcome, closed]) => {
    const { kernel } = await doubtful()

    expect(await kernel.settle('r', { key: 'pay', outcome })).toMatchObject({ status: 'completed', output: closed })
  })

  test('records who said so', async () => {
    const { kernel, store } = await doubtful()

    await kernel.settle('r', paid)

    expect(await dataOf(store, 'r', 'ActionSucceeded')).toEqual([
      { key: 'pay', attempts: 1, output: 'paid', by: 'ann' },
    ])
  })

  test('as to be retried opens the next attempt, durable before it starts', async () => {
    const seen: string[][] = []
    const { kernel, store } = await doubtful(async (_, { attempt }) => {
      if (attempt === 1) unsure()
      seen.push(await typesOf(store, 'r'))
      return 'paid'
    })

    const outcome = await kernel.settle('r', { key: 'pay', outcome: { status: 'retry' } })

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid' } })
    expect(seen.map((types) => types.at(-1))).toEqual(['ActionAttemptStarted'])
  })

  test('as to be retried, again and again, counts as often as it was in doubt', async () => {
    const { kernel, store } = await doubtful((_, { attempt }) => (attempt < 3 ? unsure() : 'paid'))

    const first = await kernel.settle('r', { key: 'pay', outcome: { status: 'retry' } })
    const second = await kernel.settle('r', { key: 'pay', outcome: { status: 'retry' } })

    expect(first).toMatchObject(inDoubt)
    expect(second).toMatchObject({ status: 'completed' })
    expect(await dataOf(store, 'r', 'ActionAttemptStarted')).toMatchObject([{ attempt: 2 }, { attempt: 3 }])
  })

  test('works from a process that does not drive the run, and does not know its workflow', async () => {
    const { another, store, kernel } = await doubtful()
    const stranger = another({ workflows: [] })

    await expect(stranger.settle('r', paid)).rejects.toMatchObject(kernelError('WORKFLOW_MISSING'))
    const outcome = await kernel.run('r')

    expect(outcome).toMatchObject({ status: 'completed' })
    expect(await dataOf(store, 'r', 'ActionSucceeded')).toHaveLength(1)
  })

  test('twice in the same way returns the run as it stands and writes nothing', async () => {
    const { kernel, store } = await doubtful()
    const first = await kernel.settle('r', paid)
    const log = await readLog(store, 'r')

    const second = await kernel.settle('r', paid)

    expect(second).toEqual(first)
    expect(await readLog(store, 'r')).toEqual(log)
  })

  test('twice at once in the same way counts once', async () => {
    const { kernel, another, store } = await doubtful()

    const outcomes = await Promise.all([kernel.settle('r', paid), another().settle('r', paid)])

    expect(outcomes).toMatchObject([{ status: 'completed' }, { status: 'completed' }])
    expect(await dataOf(store, 'r', 'ActionSucceeded')).toHaveLength(1)
  })

  test('in two ways at once takes the first and refuses the second', async () => {
    const { kernel, store } = await doubtful()

    const verdicts = await Promise.allSettled([
      kernel.settle('r', paid),
      kernel.settle('r', { key: 'pay', outcome: { status: 'failed', message: 'declined' } }),
    ])

    expect(verdicts.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(verdicts[1]).toMatchObject({ reason: kernelError('NOT_IN_DOUBT') })
    expect(await kernel.get('r')).toMatchObject({ status: 'completed' })
    expect((await typesOf(store, 'r')).filter((type) => type.startsWith('Action'))).toHaveLength(3)
  })

  test('otherwise than it was settled is refused', async () => {
    const { kernel } = await doubtful()
    await kernel.settle('r', paid)

    const settling = kernel.settle('r', { key: 'pay', outcome: { status: 'failed', message: 'declined' } })

    await expect(settling).rejects.toMatchObject(kernelError('RUN_TERMINAL'))
  })

  test('that nobody doubts is refused', async () => {
    const gate = Promise.withResolvers<string>()
    const { kernel, start } = payingRun(() => gate.promise)
    const starting = start()
    await settled()

    const settling = kernel.settle('r', paid)

    await expect(settling).rejects.toMatchObject(kernelError('NOT_IN_DOUBT'))
    gate.resolve('paid')
    await starting
  })

  test('of another key is refused', async () => {
    const { kernel } = await doubtful()

    const settling = kernel.settle('r', { ...paid, key: 'refund' })

    await expect(settling).rejects.toMatchObject(kernelError('NOT_IN_DOUBT'))
  })

  test('of a run that is not there is refused', async () => {
    const { kernel } = await doubtful()

    await expect(kernel.settle('x', paid)).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })

  test('of a run that has ended is refused', async () => {
    const { kernel } = await doubtful()
    await kernel.cancel('r', { reason: 'enough' })

    await expect(kernel.settle('r', paid)).rejects.toMatchObject(kernelError('RUN_TERMINAL'))
  })

  test('with what cannot be recorded is refused, with its path', async () => {
    const { kernel, store } = await doubtful()

    const settling = kernel.settle('r', { ...paid, outcome: { status: 'succeeded', output: { at: new Date(0) } } })

    await expect(settling).rejects.toThrow('output.at')
    expect((await store.runs.find('r'))?.waiting).toBe(0)
  })

  test.for<[what: string, settlement: unknown, says: string]>([
    ['a misspelled status', { key: 'pay', outcome: { status: 'suceeded' } }, 'outcome.status must be succeeded or'],
    ['no status', { key: 'pay', outcome: {} }, 'got undefined'],
    ['a status for the outcome', { key: 'pay', outcome: 'failed' }, 'outcome.status'],
    ['no outcome', { key: 'pay' }, 'outcome.status'],
    ['a failure without a message', { key: 'pay', outcome: { status: 'failed' } }, 'outcome.message must be a text'],
    ['a status that has no text', { key: 'pay', outcome: { status: Symbol('s') } }, 'got a symbol'],
  ])('with %s is refused, and not lost when nobody waits', async ([, settlement, says]) => {
    const { kernel, store } = await doubtful()

    const settling = kernel.settle('r', { ...(settlement as SettleOptions), wait: false })

    await expect(settling).rejects.toMatchObject({
      ...kernelError('INVALID_INPUT'),
      message: expect.stringContaining(says) as string,
    })
    expect((await store.runs.find('r'))?.waiting).toBe(0)
  })

  test('of no key is refused', async () => {
    const { kernel } = await doubtful()

    const settling = kernel.settle('r', { ...paid, key: Symbol('s') as never })

    await expect(settling).rejects.toMatchObject(storeError('INVALID_ARGUMENT'))
  })

  test('as to be retried takes no more of the verdict than that', async () => {
    const { kernel } = await doubtful((_, { attempt }) => (attempt === 1 ? unsure() : 'paid'))
    const outcome = { status: 'retry', message: 'it was not executed' } as const

    expect(await kernel.settle('r', { key: 'pay', outcome })).toMatchObject({ status: 'completed' })
  })

  test('by a post of another form is refused with what is wrong first, in one line', async () => {
    const { kernel, store } = await doubtful()
    const body = JSON.stringify({ key: 'pay', outcome: { status: 'suceeded' } })
    await store.inbox.post('r', { id: 'p', type: 'ActionSettled', body }, { maxWaiting: 10 })
    await kernel.run('r')

    const { items } = await store.inbox.rejected('r', { limit: 1 })

    const message = 'INVALID_INPUT: post p is no ActionSettled: ActionSettled.outcome: Invalid input'
    expect(JSON.parse(items[0]!.error)).toMatchObject({ code: 'INVALID_INPUT', message })
  })
})
