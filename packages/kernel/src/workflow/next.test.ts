import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import type { Requests, Fail } from './decision.ts'
import { defineWorkflow } from './define-workflow.ts'
import type { Next } from './next.ts'
import type { WorkflowTypes } from './reduce-event.ts'

type Answer = (next: Next<WorkflowTypes>) => Requests | Fail

const nothing = Object.create(null) as never

test.for<[what: string, code: string, says: string, answer: Answer]>([
  ['no action', 'UNKNOWN_ACTION', 'w defines no action undefined', (next) => next.run(undefined as never)],
  ['an action that has no text', 'UNKNOWN_ACTION', 'no action an object', (next) => next.run(nothing)],
  ['a number for a signal', 'INVALID_STEP', 'w declares no signal 5', (next) => next.waitFor(5 as never)],
  ['no interrupt', 'INVALID_STEP', 'w declares no interrupt null', (next) => next.interrupt(null as never, null)],
  ['a name for a child', 'INVALID_STEP', 'takes a workflow, got "w"', (next) => next.child('w' as never, null)],
  ['a function for a child', 'INVALID_STEP', 'got a function', (next) => next.child((() => 0) as never, null)],
  ['no child', 'INVALID_STEP', 'takes a workflow, got undefined', (next) => next.child(undefined as never, null)],
  ['a number for a group', 'INVALID_STEP', 'takes a list of requests, got 5', (next) => next.all(5 as never)],
  ['no group', 'INVALID_STEP', 'takes a list of requests', (next) => next.all(undefined as never)],
  [
    'a bound of no number',
    'INVALID_STEP',
    'got a symbol',
    (next) => next.all([], { concurrency: Symbol('s') as never }),
  ],
  [
    'a time of no number',
    'INVALID_STEP',
    'must be a number of ms from 0 to 2^52',
    (next) => next.sleep(Symbol('s') as never),
  ],
  ['a time that leads beyond all time', 'INVALID_STEP', 'got 1e+300', (next) => next.sleep(1e300)],
  [
    'a timeout that does',
    'INVALID_STEP',
    'timeoutMs must be a number of ms from 0 to 2^52, got 9007199254740992',
    (next) => next.waitFor('go', { timeoutMs: 2 ** 53 }),
  ],
  ['a time in a BigInt', 'INVALID_STEP', 'must be a number of ms from 0 to 2^52', (next) => next.sleep(5n as never)],
  ['a failure without a message', 'INVALID_STEP', 'takes a text or { message', (next) => next.fail({} as never)],
  ['no failure', 'INVALID_STEP', 'takes a text or { message', (next) => next.fail(undefined as never)],
])('a step that asks for %s is told so, and nothing is written', async ([, code, says, answer]) => {
  const spec = { name: 'w', version: '1', input: z.null() }
  const workflow = defineWorkflow(spec, { step: (_, next) => answer(next as unknown as Next<WorkflowTypes>) })
  const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })

  const starting = kernel.start(workflow, null, { runId: 'r' })

  await expect(starting).rejects.toMatchObject({ code, message: expect.stringContaining(says) as string })
  expect(await kernel.find('r')).toBeUndefined()
})
