import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
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

/** A run that has paid 5 and no other amount, a fork of it that paid 7 instead, and how to fork that once more. */
async function paidTwice() {
  const paid: number[] = []
  const pay = { effect: 'at-most-once', run: (cents: number) => paid.push(cents) } as const
  const workflow = defineWorkflow(
    { name: 'paying', version: '1', input: z.int(), actions: { pay } },
    { step: ({ input, results }, next) => (results['pay'] ? next.complete(null) : next.run('pay', input)) },
  )
  const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })
  await kernel.start(workflow, 5, { runId: 'five' })
  await kernel.fork('five', { at: 1, as: 'seven', edit: { input: 7 }, reuse: true })
  const again = (input: number, as: string) => kernel.fork('seven', { at: 1, as, edit: { input }, reuse: true })
  return { kernel, paid, again }
}

test('what a run before the edited one has done is not done again where the edit is taken back', async () => {
  const { paid, again } = await paidTwice()

  const forking = again(5, 'five-again')

  await expect(forking).rejects.toMatchObject({
    ...kernelError('REUSE_IN_DOUBT'),
    where: { runId: 'five-again', key: 'pay' },
  })
  await expect(forking).rejects.toThrow('run five has done it')
  expect(paid).toEqual([5, 7])
})

test('what none of the runs before has done is done', async () => {
  const { paid, again } = await paidTwice()

  expect(await again(9, 'nine')).toMatchObject({ status: 'completed' })

  expect(paid).toEqual([5, 7, 9])
})
