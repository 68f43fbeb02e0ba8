import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import type { KernelOptions } from '../kernel/options.ts'
import type { ActionContext, AnyAction } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { manualClock } from './manual-clock.ts'

/** What a payment does: it must not happen twice. */
export type Pay = (input: number, ctx: ActionContext) => unknown

/** How a payment is set up, besides what it does. */
export type PayOptions = Pick<AnyAction, 'retry' | 'timeoutMs' | 'reconcile' | 'fenced'>

/** Pays once, by an at-most-once action, and completes with what became of it. */
export function paying(run: Pay, options: PayOptions = {}) {
  return defineWorkflow(
    {
      ...{ name: 'paying', version: '1', input: z.null() },
      actions: { pay: { effect: 'at-most-once', ...options, run: (input: number, ctx) => run(input, ctx) as null } },
    },
    { step: ({ results }, next) => (results['pay'] ? next.complete(results['pay']) : next.run('pay', 100)) },
  )
}

/** A store, a clock, and a kernel that pays; further kernels are other processes on the same store. */
export function payingRun(run: Pay, options: PayOptions = {}, kernelOptions: Partial<KernelOptions> = {}) {
  const clock = manualClock()
  const store: Store = memoryStore({ now: clock.now })
  const workflow = paying(run, options)
  const another = (more: Partial<KernelOptions> = {}) =>
    createKernel({ store, workflows: [workflow], clock, ...kernelOptions, ...more })
  const kernel = another()
  return { clock, store, workflow, kernel, another, start: () => kernel.start(workflow, null, { runId: 'r' }) }
}

/** How a run stands that waits for a word on its payment. */
export const inDoubt = {
  status: 'blocked',
  wakeAt: null,
  blockedOn: [{ kind: 'action', key: 'pay', name: 'pay', inDoubt: true }],
} as const
