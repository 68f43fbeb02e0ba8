import { createKernel, defineWorkflow, type ActionContext } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { newRecord, observed } from './record.ts'
import { noFacts, watchFacts, type FactRecord } from './watched-facts.ts'

/** What is said of an action that asks for one fact, when the log is noted or not. */
async function faultsOf(facts: FactRecord, isNoted: boolean): Promise<readonly string[]> {
  const passing = async <T>(_: string, act: () => T | Promise<T>): Promise<T> => act()
  const look = async (_: null, ctx: ActionContext): Promise<number> =>
    watchFacts(ctx, { passing }, facts).fact('rate', () => 2)
  const workflow = defineWorkflow(
    { name: 'w', version: '1', input: z.null(), actions: { look: { run: look } } },
    { step: ({ results }, next) => (results['look'] ? next.complete(null) : next.run('look', null)) },
  )
  const store = isNoted ? observed(memoryStore(), { ...newRecord(), facts }) : memoryStore()
  await createKernel({ store, workflows: [workflow] }).start(workflow, null, { runId: 'r' })
  return [...facts.rereads, ...facts.faults]
}

test('a fact that is read once and given out as it is recorded is in order', async () => {
  expect(await faultsOf(noFacts(), true)).toEqual([])
})

test('a fact that is given out before it is recorded is told', async () => {
  expect(await faultsOf(noFacts(), false)).toEqual(['look was given the fact ["r","rate"] before it was durable'])
})

test('a fact that is read although it is recorded, or given out as something else, is told', async () => {
  const facts = noFacts()
  facts.recorded.set('["r","rate"]', { runId: 'r', value: 1 })

  expect(await faultsOf(facts, false)).toEqual([
    'look read the fact ["r","rate"] again although it is recorded',
    'look was given another fact ["r","rate"] than is recorded',
  ])
})
