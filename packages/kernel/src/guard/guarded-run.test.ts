import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import type { KernelOptions } from '../kernel/options.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { typesOf } from '../testing/sealed-log.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'

type Place = 'initialState' | 'reduce' | 'reduce an answer' | 'step' | 'cancel'

/** Acts, then asks, then completes; what `read` returns goes into the log. Reads in the places that are named. */
function reading(places: readonly Place[], read: () => number = () => Date.now()): Workflow<null> {
  const at = (place: Place): number => (places.includes(place) ? read() : 0)
  return defineWorkflow(
    {
      ...{ name: 'reading', version: '1', input: z.null() },
      // A handler is free to do anything.
      actions: { act: { run: () => Date.now() + Math.random() + performance.now() } },
      interrupts: { go: { ask: z.number(), answer: z.number() } },
      initialState: () => ({ acted: at('initialState') < 0, answered: false }),
    },
    {
      reduce: (state, event) => {
        // Not the first event: a run whose first decision fails is not written.
        if (event.type === 'ActionSucceeded') return { ...state, acted: at('reduce') >= 0 }
        return event.type === 'Resumed' ? { ...state, answered: at('reduce an answer') >= 0 } : state
      },
      step: ({ acted, answered }, next) => {
        if (!acted) return next.run('act')
        return answered ? next.complete(at('step')) : next.interrupt('go', at('step') > 0 ? 1 : 0)
      },
      cancel: (_, next) => (at('cancel') < 0 ? next.emit({ type: 'StateUpdated', payload: null }) : undefined),
    },
  )
}

function setup(workflow: Workflow<null>, options: Partial<KernelOptions> = {}) {
  const store = options.store ?? memoryStore()
  return { store, kernel: createKernel({ store, workflows: [workflow], ...options }) }
}

const pure = reading([])

describe.for(['step', 'reduce'] as const)('an impure %s', (place) => {
  test('parks the run; its results are kept, and mended code goes on with them', async () => {
    const impure = reading([place])
    const { store, kernel } = setup(impure)

    const starting = kernel.start(impure, null, { runId: 'r' })
    await expect(starting).rejects.toMatchObject(kernelError('NONDETERMINISM'))
    expect(await kernel.get('r')).toMatchObject({ problem: { code: 'NONDETERMINISM' } })
    await kernel[Symbol.asyncDispose]()

    const mended = setup(pure, { store })
    expect(await mended.kernel.run('r')).toMatchObject({ status: 'blocked' })
    expect(await mended.kernel.resume('r', { key: 'go', value: 1 })).toMatchObject({ status: 'completed', output: 0 })
    const types = await typesOf(store, 'r')
    expect(types.filter((type) => type === 'ActionSucceeded')).toHaveLength(1)
  })

  test('is let pass with a warning, or without', async () => {
    const warnings: Error[] = []
    const impure = reading([place])
    const warned = setup(impure, { guard: 'warn', onWarning: (warning) => warnings.push(warning) })
    const off = setup(impure, { guard: 'off', onWarning: (warning) => warnings.push(warning) })

    expect(await warned.kernel.start(impure, null)).toMatchObject({ status: 'blocked' })
    expect(await off.kernel.start(impure, null)).toMatchObject({ status: 'blocked' })

    expect(warnings).toMatchObject([kernelError('NONDETERMINISM')])
  })
})

test('an impure initialState starts no run', async () => {
  const impure = reading(['initialState'])
  const { store, kernel } = setup(impure)

  const starting = kernel.start(impure, null, { runId: 'r' })

  await expect(starting).rejects.toMatchObject(kernelError('NONDETERMINISM'))
  expect(await store.runs.find('r')).toBeUndefined()
})

test('an answer on which the reducer is impure is set aside, and the run stays as it is', async () => {
  const impure = reading(['reduce an answer'])
  const { kernel } = setup(impure)
  await kernel.start(impure, null, { runId: 'r' })

  const resuming = kernel.resume('r', { key: 'go', value: 1 })

  await expect(resuming).rejects.toMatchObject(kernelError('NONDETERMINISM'))
  expect(await kernel.get('r')).toMatchObject({ status: 'blocked' })
})

test('an impure cancel parks the run', async () => {
  const impure = reading(['cancel'])
  const { kernel } = setup(impure)
  await kernel.start(impure, null, { runId: 'r' })

  await expect(kernel.cancel('r', { reason: 'x' })).rejects.toMatchObject(kernelError('NONDETERMINISM'))
})

describe('what only reads is guarded as well', () => {
  /** A kernel whose code has become impure since the run was made. */
  async function changed(place: Place) {
    const { store, kernel } = setup(pure)
    await kernel.start(pure, null, { runId: 'r' })
    await kernel[Symbol.asyncDispose]()
    return setup(reading([place]), { store, build: 'changed' }).kernel
  }

  test.for(['initialState', 'reduce'] as const)('replay, stateAt and executionLog: %s', async (place) => {
    const kernel = await changed(place)

    const reads = [
      () => kernel.replay('r'),
      () => kernel.replayFromSnapshot('r'),
      () => kernel.stateAt('r', 4),
      () => Array.fromAsync(kernel.executionLog('r')),
    ]

    for (const read of reads) await expect(read()).rejects.toMatchObject(kernelError('NONDETERMINISM'))
  })

  test.for(['initialState', 'reduce', 'step'] as const)('verify: %s', async (place) => {
    const kernel = await changed(place)

    expect(await kernel.verify('r')).toMatchObject({ ok: false, code: 'NONDETERMINISM' })
  })
})
