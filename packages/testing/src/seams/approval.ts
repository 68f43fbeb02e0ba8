import type * as Kernel from '@varve/kernel'
import type { Store } from '@varve/store'
import { z } from 'zod'
import type { CrashScenario } from '../matrix/scenario.ts'
import type { Act, KernelModule } from './family.ts'

/** The one run of the scenario. */
export const RUN_ID = 'approval'

/**
 * A workflow that uses every seam of the run loop: an action, events of its own, a fan-out of three, one of which fails at
 * first, with an approval beside them, and facts of each scope.
 */
export function approvalWorkflow({ defineWorkflow, ActionError }: KernelModule, act: Act) {
  const actions = {
    first: {
      run: async ({ z: first }: { z: number; b: number }, ctx: Kernel.ActionContext) => {
        // Two in one tick, one for all and one for this action alone.
        const [rate, fee] = await Promise.all([rateOf(ctx), ctx.fact('fee', () => 0, { scope: 'attempt' })])
        return { z: await act(ctx, first * rate + fee), b: 0 }
      },
    },
    part: {
      run: async (input: number, ctx: Kernel.ActionContext) => {
        // Asked for by two at the same time.
        const tax = await ctx.fact('tax', () => 0)
        return act(ctx, input * (await rateOf(ctx)) + tax)
      },
    },
    shaky: {
      retry: { maxAttempts: 50, baseMs: 100, factor: 1, jitter: 'none' as const },
      run: async (input: number, ctx: Kernel.ActionContext) => {
        await ctx.fact('look', () => ctx.attempt, { scope: 'attempt' })
        // Every other try fails, so that failures and crashes mix.
        if (ctx.attempt % 2 === 1) throw new ActionError('transient', 'not yet')
        return act(ctx, input)
      },
    },
  }
  return defineWorkflow(
    {
      ...{ name: 'approval', version: '1', input: z.object({ base: z.number() }), actions },
      interrupts: { approve: { ask: z.object({ sum: z.string() }), answer: z.boolean() } },
      events: { counted: z.number() },
      initialState: ({ base }): ApprovalState => ({ base, first: null, counted: 0, parts: {}, approved: null }),
    },
    {
      reduce(state, event) {
        if (event.type === 'DomainEvent') return { ...state, counted: event.data.payload }
        if (event.type === 'Resumed') return { ...state, approved: event.data.value }
        if (event.type !== 'ActionSucceeded') return state
        if (event.data.action === 'first') return { ...state, first: event.data.output.z }
        return { ...state, parts: { ...state.parts, [event.data.key]: event.data.output } }
      },
      step(state, next) {
        if (state.first === null) return next.run('first', { z: state.base, b: 2 })
        if (state.counted < 3) return next.emit({ type: 'DomainEvent', name: 'counted', payload: state.counted + 1 })
        if (Object.keys(state.parts).length < 3 || state.approved === null) {
          return next.all([
            next.run('part', state.first, { key: 'p1' }),
            next.run('shaky', state.first, { key: 'p2' }),
            next.run('part', state.first, { key: 'p3' }),
            next.interrupt('approve', { sum: 'of three' }),
          ])
        }
        const sum = Object.values(state.parts).reduce((total, part) => total + part, 0)
        return next.complete({ sum, approved: state.approved })
      },
    },
  )
}

function rateOf(ctx: Kernel.ActionContext): Promise<number> {
  return ctx.fact('rate', () => 1, { request: 'USD' })
}

interface ApprovalState {
  readonly base: number
  readonly first: number | null
  readonly counted: number
  readonly parts: Readonly<Record<string, number>>
  readonly approved: boolean | null
}

/** What others do meanwhile. */
interface Others {
  boundaries: number
  posted: boolean
}

type ApprovalScenario = CrashScenario<{ approval: ReturnType<typeof approvalWorkflow> }, Others>

/** The run is started and its question answered twice; from one boundary on, others post to it as well. */
export function approvalScenario(
  module: KernelModule,
  open: CrashScenario<never>['open'],
  postAt = Number.POSITIVE_INFINITY,
): ApprovalScenario {
  return {
    open,
    outside: () => ({ boundaries: 0, posted: false }),
    workflows: ({ effect }) => {
      const act: Act = ({ idempotencyKey }, result) => effect(idempotencyKey, () => result)
      return { approval: approvalWorkflow(module, act) }
    },
    begin: ({ kernel, workflows }) => kernel.start(workflows.approval, { base: 1 }, { runId: RUN_ID }),
    answer: ({ blockedOn }, { kernel }) => {
      if (!blockedOn.some(({ kind }) => kind === 'interrupt')) return undefined
      const answer = { key: 'approve', value: true }
      return Promise.all([kernel.resume(RUN_ID, answer), kernel.resume(RUN_ID, answer)])
    },
    meanwhile: async (_, { store, outside }) => {
      if (outside.posted || ++outside.boundaries < postAt) return
      outside.posted = await postFromElsewhere(store)
    },
  }
}

/** Posts of another process: an answer twice, perhaps too early, and one that no question is open for. */
async function postFromElsewhere({ inbox, runs }: Store): Promise<boolean> {
  if ((await runs.find(RUN_ID)) === undefined) return false
  for (const [id, key] of [
    ['a1', 'approve'],
    ['a1', 'approve'],
    ['other', 'nobody-asked'],
  ] as const) {
    const body = JSON.stringify({ key, value: true })
    await inbox.post(RUN_ID, { id, type: 'Resumed', body }, { maxWaiting: 10 }).catch(() => undefined)
  }
  return true
}
