import { defineWorkflow, type ActionContext } from '@varve/kernel'
import { z } from 'zod'

/** The lease of a process whose handler blocks its event loop for longer. */
export const BLOCKED_LEASE_MS = 300

/** A run that pays at most once and ends. */
export function payingOnce(pay: (input: null, ctx: ActionContext) => string) {
  return defineWorkflow(
    {
      ...{ name: 'paying-once', version: '1', input: z.null() },
      actions: { pay: { effect: 'at-most-once', run: pay } },
    },
    { step: ({ results }, next) => (results['pay'] ? next.complete(results['pay']) : next.run('pay', null)) },
  )
}
