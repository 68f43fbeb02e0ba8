import type { Snapshot } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'
import { Trailing } from './trailing.ts'

const short = defineWorkflow(
  { name: 'short', version: '1', input: z.null() },
  { step: (_, next) => next.complete('done') },
)

/** A promise, and what resolves it. */
function gate() {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open }
}

/** Whether a promise was settled, without waiting for it. */
async function isOver(promise: PromiseLike<unknown>): Promise<boolean> {
  let over = false
  void promise.then(() => (over = true))
  await settled()
  return over
}

test('an outcome does not wait for the snapshot of its run, but the disposal of the kernel does', async () => {
  const saving = gate()
  const store = memoryStore()
  const slow = recordCalls(store, [], (name) => (name === 'snapshots.save' ? saving.opened : undefined))
  const kernel = createKernel({ store: slow, workflows: [short] })

  const { status } = await kernel.start(short, null, { runId: 'r' })
  const disposed = kernel[Symbol.asyncDispose]()

  expect(status).toBe('completed')
  expect(await isOver(disposed)).toBe(false)
  saving.open()
  await disposed
  expect((await store.snapshots.latest('r'))?.seq).toBe(2)
})

test('a run that blocks is given back before its snapshot is written', async () => {
  const calls: string[] = []
  const patient = defineWorkflow(
    { name: 'patient', version: '1', input: z.null(), signals: { go: z.null() } },
    { step: (_, next) => next.waitFor('go') },
  )
  const saving = gate()
  const data = memoryStore()
  const store = recordCalls(data, calls, (name) => (name === 'snapshots.save' ? saving.opened : undefined))
  const kernel = createKernel({ store, workflows: [patient] })

  await kernel.start(patient, null, { runId: 'r' })
  await settled()
  expect(calls.at(-1)).toBe('snapshots.save')
  expect(await data.snapshots.latest('r')).toBe(undefined)
  expect((await data.runs.find('r'))?.lease).toBe(undefined)
  saving.open()
  await kernel[Symbol.asyncDispose]()

  expect(await data.snapshots.latest('r')).toBeDefined()
})

test('a store that is closed under a snapshot is no reason to warn', async () => {
  const saving = gate()
  const warnings: Error[] = []
  const store = memoryStore()
  const slow = recordCalls(store, [], (name) => (name === 'snapshots.save' ? saving.opened : undefined))
  const kernel = createKernel({ store: slow, workflows: [short], onWarning: (warning) => warnings.push(warning) })

  await kernel.start(short, null)
  await store[Symbol.asyncDispose]()
  saving.open()
  await kernel[Symbol.asyncDispose]()

  expect(warnings).toEqual([])
})

test('a run that is removed before its snapshot is written is no reason to warn, and leaves none behind', async () => {
  const saving = gate()
  const warnings: Error[] = []
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const slow = recordCalls(store, [], (name) => (name === 'snapshots.save' ? saving.opened : undefined))
  const onWarning = (warning: Error) => warnings.push(warning)
  const kernel = createKernel({ store: slow, clock, workflows: [short], onWarning })

  await kernel.start(short, null, { runId: 'r' })
  clock.block(1)
  await kernel.prune({ olderThanMs: 0 })
  saving.open()
  await kernel[Symbol.asyncDispose]()

  expect(await store.runs.find('r')).toBeUndefined()
  expect(await store.snapshots.latest('r')).toBeUndefined()
  expect(warnings).toEqual([])
})

test('a listener that throws when it is told of a snapshot harms neither its process nor the disposal', async () => {
  const saving = gate()
  const told: string[] = []
  const failing = recordCalls(memoryStore(), [], (name, [snapshot]) => {
    if (name !== 'snapshots.save') return undefined
    if ((snapshot as Snapshot).runId === 'slow') return saving.opened
    throw new Error('no room')
  })
  const onWarning = ({ message }: Error): void => {
    told.push(message)
    throw new Error('nobody listens')
  }
  process.once('warning', ({ message }) => told.push(message))
  const kernel = createKernel({ store: failing, workflows: [short], onWarning })

  const { status } = await kernel.start(short, null)
  await kernel.start(short, null, { runId: 'slow' })
  const disposed = kernel[Symbol.asyncDispose]()

  expect(await isOver(disposed)).toBe(false)
  expect({ status, told }).toEqual({ status: 'completed', told: ['no room', 'nobody listens'] })
  saving.open()
  await disposed
})

/** Work that has begun. */
const now = { isLate: false, begin: () => undefined }

test('who leaves more behind than is done waits until his is', async () => {
  const trailing = new Trailing()
  const [slow, last] = [gate(), gate()]
  const work = (opened: Promise<void>) => ({ ...now, unwritten: 1, settled: () => opened.then() })
  for (let works = 0; works < 1000; works++) await trailing.add(work(slow.opened))

  const added = trailing.add(work(last.opened))

  expect(await isOver(added)).toBe(false)
  last.open()
  await added
  expect(await isOver(trailing.settled())).toBe(false)
  slow.open()
  await trailing.settled()
})

