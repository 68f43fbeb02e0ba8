import { spawn } from 'node:child_process'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { GuardMode } from '../guard/guard.ts'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

/** A run of one event and its end; its reducer and its step may do something besides. */
function observing(inReduce: () => unknown, inStep: () => unknown = () => undefined) {
  return defineWorkflow(
    { name: 'observing', version: '1', input: z.null(), initialState: () => 0 },
    {
      reduce: (state) => {
        inReduce()
        return state
      },
      step: (_, next) => {
        inStep()
        return next.complete(null)
      },
    },
  )
}

const nothing = (): void => undefined

/** A kernel on a run that was made without a guard. */
async function kernelOnRun(workflow: ReturnType<typeof observing>, guard?: GuardMode) {
  const store = memoryStore()
  const unobserved = observing(nothing)
  await createKernel({ store, workflows: [unobserved], guard: 'off' }).start(unobserved, null, { runId: 'r' })
  return createKernel({ store, workflows: [workflow], ...(guard && { guard }) })
}

test('a replay traps the clock', async () => {
  const kernel = await kernelOnRun(observing(() => Date.now()))

  const replaying = kernel.replay('r')

  await expect(replaying).rejects.toMatchObject({ ...kernelError('NONDETERMINISM'), where: { seq: 1 } })
})

test('verification traps the start of a process', async () => {
  const kernel = await kernelOnRun(observing(nothing, () => spawn('true')))

  const verification = await kernel.verify('r')

  expect(verification).toMatchObject({ ok: false, code: 'NONDETERMINISM' })
  expect(verification).toHaveProperty('message', expect.stringContaining('spawn'))
})

test('without a guard a run may use the clock', async () => {
  const workflow = observing(
    () => Date.now(),
    () => Date.now(),
  )
  const kernel = createKernel({ store: memoryStore(), workflows: [workflow], guard: 'off' })

  expect(await kernel.start(workflow, null)).toMatchObject({ status: 'completed' })
})

test('a run traps the clock as its replay does, unless the guard is off', async () => {
  const workflow = observing(nothing, () => Date.now())
  const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })

  await expect(kernel.start(workflow, null)).rejects.toMatchObject(kernelError('NONDETERMINISM'))
})

test('replay and verification trap or not as the kernel is told', async () => {
  const workflow = observing(() => Math.random())
  const [guarded, free] = await Promise.all([kernelOnRun(workflow), kernelOnRun(workflow, 'off')])

  await expect(guarded.replay('r')).rejects.toMatchObject(kernelError('NONDETERMINISM'))
  expect(await guarded.verify('r')).toMatchObject({ ok: false })
  expect(await free.replay('r')).toMatchObject({ status: 'completed' })
  expect(await free.verify('r')).toMatchObject({ ok: true })
})
