import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { runGenerations } from '../testing/generations.ts'
import { runGolden } from '../testing/golden.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

describe('the lineage of a run', () => {
  test('names the runs that it has started, and what it knows of them', async () => {
    const { kernel, ids } = await runGenerations()
    const [waiting, child, successor] = ids

    const children = [{ key: 'counting', runId: child, workflow: 'counting', seq: 2, outcome: 'completed' }]
    expect(await kernel.lineage(waiting)).toEqual({ runId: waiting, forkedFrom: [], children })
    expect(await kernel.lineage(child)).toMatchObject({
      ...{ parent: { runId: waiting, key: 'counting' }, continuedAs: successor, children: [] },
    })
    expect(await kernel.lineage(successor)).toMatchObject({
      ...{ parent: { runId: waiting, key: 'counting' }, continuedFrom: child },
    })
  })

  test('names every run that it was copied from, the eldest first', async () => {
    const { kernel } = await runGolden()
    await kernel.fork('sum', { at: 3, as: 'f1', edit: { output: 5 } })
    await kernel.fork('f1', { at: 5, as: 'f2' })

    expect(await kernel.lineage('f2')).toEqual({
      runId: 'f2',
      forkedFrom: [
        { runId: 'sum', atSeq: 3, edited: true },
        { runId: 'f1', atSeq: 5, edited: false },
      ],
      children: [],
    })
  })

  test('of a fork says that it gave up the children of the run that it was copied from', async () => {
    const { kernel, ids } = await runGenerations()
    await kernel.fork(ids[0], { at: 2, as: 'f', wait: false })

    const { children, forkedFrom } = await kernel.lineage('f')

    expect(forkedFrom).toMatchObject([{ runId: ids[0], atSeq: 2 }])
    expect(children).toMatchObject([{ runId: ids[1], outcome: 'dropped' }])
  })

  test('of a canceled run says which children nobody waits for any more', async () => {
    const sleeping = defineWorkflow(
      { name: 'sleeping', version: '1', input: z.null() },
      { step: ({ results }, next) => (results['timer'] ? next.complete(null) : next.sleep(1e9)) },
    )
    const waiting = defineWorkflow(
      { name: 'waiting', version: '1', input: z.null() },
      { step: ({ results }, next) => (results['sleeping'] ? next.complete(null) : next.child(sleeping, null)) },
    )
    const clock = manualClock()
    const kernel = createKernel({ store: memoryStore({ now: clock.now }), workflows: [sleeping, waiting], clock })
    await kernel.start(waiting, null, { runId: 'r' })
    const before = await kernel.lineage('r')

    await kernel.cancel('r', { reason: 'enough' })

    expect(before.children).toMatchObject([{ outcome: 'open' }])
    expect((await kernel.lineage('r')).children).toMatchObject([{ outcome: 'dropped' }])
    await kernel[Symbol.asyncDispose]()
  })

  test('is read from its own log alone', async () => {
    const { store } = await runGolden()
    const calls: string[] = []
    const kernel = createKernel({ store: recordCalls(store, calls), workflows: [] })

    await kernel.lineage('parent')

    expect(calls).toEqual(['runs.find', 'events.read'])
    await expect(kernel.lineage('nobody')).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })
})
