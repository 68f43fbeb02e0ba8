import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { readLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

/** Waits for two signals, one after the other. */
const waiting = defineWorkflow(
  { name: 'waiting', version: '1', input: z.null(), signals: { go: z.int() } },
  {
    step: ({ results }, next) => {
      const { first, second } = results
      if (first === undefined) return next.waitFor('go', { key: 'first' })
      return second === undefined ? next.waitFor('go', { key: 'second' }) : next.complete([first.status, second.status])
    },
  },
)

/** A run that waits, in a store where one post waits for it. */
async function setup() {
  const store = memoryStore()
  const first = createKernel({ store, workflows: [waiting] })
  await first.start(waiting, null, { runId: 'r' })
  const poster = createKernel({ store, workflows: [] })
  const post = async (value: number) => poster.signal('r', { name: 'go', value, wait: false })
  await post(1)
  return { store, post }
}

test('the posts that wait for a run are read while the run is', async () => {
  const { store } = await setup()
  const calls: string[] = []
  let letGo = (): void => undefined
  const asked = new Promise<void>((resolve) => (letGo = resolve))
  const watched = recordCalls(store, calls, (name) => {
    if (name === 'inbox.list') letGo()
    // The run is not read any further before somebody has asked for its posts.
    return name === 'snapshots.latest' ? asked : undefined
  })

  const { status } = await createKernel({ store: watched, workflows: [waiting] }).run('r')

  expect(status).toBe('blocked')
  expect(calls.filter((name) => name === 'inbox.list')).toHaveLength(1)
})

test('a post that comes meanwhile is taken together with those that waited', async () => {
  const { store, post } = await setup()
  const calls: string[] = []
  const watched = recordCalls(store, calls, (name) =>
    name === 'snapshots.latest' ? post(2).then(() => undefined) : undefined,
  )

  const outcome = await createKernel({ store: watched, workflows: [waiting] }).run('r')

  expect(outcome).toMatchObject({ status: 'completed', output: ['delivered', 'delivered'] })
  expect(calls.filter((name) => name === 'events.append')).toHaveLength(1)
})

test('a failure to read them ahead is that of the drive, and loses none', async () => {
  const { store } = await setup()
  let failures = 0
  const failing = recordCalls(store, [], (name) => {
    if (name !== 'inbox.list' || failures++ > 0) return undefined
    throw new Error('the inbox cannot be read')
  })
  const kernel = createKernel({ store: failing, workflows: [waiting] })

  await expect(kernel.run('r')).rejects.toThrow('the inbox cannot be read')
  const { status } = await createKernel({ store, workflows: [waiting] }).run('r')

  expect(status).toBe('blocked')
  expect((await readLog(store, 'r')).map(({ type }) => type)).toContain('SignalReceived')
})
