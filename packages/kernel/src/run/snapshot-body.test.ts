import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

/** Completes with what its first state was, as its step sees it after two answers. */
function remembering(state: () => object, seen: (state: never) => string) {
  return defineWorkflow(
    {
      ...{ name: 'remembering', version: '1', input: z.null() },
      initialState: () => ({ first: state(), answers: 0 }),
      interrupts: { ask: { ask: z.null(), answer: z.null() } },
    },
    {
      reduce: (state, event) => (event.type === 'Resumed' ? { ...state, answers: state.answers + 1 } : state),
      step: ({ first, answers }, next) =>
        answers < 2 ? next.interrupt('ask', null, { key: `ask:${answers}` }) : next.complete(seen(first as never)),
    },
  )
}

test.for([
  ['an object without a prototype', () => Object.groupBy(['ann'], (name) => name), 'state.first'],
  ['-0', () => ({ list: [1, -0] }), 'state.first.list[1]'],
] as const)('of a state with %s no snapshot is kept: a step could tell what it gives back', async ([, state, path]) => {
  const warnings: Error[] = []
  const store = memoryStore()
  const seen = (first: Record<string, unknown>): string =>
    [typeof first.constructor, Object.is((first['list'] as number[] | undefined)?.[1], -0)].join()
  const workflow = remembering(state, seen)
  const onWarning = (warning: Error): void => void warnings.push(warning)
  const kernel = () => createKernel({ store, workflows: [workflow], build: 'b', onWarning })
  const first = kernel()
  await first.start(workflow, null, { runId: 'r' })
  await first[Symbol.asyncDispose]()
  const second = kernel()
  await second.resume('r', { key: 'ask:0', value: null })
  await second[Symbol.asyncDispose]()

  const outcome = await kernel().resume('r', { key: 'ask:1', value: null })

  expect(outcome).toMatchObject({ status: 'completed', output: seen(state() as never) })
  expect(await kernel().verify('r')).toMatchObject({ ok: true })
  expect(await store.snapshots.latest('r')).toBeUndefined()
  expect(warnings[0]).toMatchObject({ code: 'STATE_NOT_JSON', where: { path } })
})