describe('late work', () => {
  const late = (begin: () => void) => ({ isLate: true, begin, unwritten: 1, settled: async () => undefined })

  test('begins when whoever waits for an outcome has been told', async () => {
    const trailing = new Trailing()
    const begin = vi.fn()

    await trailing.add(late(begin))

    expect(begin).not.toHaveBeenCalled()
    await trailing.settled()
    expect(begin).toHaveBeenCalledOnce()
  })

  test('is waited for, both until it begins and until it is done', async () => {
    const trailing = new Trailing()
    const slow = gate()
    const begin = vi.fn()
    await trailing.add({ ...late(begin), settled: () => slow.opened.then() })

    const settling = trailing.settled()

    expect(await isOver(settling)).toBe(false)
    expect(begin).toHaveBeenCalledOnce()
    slow.open()
    await settling
  })

  test('begins at once where other work waits for that', async () => {
    const trailing = new Trailing()
    const begun: string[] = []

    await trailing.add(late(() => begun.push('first')))
    await trailing.add(late(() => begun.push('second')))

    expect(begun).toEqual(['second'])
    await trailing.settled()
    expect(begun).toEqual(['second', 'first'])
  })

  test('begins at once where too much is not done yet, and whoever leaves it waits', async () => {
    const trailing = new Trailing()
    const slow = gate()
    const begin = vi.fn()
    const large = trailing.add({ ...now, unwritten: 65 * 1024 * 1024, settled: () => slow.opened.then() })

    const added = trailing.add({ ...late(begin), settled: () => slow.opened.then() })

    expect(begin).toHaveBeenCalledOnce()
    expect(await isOver(added)).toBe(false)
    slow.open()
    await Promise.all([large, added])
  })
})

test('the snapshot of a long run is made behind its outcome, and before the run is read again', async () => {
  const patient = defineWorkflow(
    {
      ...{ name: 'patient', version: '1', input: z.int(), signals: { go: z.null() } },
      actions: { work: { run: () => null } },
      initialState: (steps: number) => ({ steps, done: 0, signals: 0 }),
    },
    {
      reduce: (state, { type }) => {
        if (type === 'SignalDelivered') return { ...state, signals: state.signals + 1 }
        return type === 'ActionSucceeded' ? { ...state, done: state.done + 1 } : state
      },
      step: ({ steps, done, signals }, next) =>
        done < steps ? next.run('work', null, { key: `${done}` }) : next.waitFor('go', { key: `go:${signals}` }),
    },
  )
  const data = memoryStore()
  const store = { ...data, snapshots: { ...data.snapshots, latest: async () => undefined } }
  const calls: string[] = []
  await createKernel({ store, workflows: [patient] }).start(patient, 300, { runId: 'r' })
  const kernel = createKernel({ store: recordCalls(store, calls), workflows: [patient] })

  await kernel.signal('r', { name: 'go', value: null })
  expect(calls).not.toContain('snapshots.save')
  await kernel.signal('r', { name: 'go', value: null })
  expect(calls.filter((call) => call.startsWith('snapshots.'))).toEqual([
    'snapshots.latest',
    'snapshots.save',
    'snapshots.latest',
  ])
  await kernel[Symbol.asyncDispose]()
})

test('the snapshot of a run that ended is of before its output was given out', async () => {
  const gathering = defineWorkflow(
    {
      ...{ name: 'gathering', version: '1', input: z.int(), signals: { go: z.null() } },
      actions: { work: { run: () => null } },
    },
    {
      step: ({ input, results }, next) => {
        const done = Object.keys(results).length
        if (done < input) return next.run('work', null, { key: `${done}` })
        return results['go'] === undefined ? next.waitFor('go') : next.complete({ list: [1, 2] })
      },
    },
  )
  const data = memoryStore()
  const store = { ...data, snapshots: { ...data.snapshots, latest: async () => undefined } }
  await createKernel({ store, workflows: [gathering] }).start(gathering, 300, { runId: 'r' })
  const kernel = createKernel({ store, workflows: [gathering] })

  const outcome = (await kernel.signal('r', { name: 'go', value: null })) as unknown as { output: { list: unknown[] } }
  outcome.output.list.push('changed')
  await kernel[Symbol.asyncDispose]()

  const { body } = (await data.snapshots.latest('r')) as Snapshot
  expect(JSON.parse(body)).toMatchObject({ terminal: { output: { list: [1, 2] } } })
})

test('who starts runs with large states faster than they are written holds no more than a few of them', async () => {
  const large = defineWorkflow(
    { name: 'large', version: '1', input: z.int(), initialState: (length: number) => 'x'.repeat(length) },
    { reduce: (state) => state, step: (_, next) => next.complete(null) },
  )
  const saving = gate()
  const slow = recordCalls(memoryStore(), [], (name) => (name === 'snapshots.save' ? saving.opened : undefined))
  const kernel = createKernel({ store: slow, workflows: [large] })
  const MEGA = 1024 * 1024

  const few = Array.from({ length: 8 }, () => kernel.start(large, 4 * MEGA))
  await Promise.all(few)
  const many = Array.from({ length: 16 }, () => kernel.start(large, 4 * MEGA))
  const ended = Promise.all(many)

  expect(await isOver(ended)).toBe(false)
  saving.open()
  await ended
  await kernel[Symbol.asyncDispose]()
})
