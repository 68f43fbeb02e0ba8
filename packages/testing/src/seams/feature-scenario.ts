import type { ActionContext, Kernel, Outcome } from '@varve/kernel'
import type { Store } from '@varve/store'
import { z } from 'zod'
import { simulatedProcess, type Faults, type SimulatedProcess } from '../simulated-process.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import type { KernelModule } from './scenario.ts'

/** How a story ends: by completing, by continuing as a new run that completes, or by being canceled. */
export type Story = 'completes' | 'continues' | 'is canceled'

/** What is left of a story when it is over. */
export interface Told {
  readonly outcome: Outcome
  /** How often each action took effect, by name. */
  readonly effects: Readonly<Record<string, number>>
  /** Every run there is, with what is wrong with it; empty when nothing is. */
  readonly faults: readonly string[]
  readonly runs: number
  readonly boundaries: number
}

const LEASE_MS = 30_000

/**
 * A family of runs that uses timers, early and late signals, timeouts, expiring questions, children, an at-most-once
 * action, a clean-up and a successor.
 */
function workflowsOf({ defineWorkflow }: KernelModule, process: SimulatedProcess, effects: Record<string, number>) {
  const act = async (name: string, result: number): Promise<number> =>
    process.effect(() => {
      effects[name] = (effects[name] ?? 0) + 1
      return result
    })
  const child = defineWorkflow(
    {
      ...{ name: 'child', version: '1', input: z.number() },
      actions: { double: { run: (n: number, ctx: ActionContext) => act(`double ${n} ${ctx.key}`, n * 2) } },
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
        pay: { effect: 'at-most-once', run: (n: number) => act('pay', n) },
        undo: { run: (n: number) => act('undo', n) },
      },
    },
    {
      step: ({ input, results: r }, next) => {
        if (!r['nap']) return next.all([next.sleep(100_000, { key: 'nap' }), next.waitFor('go')])
        if (!r['go']) return next.waitFor('go')
        if (!r['late']) return next.waitFor('never', { key: 'late', timeoutMs: 1000 })
        if (!r['one'] || !r['two']) {
          return next.all([next.child(child, 1, { key: 'one' }), next.child(child, 2, { key: 'two' })])
        }
        if (!r['ask']) return next.interrupt('ask', 'ok?', { expiresInMs: 5000 })
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

/** Tells a story to its end: one process after the other, with the faults given for each. */
export async function tell(
  module: KernelModule,
  story: Story,
  store: Store,
  clock: VirtualClock,
  lives: readonly Faults[],
): Promise<Told> {
  const effects: Record<string, number> = {}
  let boundaries = 0
  for (let life = 0; life < 10; life++) {
    const process = simulatedProcess(store, clock, lives[life] ?? {})
    const told = await process.finish(live(module, story, process, effects))
    boundaries = Math.max(boundaries, process.boundaries())
    if (told !== 'crashed') return { ...told, effects, boundaries }
  }
  throw new Error('the story does not end')
}

async function live(module: KernelModule, story: Story, process: SimulatedProcess, effects: Record<string, number>) {
  const { store, clock, owner } = process
  const { child, parent } = workflowsOf(module, process, effects)
  const options = { store, clock, owner, leaseMs: LEASE_MS, onWarning: () => undefined }
  const kernel = module.createKernel({ ...options, workflows: [child, parent] })
  const started = await kernel.start(parent, story, { runId: 'story' })
  await kernel.recover()
  let outcome = await answerUntilEnd(kernel, process, started)
  if (outcome.status === 'continued') {
    outcome = await answerUntilEnd(kernel, process, await kernel.run(outcome.newRunId))
  }
  await untilQuiet(kernel, process)
  const { items } = await kernel.list({})
  const faults = await Promise.all(items.map(async (row) => faultsOf(kernel, row)))
  await kernel[Symbol.asyncDispose]()
  return { outcome, faults: faults.flat(), runs: items.length }
}

/** Does what the outside does: sends the signal, settles what is in doubt, cancels, lets time pass. */
async function answerUntilEnd(kernel: Kernel, process: SimulatedProcess, first: Outcome): Promise<Outcome> {
  let outcome = first
  for (let turn = 0; turn < 100 && outcome.status === 'blocked'; turn++) {
    const { runId, blockedOn, wakeAt } = outcome
    const isOpen = (key: string): boolean => blockedOn.some((item) => item.key === key)
    if (blockedOn.some(({ inDoubt }) => inDoubt === true)) {
      const succeeded = { status: 'succeeded', output: 5 } as const
      outcome = await kernel.settle(runId, { key: 'pay', outcome: succeeded, by: 'the ledger' })
    } else if (isOpen('go')) outcome = await kernel.signal(runId, { name: 'go', value: 7, id: 'go-1' })
    else if (isOpen('forever')) outcome = await kernel.cancel(runId, { reason: 'enough' })
    else {
      await pass(process, Math.max(1, (wakeAt ?? 0) - process.clock.now()))
      await kernel.recover()
      outcome = await kernel.run(runId)
    }
  }
  return outcome
}

async function untilQuiet(kernel: Kernel, process: SimulatedProcess): Promise<void> {
  for (let turn = 0; turn < 100; turn++) {
    const open = await kernel.list({ statuses: ['running', 'blocked'] }, { limit: 1 })
    const owing = await kernel.list({ owing: true }, { limit: 1 })
    if (open.items.length === 0 && owing.items.length === 0) return
    await pass(process, 1000)
    await kernel.recover()
  }
}

function pass({ clock }: SimulatedProcess, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.schedule(ms, resolve)
  })
}

async function faultsOf(kernel: Kernel, row: Awaited<ReturnType<Kernel['get']>>): Promise<string[]> {
  const { runId, status, owes, waiting } = row
  const verified = await kernel.verify(runId)
  return [
    ...(status === 'running' || status === 'blocked' ? [`${runId} is ${status}`] : []),
    ...(owes.length > 0 ? [`${runId} owes`] : []),
    ...(waiting > 0 ? [`${runId} has posts waiting`] : []),
    ...(verified.ok ? [] : [verified.message]),
  ]
}
