import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, readLog, typesOf } from '../testing/sealed-log.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

const missing = kernelError('WORKFLOW_MISSING')

/** Asks, and completes with its version. */
const asking = (version: string) =>
  defineWorkflow(
    { name: 'asking', version, input: z.null(), interrupts: { ask: { ask: z.null(), answer: z.null() } } },
    { step: ({ results }, next) => (results['ask'] ? next.complete(version) : next.interrupt('ask', null)) },
  )

const [v1, v2] = [asking('1'), asking('2')]
const answer = { key: 'ask', value: null }

const other = defineWorkflow(
  { name: 'other', version: '1', input: z.null() },
  { step: (_, next) => next.complete('other') },
)

function setup() {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const process = (...workflows: readonly Workflow[]) =>
    createKernel({ store, clock, workflows, onWarning: () => undefined })
  return { clock, store, process }
}

describe('a run of a version that is not registered', () => {
  /** A run of version 1 that has not been driven. */
  async function started() {
    const { store, process, clock } = setup()
    await process(v1).start(v1, null, { runId: 'r', wait: false })
    return { store, clock, process, log: await readLog(store, 'r') }
  }

  test('is parked where it is run, with an error that says what can be done, and its log is left as it is', async () => {
    const { store, process, log, clock } = await started()
    const kernel = process(v2)

    const running = kernel.run('r')

    await expect(running).rejects.toMatchObject({ ...missing, where: { runId: 'r' } })
    await expect(running).rejects.toThrow(/asking@1.*registered: asking@2.*add it to the workflows.*migrate/)
    const problem = { code: 'WORKFLOW_MISSING', retryAt: clock.now() + 60_000 }
    expect((await kernel.list({ parked: true })).items).toMatchObject([{ runId: 'r', problem }])
    expect(await kernel.get('r')).not.toHaveProperty('lease')
    expect(await readLog(store, 'r')).toEqual(log)
  })

  test('goes on where the version is registered, or where it is migrated', async () => {
    for (const mend of ['retry', 'migrate'] as const) {
      const { process } = await started()
      await expect(process(v2).run('r')).rejects.toMatchObject(missing)
      const kernel = process(v1, v2)

      const outcome = await (mend === 'retry' ? kernel.retry('r') : kernel.migrate('r', { to: '2' }))

      expect(outcome).toMatchObject({ status: 'blocked' })
      expect(await kernel.get('r')).not.toHaveProperty('problem')
      expect(await kernel.resume('r', answer)).toMatchObject({ output: mend === 'retry' ? '1' : '2' })
    }
  })

  test('is parked by a retry, too, and by a recovery, which says so; until its time it is let be then', async () => {
    const { process, clock } = await started()
    await expect(process(v2).retry('r')).rejects.toMatchObject(missing)
    expect(await process(v2).recover()).toEqual([])

    await clock.advance(60_000)

    expect(await process(v2).recover()).toMatchObject([{ runId: 'r', error: missing }])
    expect(await process(v2).get('r')).toMatchObject({ problem: { retryAt: clock.now() + 60_000 } })
  })

  test('is left to others where its workflow is not registered at all, and nobody asked for it', async () => {
    const { process } = await started()

    expect(await process(other).recover()).toEqual([])

    expect(await process(v1).get('r')).not.toHaveProperty('problem')
  })

  test('is not parked by a process that only posts to it: others have its code', async () => {
    const { process } = await started()
    await process(v1).run('r')

    await expect(process(other).cancel('r', { reason: 'no' })).rejects.toMatchObject(missing)

    expect(await process(v1).get('r')).not.toHaveProperty('problem')
    expect(await process(v1).recover()).toMatchObject([{ runId: 'r', outcome: { status: 'canceled' } }])
  })

  test('is followed while a process drives it that has its code', async () => {
    const { clock, process } = setup()
    let finish = (_: null): void => undefined
    const slow = defineWorkflow(
      {
        ...{ name: 'slow', version: '1', input: z.null() },
        actions: { act: { run: () => new Promise<null>((resolve) => (finish = resolve)) } },
      },
      { step: ({ results }, next) => (results['act'] ? next.complete('done') : next.run('act')) },
    )
    const started = process(slow).start(slow, null, { runId: 's' })
    await settled()

    const following = process(other).run('s')
    await settled()
    finish(null)
    await clock.advance(1000)

    expect(await following).toEqual(await started)
  })
})

/** Has two children beside each other, one of which may be of any version, and a question beside them. */
const family = defineWorkflow(
  {
    ...{ name: 'family', version: '1', input: z.string() },
    interrupts: { stop: { ask: z.null(), answer: z.null() } },
  },
  {
    step: ({ input, results }, next) => {
      if (results['stop']) return next.complete('stopped')
      if (results['a'] && results['b']) return next.complete([results['a'], results['b']])
      return next.all([
        next.child(asking(input), null, { key: 'a', version: input }),
        next.child(other, null, { key: 'b' }),
        next.interrupt('stop', null, { key: 'stop' }),
        next.sleep(600_000, { key: 'late' }),
      ])
    },
  },
)

