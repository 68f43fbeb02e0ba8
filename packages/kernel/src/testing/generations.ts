import { memoryStore } from '@varve/store-memory'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { settled } from './manual-clock.ts'

/** Goes on as a new run until it has counted down. */
const counting = defineWorkflow(
  { name: 'counting', version: '1', input: z.number() },
  { step: ({ input }, next) => (input > 0 ? next.continueAsNew(input - 1) : next.complete('down')) },
)

const waiting = defineWorkflow(
  { name: 'waiting', version: '1', input: z.null() },
  { step: ({ results }, next) => (results['counting'] ? next.complete(null) : next.child(counting, 1)) },
)

/** A run, its child, and the run that its child goes on as. */
export async function runGenerations() {
  const kernel = createKernel({ store: memoryStore(), workflows: [counting, waiting] })
  await kernel.start(waiting, null, { runId: 'waiting' })
  await settled()
  const outcome = await kernel.run('waiting')
  const child = (await kernel.lineage('waiting')).children[0]?.runId ?? ''
  const successor = (await kernel.lineage(child)).continuedAs ?? ''
  return { kernel, outcome, ids: ['waiting', child, successor] as const }
}
