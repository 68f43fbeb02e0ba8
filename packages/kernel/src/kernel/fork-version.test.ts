import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError } from '../testing/expected-errors.ts'
import { chainOf, dataOf, readLog, typesOf } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

/** Acts twice and asks in between; versions may differ from a point on. */
function asking(version: string, { first = 1, second = 2 } = {}) {
  return defineWorkflow(
    {
      ...{ name: 'asking', version, input: z.null() },
      interrupts: { ask: { ask: z.null(), answer: version === '2' ? z.string() : z.number() } },
      actions: { act: { run: (n: number) => n } },
    },
    {
      step: ({ results }, next) => {
        if (!results['one']) return next.run('act', first, { key: 'one' })
        if (!results['ask']) return next.interrupt('ask', null)
        if (!results['two']) return next.run('act', second, { key: 'two' })
        return next.complete(version)
      },
    },
  )
}

const [v1, v2] = [asking('1'), asking('2')]

/** A finished run of version 1. */
async function finished(second = v2) {
  const store = memoryStore()
  const kernel = createKernel({ store, workflows: [v1, second] })
  await kernel.start(v1, null, { runId: 'r' })
  await kernel.resume('r', { key: 'ask', value: 7 })
  const log = await readLog(store, 'r')
  return { store, kernel, log, seqOf: (type: string) => log.find((event) => event.type === type)!.seq }
}

describe('a fork to another version', () => {
  test('goes on with that, wherever it was forked; what is copied stays what was recorded', async () => {
    const { store, kernel, log, seqOf } = await finished()

    for (let at = 1; at < seqOf('Completed'); at++) {
      let outcome = await kernel.fork('r', { at, as: `f${at}`, version: '2' })
      if (outcome.status === 'blocked') outcome = await kernel.resume(`f${at}`, { key: 'ask', value: 'yes' })

      expect(outcome).toMatchObject({ output: '2' })
      const copy = await readLog(store, `f${at}`)
      expect(copy.slice(0, at).map(({ body }) => body)).toEqual(log.slice(0, at).map(({ body }) => body))
      expect(copy.slice(at, at + 2).map(({ type }) => type)).toEqual(['RunForked', 'Migrated'])
      expect(await dataOf(store, `f${at}`, 'Migrated')).toEqual([{ fromVersion: '1', toVersion: '2' }])
      expect(await kernel.get(`f${at}`)).toMatchObject({ version: '2' })
      expect(await kernel.verify(`f${at}`)).toMatchObject({ ok: true })
      // Its lineage can be checked from the copy alone.
      expect(await dataOf(store, `f${at}`, 'RunForked')).toMatchObject([{ fromHash: chainOf('r', copy.slice(0, at)) }])
    }
    expect(await readLog(store, 'r')).toEqual(log)
  })

  test('is refused where that decides otherwise than copied, and nothing is written', async () => {
    const { kernel, seqOf } = await finished(asking('2', { second: 3 }))
    const at = seqOf('Completed') - 1

    const forking = kernel.fork('r', { at, as: 'f', version: '2' })

    const seq = at - 1
    await expect(forking).rejects.toMatchObject({
      ...kernelError('CODE_CHANGED'),
      where: { runId: 'r', seq },
      divergence: { seq, recorded: { data: { input: 2 } }, decided: { data: { input: 3 } } },
    })
    await expect(forking).rejects.toThrow(/version 2 cannot go on with run r/)
    expect(await kernel.find('f')).toBeUndefined()
    // Before it, there is nothing to differ in.
    expect(await kernel.fork('r', { at: seq - 1, as: 'g', version: '2' })).toMatchObject({ output: '2' })
  })

  test('that is not registered is refused, naming those that are', async () => {
    const { kernel } = await finished()

    const forking = kernel.fork('r', { at: 1, version: '9' })

    await expect(forking).rejects.toMatchObject(kernelError('WORKFLOW_MISSING'))
    await expect(forking).rejects.toThrow(/asking@9.*asking@1, asking@2/)
  })

  test('that is its own is a fork like any other', async () => {
    const { store, kernel } = await finished()

    await kernel.fork('r', { at: 1, as: 'f', version: '1' })

    expect(await typesOf(store, 'f')).not.toContain('Migrated')
  })

  test('checks an edit by the schemas of that version', async () => {
    const { kernel, seqOf } = await finished()
    const at = seqOf('Resumed')

    const asNumber = kernel.fork('r', { at, version: '2', edit: { value: 8 } })
    const asText = kernel.fork('r', { at, version: '2', edit: { value: 'eight' } })

    await expect(asNumber).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    expect(await asText).toMatchObject({ output: '2' })
  })

  test('may reuse, too', async () => {
    const { store, kernel } = await finished()

    await kernel.fork('r', { at: 1, as: 'f', version: '2', reuse: true })
    await kernel.resume('f', { key: 'ask', value: 'yes' })

    expect(await dataOf(store, 'f', 'ActionReused')).toMatchObject([{ key: 'one' }, { key: 'two' }])
    expect(await kernel.verify('f')).toMatchObject({ ok: true })
  })
})

describe('a fork of a run that was migrated', () => {
  /** A run that began with version 1 and ended with version 2. */
  async function migrated() {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [v1, v2] })
    await kernel.start(v1, null, { runId: 'r' })
    await kernel.migrate('r', { to: '2' })
    await kernel.resume('r', { key: 'ask', value: 'yes' })
    const log = await readLog(store, 'r')
    return { store, kernel, at: log.find(({ type }) => type === 'Migrated')!.seq }
  }

  test('is of the version that the run was of where it was forked', async () => {
    const { kernel, at } = await migrated()

    await kernel.fork('r', { at: at - 1, as: 'before' })
    await kernel.fork('r', { at, as: 'behind' })

    expect(await kernel.get('before')).toMatchObject({ version: '1' })
    expect(await kernel.get('behind')).toMatchObject({ version: '2' })
    for (const runId of ['before', 'behind']) expect(await kernel.verify(runId)).toMatchObject({ ok: true })
  })

  test('may be migrated on, and back', async () => {
    const { kernel, at } = await migrated()

    await kernel.fork('r', { at: at - 1, as: 'f', version: '2' })
    await kernel.fork('r', { at, as: 'g', version: '1' })

    expect(await kernel.resume('f', { key: 'ask', value: 'yes' })).toMatchObject({ output: '2' })
    expect(await kernel.resume('g', { key: 'ask', value: 7 })).toMatchObject({ output: '1' })
    for (const runId of ['f', 'g']) expect(await kernel.verify(runId)).toMatchObject({ ok: true })
  })
})
