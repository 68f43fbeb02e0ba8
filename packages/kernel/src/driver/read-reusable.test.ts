import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { recordCalls } from '../testing/store-calls.ts'
import type { Effect } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

const doing = (effect: Effect) =>
  defineWorkflow(
    { name: 'doing', version: '1', input: z.null(), actions: { act: { effect, run: () => 1 } } },
    { step: ({ results }, next) => (results['act'] ? next.complete(null) : next.run('act', null)) },
  )

/** The runs whose logs are read when a fork of a fork is driven, each of which reuses what the one before it did. */
async function readFor(effect: Effect): Promise<ReadonlySet<string>> {
  const workflow = doing(effect)
  const read = new Set<string>()
  const store = recordCalls(memoryStore(), [], (name, [runId]) => {
    if (name === 'events.read') read.add(runId as string)
    return undefined
  })
  await using kernel = createKernel({ store, workflows: [workflow] })
  await kernel.start(workflow, null, { runId: 'first' })
  await kernel.fork('first', { at: 1, as: 'second', reuse: true })
  await kernel.fork('second', { at: 1, as: 'third', reuse: true, wait: false })
  read.clear()

  expect(await kernel.run('third')).toMatchObject({ status: 'completed' })

  return read
}

test('the log before the one that was forked is read where something of the workflow must not happen twice', async () => {
  expect(await readFor('at-most-once')).toContain('first')
})

test('where everything may happen twice it is not read', async () => {
  const read = await readFor('idempotent')

  expect(read).toContain('second')
  expect(read).not.toContain('first')
})
