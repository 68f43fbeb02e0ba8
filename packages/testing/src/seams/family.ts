import type * as Kernel from '@varve/kernel'
import type { RunRow } from '@varve/store'
import { z } from 'zod'
import type { CrashScenario } from '../matrix/scenario.ts'

/** The functions of a kernel that a scenario uses: the real one's, or a mutant's. */
export type KernelModule = Pick<typeof Kernel, 'createKernel' | 'defineWorkflow' | 'ActionError'>

/** How a story ends: by completing, by continuing as a new run that completes, or by being canceled. */
export type Story = 'completes' | 'continues' | 'is canceled'

/** How long the family's waits are, in ms: short ones for processes by the real clock. */
export interface Pace {
  readonly nap: number
  readonly patience: number
}

const UNHURRIED: Pace = { nap: 100_000, patience: 5000 }

/** Does something outside, and counts it by its key. */
export type Act = (ctx: Kernel.ActionContext, result: number) => Promise<number>

/**
 * A family of runs that uses timers, early and late signals, timeouts, expiring questions, children, an at-most-once
 * action, a clean-up, a successor and a fact.
 */
export function familyOf({ defineWorkflow }: KernelModule, act: Act, { nap, patience }: Pace = UNHURRIED) {
  const child = defineWorkflow(
    {
      ...{ name: 'child', version: '1', input: z.number() },
      actions: { double: { run: (n: number, ctx: Kernel.ActionContext) => act(ctx, n * 2) } },
    },
    {
      step: ({ input, results }, next) => {
        const doubled = results['double']
        return doubled?.status === 'succeeded' ? next.complete(doubled.output) : next.run('double', input)
      },
    },
  )
  const parent = defineWorkflow(
    {
      ...{ name: 'parent', version: '1', input: z.enum(['completes', 'continues', 'is canceled']) },
      signals: { go: z.number(), never: z.null() },
      interrupts: { ask: { ask: z.string(), answer: z.boolean() } },
      actions: {
        pay: { effect: 'at-most-once', run: async (n: number, ctx) => act(ctx, n * (await rateOf(ctx))) },
        // After the run was blocked: the fact comes out of its snapshot.
        undo: { run: async (n: number, ctx: Kernel.ActionContext) => act(ctx, n * (await rateOf(ctx))) },
      },
    },
    {
      step: ({ input, results: r }, next) => {
        if (!r['nap']) return next.all([next.sleep(nap, { key: 'nap' }), next.waitFor('go')])
        if (!r['go']) return next.waitFor('go')
        if (!r['late']) return next.waitFor('never', { key: 'late', timeoutMs: patience / 5 })
        if (!r['one'] || !r['two']) {
          return next.all([next.child(child, 1, { key: 'one' }), next.child(child, 2, { key: 'two' })])
        }
        if (!r['ask']) return next.interrupt('ask', 'ok?', { expiresInMs: patience })
        if (!r['pay']) return next.run('pay', 5)
        if (input === 'continues') return next.continueAsNew('completes')
        if (input === 'is canceled') return next.waitFor('never', { key: 'forever' })
        return next.complete([r['one'].status, r['two'].status, r['late'].status, r['ask'].status])
      },
      cancel: ({ results }, next) => (results['pay'] ? next.run('undo', 1) : undefined),
    },
  )
  return { child, parent }
}

/** Asked for by one action, and by another that follows later. */
function rateOf(ctx: Kernel.ActionContext): Promise<number> {
  return ctx.fact('rate', () => 1)
}

/** Does what the outside does: sends the signal, settles what is in doubt, cancels. */
function answerFamily({ runId, blockedOn }: RunRow, kernel: Kernel.Kernel): Promise<Kernel.Outcome> | undefined {
  const isOpen = (key: string): boolean => blockedOn.some((item) => item.key === key)
  if (blockedOn.some(({ inDoubt }) => inDoubt === true)) {
    const outcome = { status: 'succeeded', output: 5 } as const
    return kernel.settle(runId, { key: 'pay', outcome, by: 'the ledger' })
  }
  if (isOpen('go')) return kernel.signal(runId, { name: 'go', value: 7, id: 'go-1' })
  if (isOpen('forever')) return kernel.cancel(runId, { reason: 'enough' })
  return undefined
}

/** The family's story, to be told on a store of this kind. */
export function familyScenario(
  module: KernelModule,
  story: Story,
  open: CrashScenario<never>['open'],
  { pace, onEffect }: { readonly pace?: Pace; readonly onEffect?: (ctx: Kernel.ActionContext) => void } = {},
): CrashScenario<ReturnType<typeof familyOf>> {
  const taking = (ctx: Kernel.ActionContext, result: number): number => {
    onEffect?.(ctx)
    return result
  }
  return {
    open,
    workflows: ({ effect }) =>
      familyOf(module, (ctx, result) => effect(ctx.idempotencyKey, () => taking(ctx, result)), pace),
    begin: ({ kernel, workflows }) => kernel.start(workflows.parent, story, { runId: 'story' }),
    answer: (run, { kernel }) => answerFamily(run, kernel),
  }
}
