import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { typesOf } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import type { LogEvent } from '../log/log-event.ts'

const asking = defineWorkflow(
  { name: 'asking', version: '1', input: z.null(), interrupts: { ask: { ask: z.null(), answer: z.null() } } },
  { step: ({ results }, next) => (results['ask'] ? next.complete('answered') : next.interrupt('ask', null)) },
)

/** Two processes on one store: the second one only watches. */
async function watched(wrap: (store: Store) => Store = (store) => store) {
  const clock = manualClock()
  const store = wrap(memoryStore({ now: clock.now }))
  const open = () => createKernel({ store, workflows: [asking], clock })
  const [driver, watcher] = [open(), open()]
  await driver.start(asking, null, { runId: 'r' })
  const seen: string[] = []
  const follow = async (watch: AsyncIterable<LogEvent>): Promise<void> => {
    for await (const { seq, type } of watch) seen.push(`${seq} ${type}`)
  }
  const answer = () => driver.resume('r', { key: 'ask', value: null })
  return { clock, store, driver, watcher, seen, follow, answer }
}

const withoutNotifications = ({ notifications: _, ...store }: Store): Store => ({
  ...store,
  capabilities: { ...store.capabilities, notify: false },
})

const all = ['1 RunStarted', '2 Interrupted', '3 Resumed', '4 Completed']

describe('watching a run', () => {
  test('shows what was and what comes, once and in order, and ends with the run', async () => {
    const { driver, seen, follow, answer } = await watched()
    const watching = follow(driver.watch('r'))
    await settled()
    const before = [...seen]

    await answer()
    await watching

    expect(before).toEqual(all.slice(0, 2))
    expect(seen).toEqual(all)
  })

  test('that another kernel drives works the same where the store notifies', async () => {
    const { clock, watcher, seen, follow, answer } = await watched()
    const watching = follow(watcher.watch('r'))
    await settled()

    await answer()
    await watching

    expect(seen).toEqual(all)
    expect(clock.pending).toBe(0)
  })

  test('that another kernel drives is seen by looking again where the store does not notify', async () => {
    const { clock, watcher, seen, follow, answer } = await watched(withoutNotifications)
    const watching = follow(watcher.watch('r'))
    await settled()
    await answer()
    await settled()
    const before = [...seen]

    await clock.advance(1000)
    await watching

    expect(before).toEqual(all.slice(0, 2))
    expect(seen).toEqual(all)
    expect(clock.pending).toBe(0)
  })

  test.for([1, 2, 3, 4, 5])('from seq %i shows the rest', async (from) => {
    const { watcher, seen, follow, answer } = await watched()
    const watching = follow(watcher.watch('r', { from }))
    await settled()

    await answer()
    await watching

    expect(seen).toEqual(all.slice(from - 1))
  })

  test.for([0, -1, 1.5, Number.NaN])('from seq %d is refused', async (from) => {
    const { watcher, follow } = await watched()

    await expect(follow(watcher.watch('r', { from }))).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  })

  test('that has ended shows its log', async () => {
    const { watcher, seen, follow, answer, store } = await watched()
    await answer()

    await follow(watcher.watch('r'))

    expect(seen).toHaveLength((await typesOf(store, 'r')).length)
  })

  test('ends at once when its signal is aborted, and leaves nothing behind', async () => {
    const { clock, watcher, seen, follow } = await watched(withoutNotifications)
    const aborting = new AbortController()
    const watching = follow(watcher.watch('r', { signal: aborting.signal }))
    await settled()

    aborting.abort()
    await watching

    expect(seen).toEqual(all.slice(0, 2))
    expect(clock.pending).toBe(0)
  })

  test('shows nothing when its signal was aborted before', async () => {
    const { watcher, seen, follow } = await watched()

    await follow(watcher.watch('r', { signal: AbortSignal.abort() }))

    expect(seen).toEqual([])
  })

  test('ends at once when its signal is aborted while the log is read', async () => {
    const aborting = new AbortController()
    const { watcher, seen, follow } = await watched((store) => ({
      ...store,
      events: {
        append: (...args) => store.events.append(...args),
        read: async function* (runId, range) {
          yield* store.events.read(runId, range)
          if (range?.from === 3) aborting.abort()
        },
      },
    }))

    await follow(watcher.watch('r', { from: 3, signal: aborting.signal }))

    expect(seen).toEqual([])
  })

  test('ends with an error when its kernel is disposed', async () => {
    const { watcher, follow } = await watched()
    const watching = follow(watcher.watch('r'))
    const failed = expect(watching).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
    await settled()

    await watcher[Symbol.asyncDispose]()

    await failed
  })

  test('that is removed meanwhile ends with an error: it has not ended', async () => {
    const { clock, store, watcher, seen, follow } = await watched(withoutNotifications)
    const watching = follow(watcher.watch('r'))
    const failed = expect(watching).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
    await settled()

    await store.runs.remove('r', { ifTerminal: false })
    await clock.advance(1000)

    await failed
    expect(seen).toEqual(all.slice(0, 2))
    expect(clock.pending).toBe(0)
  })

  test('that is removed when it has ended, before its end was seen, ends with an error', async () => {
    const { clock, watcher, seen, follow, answer } = await watched((inner) => {
      const notifying = withoutNotifications(inner)
      const find: Store['runs']['find'] = async (runId) => {
        const row = await inner.runs.find(runId)
        if (row?.status === 'completed' && seen.length > 0) await inner.runs.remove(runId, { ifTerminal: true })
        return row
      }
      return { ...notifying, runs: { ...inner.runs, find } }
    })
    const watching = follow(watcher.watch('r'))
    const failed = expect(watching).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
    await settled()

    await answer()
    await clock.advance(1000)

    await failed
    expect(seen).toEqual(all.slice(0, 2))
  })

  test('that is not there is refused', async () => {
    const { watcher, follow } = await watched()

    await expect(follow(watcher.watch('x'))).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })
})
