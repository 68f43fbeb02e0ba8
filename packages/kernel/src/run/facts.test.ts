import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { findFact, withFact } from './facts.ts'
import type { OpenAction } from './item.ts'
import { emptySystem } from './system.ts'

const action: OpenAction = {
  ...{
    kind: 'action',
    key: 'ask',
    seq: 1,
    action: 'ask',
    request: { input: null },
    effect: 'idempotent',
    fingerprint: 'null',
  },
  ...{ attempt: 1, failures: 0, attempting: true, inDoubt: false },
}

test('a fact of an attempt may have any name, also behind a snapshot', () => {
  const fact = (value: string) => ({ requestHash: 'none', value })
  const names = ['first', '__proto__', 'constructor']
  let item = action
  for (const name of names) {
    item = withFact(JSON.parse(JSON.stringify(item)) as OpenAction, name, fact(name))
  }
  const system = emptySystem('r')
  system.open.put(JSON.parse(JSON.stringify(item)) as OpenAction)

  const found = (key: string) => findFact(system, { key, scope: 'attempt', actionKey: 'ask' })
  expect(names.map(found)).toEqual(names.map(fact))
  expect(found('toString')).toBeUndefined()
})

test('facts of the names of every object’s properties are read once', async () => {
  const store = memoryStore()
  const reads: string[] = []
  const workflow = defineWorkflow(
    {
      ...{ name: 'named', version: '1', input: z.null() },
      actions: {
        ask: {
          run: async (_: null, { fact }) => {
            for (const key of ['__proto__', 'constructor', '__proto__', 'constructor']) {
              await fact(key, () => void reads.push(key), { scope: 'attempt' })
            }
            return null
          },
        },
      },
    },
    { step: ({ results }, next) => (results['ask'] ? next.complete(null) : next.run('ask', null)) },
  )
  const kernel = createKernel({ store, workflows: [workflow] })
  await kernel.start(workflow, null, { runId: 'r' })

  expect(reads).toEqual(['__proto__', 'constructor'])
  expect(await kernel.verify('r')).toMatchObject({ ok: true })
})
