import { setTimeout as delay } from 'node:timers/promises'
import { ActionError, defineWorkflow, type ActionContext, type Workflow } from '@varve/kernel'
import { z } from 'zod'
import type { Effect } from './place.ts'

/** What handlers of these workflows reach in the process that calls them. */
export interface Surroundings {
  /** Writes an effect down. */
  readonly write: (effect: Effect) => Promise<void>
  /** Says that a handler is under way, and waits until it may go on. */
  readonly hold: (text: string) => Promise<void>
  /** Ends the process there and then. */
  readonly die: () => void
}

/** Workflows by the name of the workload. */
export const workloads: Readonly<Record<WorkloadName, (around: Surroundings) => Workflow>> = {
  steps: stepsWorkflow,
  twoSteps: (around) => holdingWorkflow(around, 'twoSteps', 'idempotent'),
  payment: (around) => holdingWorkflow(around, 'payment', 'at-most-once'),
  deadly: deadlyWorkflow,
}

/** Which workflow a process drives. */
export type WorkloadName = 'steps' | 'twoSteps' | 'payment' | 'deadly'

/** The five things that a run of `steps` does, in a turn that depends on its number. */
export const STEP_KEYS = ['note', 'pay', 'flaky', 'nap', 'go'] as const

/** Something of everything: effects of each class, a failure that passes, a sleep, a signal from outside. */
export function stepsWorkflow({ write }: Surroundings) {
  const take = async (n: number, ctx: ActionContext): Promise<string> => {
    const ms = (n * 7 + ctx.attempt * 13) % 31
    await delay(ms / 2)
    await write(effectOf(ctx))
    await delay(ms / 2)
    return `${ctx.key} ${n}`
  }
  const patient = { maxAttempts: 100, baseMs: 20, capMs: 200 }
  const passing = async <T>(act: Promise<T>): Promise<T> => {
    try {
      return await act
    } catch (error) {
      throw new ActionError('transient', (error as Error).message)
    }
  }
  return defineWorkflow(
    {
      ...{ name: 'steps', version: '1', input: z.object({ n: z.number() }), signals: { go: z.string() } },
      actions: {
        note: { retry: patient, run: (n: number, ctx) => passing(take(n, ctx)) },
        pay: { effect: 'at-most-once', run: (n: number, ctx) => take(n, ctx) },
        flaky: {
          retry: patient,
          run: async (n: number, ctx) => {
            if (ctx.attempt === 1) throw new ActionError('transient', 'not at the first attempt')
            return passing(take(n, ctx))
          },
        },
      },
    },
    {
      step: ({ input: { n }, results }, next) => {
        const order = STEP_KEYS.map((_, i) => STEP_KEYS[(i + n) % STEP_KEYS.length])
        const key = order.find((each) => each !== undefined && results[each] === undefined)
        if (key === undefined) return next.complete(`${n}: ${results['pay']?.status}`)
        if (key === 'nap') return next.sleep(50 + ((n * 37) % 450), { key })
        return key === 'go' ? next.waitFor('go') : next.run(key, n)
      },
    },
  )
}

/** Two actions; the first one is held. */
function holdingWorkflow({ write, hold }: Surroundings, name: string, effect: 'idempotent' | 'at-most-once'): Workflow {
  return defineWorkflow(
    {
      ...{ name, version: '1', input: z.null() },
      actions: {
        first: {
          effect,
          run: async (_: null, ctx) => {
            await hold(`first of ${ctx.runId}`)
            await write(effectOf(ctx))
            return ctx.attempt
          },
        },
        second: { run: (_: null, ctx) => write(effectOf(ctx)) },
      },
    },
    {
      step: ({ results }, next) => {
        if (results['first']?.status !== 'succeeded') return next.run('first')
        return results['second'] ? next.complete(results['first'].output) : next.run('second')
      },
    },
  )
}

/** Kills the process that tries it, where the input says so. */
function deadlyWorkflow({ write, die }: Surroundings): Workflow {
  return defineWorkflow(
    {
      ...{ name: 'deadly', version: '1', input: z.object({ kills: z.boolean() }) },
      actions: {
        touch: {
          run: async ({ kills }: { kills: boolean }, ctx) => {
            await write(effectOf(ctx))
            if (kills) die()
          },
        },
      },
    },
    { step: ({ results, input }, next) => (results['touch'] ? next.complete('alive') : next.run('touch', input)) },
  )
}

function effectOf({ runId, key, idempotencyKey, attempt, fencingToken }: ActionContext): Effect {
  return { runId, key, idempotencyKey, attempt, token: fencingToken, pid: process.pid }
}