describe('a child of a version that is not registered', () => {
  /** A parent whose first child cannot be started. */
  async function orphaned() {
    const { store, process, clock } = setup()
    const kernel = process(family, other, v2)
    const starting = kernel.start(family, '1', { runId: 'p' })
    await expect(starting).rejects.toMatchObject(missing)
    await settled()
    const [a, b] = (await dataOf(store, 'p', 'ChildStarted')).map(({ childRunId }) => childRunId as string)
    return { clock, store, process, kernel, starting, a: a!, b: b! }
  }

  test('parks its parent, which says what is missing; its other children run', async () => {
    const { kernel, starting, a, b } = await orphaned()

    await expect(starting).rejects.toThrow(/asking@1.*add it to the workflows/)
    expect(await kernel.get('p')).toMatchObject({ status: 'blocked', problem: { code: 'WORKFLOW_MISSING' } })
    expect(await kernel.get(b)).toMatchObject({ status: 'completed' })
    expect(await kernel.find(a)).toBeUndefined()
  })

  test('is started once its version is registered', async () => {
    const { process, a, store } = await orphaned()
    const kernel = process(family, other, v1, v2)

    expect(await kernel.retry('p')).toMatchObject({ status: 'blocked' })
    await settled()
    await kernel.resume(a, answer)
    await settled()

    expect(await kernel.run('p')).toMatchObject({ output: [{ output: '1' }, { output: 'other' }] })
    expect(await store.runs.find('p')).toMatchObject({ owes: [], waiting: 0 })
    expect(await kernel.verify('p')).toMatchObject({ ok: true })
  })

  test('does not keep its parent from being canceled, and is not started any more', async () => {
    const { process, kernel, a, store } = await orphaned()

    expect(await kernel.cancel('p', { reason: 'enough' })).toMatchObject({ status: 'canceled' })

    expect(await kernel.get('p')).toMatchObject({ owes: [], waiting: 0 })
    expect(await kernel.get('p')).not.toHaveProperty('problem')
    expect(await process(family, other, v1).recover()).toEqual([])
    expect(await store.runs.find(a)).toBeUndefined()
  })

  test('does not keep its parent from taking an answer, or from seeing that time has passed', async () => {
    const { clock, kernel, store } = await orphaned()
    await clock.advance(600_000)

    await expect(kernel.run('p')).rejects.toMatchObject(missing)
    expect(await typesOf(store, 'p')).toContain('TimerFired')
    expect(await dataOf(store, 'p', 'ChildCompleted')).toMatchObject([{ key: 'b' }])

    expect(await kernel.resume('p', { key: 'stop', value: null })).toMatchObject({ output: 'stopped' })
    expect(await kernel.get('p')).toMatchObject({ owes: [], waiting: 0 })
  })

  test('that had been started is parked by a recovery, and its parent waits for it', async () => {
    const { process, store } = setup()
    await process(family, other, v1).start(family, '1', { runId: 'p' })
    await settled()
    const [{ childRunId }] = (await dataOf(store, 'p', 'ChildStarted')) as [{ childRunId: string }]
    await store.inbox.post(childRunId, { id: 'x', type: 'Resumed', body: JSON.stringify(answer) }, { maxWaiting: 10 })

    const kernel = process(family, other, v2)
    expect(await kernel.recover()).toMatchObject([{ runId: childRunId, error: missing }])
    expect(await kernel.run('p')).toMatchObject({ status: 'blocked' })

    const whole = process(family, other, v1, v2)
    await whole.retry(childRunId)
    await settled()
    expect(await whole.run('p')).toMatchObject({ output: [{ output: '1' }, { output: 'other' }] })
  })
})

test('a successor of a version that is not registered parks the run that goes on as it, until it is', async () => {
  const { process, store } = setup()
  const ending = (version: string) =>
    defineWorkflow(
      { name: 'ending', version, input: z.number() },
      { step: ({ input }, next) => (input > 0 ? next.continueAsNew(0, { version: '2' }) : next.complete(version)) },
    )
  const [first, second] = [ending('1'), ending('2')]
  const kernel = process(first)

  await expect(kernel.start(first, 1, { runId: 'r' })).rejects.toMatchObject(missing)
  const row = await kernel.get('r')
  expect(row).toMatchObject({ status: 'continued', problem: { code: 'WORKFLOW_MISSING' } })
  expect(row.owes).toHaveLength(1)

  const outcome = await process(first, second).retry('r')
  if (outcome.status !== 'continued') throw new Error(outcome.status)
  expect(await process(second).run(outcome.newRunId)).toMatchObject({ output: '2' })
  expect(await store.runs.find('r')).toMatchObject({ owes: [] })
})
