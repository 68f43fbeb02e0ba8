import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { settled } from '../testing/manual-clock.ts'
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

const overtaking = [
  ['a store that is closed', async (store: Store) => store[Symbol.asyncDispose]()],
  ['a run that is removed', async (store: Store) => store.runs.remove('r', { ifTerminal: true })],
] as const

test.for(overtaking)('%s before its snapshot is there is no reason to warn', async ([, overtake]) => {
  const saving = gate()
  const warnings: Error[] = []
  const store = memoryStore()
  const slow = recordCalls(store, [], (name) => (name === 'snapshots.save' ? saving.opened : undefined))
  const kernel = createKernel({ store: slow, workflows: [short], onWarning: (warning) => warnings.push(warning) })

  await kernel.start(short, null, { runId: 'r' })
  await overtake(store)
  saving.open()
  await kernel[Symbol.asyncDispose]()

  expect(warnings).toEqual([])
})

test('who leaves more behind than is done waits until his is', async () => {
  const trailing = new Trailing()
  const [slow, last] = [gate(), gate()]
  for (let work = 0; work < 1000; work++) await trailing.add(slow.opened.then())

  const added = trailing.add(last.opened)

  expect(await isOver(added)).toBe(false)
  last.open()
  await added
  expect(await isOver(trailing.settled())).toBe(false)
  slow.open()
  await trailing.settled()
})
