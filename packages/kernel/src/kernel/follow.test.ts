import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

const twice = defineWorkflow(
  { name: 'twice', version: '1', input: z.null(), signals: { go: z.string() } },
  {
    step: ({ results }, next) => {
      if (!results['nap']) return next.sleep(60_000, { key: 'nap' })
      return results['go'] ? next.complete('gone') : next.waitFor('go')
    },
  },
)

test('a run is followed through all its blocks to its end, by a kernel that has no code of it', async () => {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  await using driver = createKernel({ store, clock, workflows: [twice] })
  await using follower = createKernel({ store, clock, workflows: [] })
  await driver.start(twice, null, { runId: 'r' })
  const ends: string[] = []
  const following = follower.follow('r').then((outcome) => ends.push(outcome.status))

  await clock.advance(60_000)
  expect(ends).toEqual([])
  await driver.signal('r', { name: 'go', value: 'x' })
  await following

  expect(ends).toEqual(['completed'])
  expect(await follower.follow('r')).toEqual({ status: 'completed', runId: 'r', output: 'gone' })
})

test('following drives nothing, whatever is due', async () => {
  const calls: string[] = []
  const store = recordCalls(memoryStore(), calls)
  await using kernel = createKernel({ store, workflows: [twice] })
  await kernel.start(twice, null, { runId: 'r', wait: false })
  const before = calls.length
  const over = new AbortController()

  const following = kernel.follow('r', { signal: over.signal })
  await settled()
  over.abort(new Error('enough'))

  await expect(following).rejects.toThrow('enough')
  expect(new Set(calls.slice(before))).toEqual(new Set(['runs.find']))
})

test('what cannot be followed is refused, and a kernel that is disposed ends it', async () => {
  const store = memoryStore()
  const kernel = createKernel({ store, workflows: [twice] })
  await kernel.start(twice, null, { runId: 'r' })
  const following = kernel.follow('r')
  following.catch(() => undefined)

  await expect(kernel.follow('nobody')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' })
  await settled()
  await kernel[Symbol.asyncDispose]()

  await expect(following).rejects.toMatchObject({ code: 'KERNEL_CLOSED' })
})
