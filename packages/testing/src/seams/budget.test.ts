import { ActionError, budget, composePolicies, createKernel, defineWorkflow, retryWithBackoff } from '@varve/kernel'
import type { ActionContext, Outcome } from '@varve/kernel'
import type { StoredEvent } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { simulatedProcess, type SimulatedProcess } from '../simulated-process.ts'
import { virtualClock } from '../virtual-clock.ts'

/** Attempts that a run may make. */
const ATTEMPTS = 8

/** Asks on and on; every other attempt fails, and each costs ten tokens. */
function asking(process: SimulatedProcess) {
  return defineWorkflow(
    {
      ...{ name: 'asking', version: '1', input: z.null() },
      actions: {
        ask: {
          run: async (_: null, { attempt, use }: ActionContext) => {
            use({ tokens: 10 })
            await process.effect(() => undefined)
            if (attempt % 2 === 1) throw new ActionError('transient', 'busy')
          },
        },
      },
    },
    {
      step: ({ results }, next) => {
        for (let n = 0; ; n++) {
          const result = results[`ask:${n}`]
          if (result === undefined) return next.run('ask', null, { key: `ask:${n}` })
          if (result.status !== 'succeeded') return next.complete({ asked: n, result })
        }
      },
    },
  )
}

interface Asked {
  readonly outcome: Outcome<unknown>
  readonly log: readonly { readonly type: string; readonly data: { readonly usage?: { readonly tokens: number } } }[]
  readonly tokens: number
  readonly attempts: number
  readonly verified: boolean
  readonly crashes: number
  readonly boundaries: number
}

/** Asks to the end, one process after the other; the first of them die at the given boundaries. */
async function ask(...crashesAt: readonly number[]): Promise<Asked> {
  const clock = virtualClock()
  const store = memoryStore({ now: clock.now })
  const policy = composePolicies(retryWithBackoff({ maxAttempts: 50, baseMs: 100 }), budget({ attempts: ATTEMPTS }))
  for (let life = 0; life < 10; life++) {
    const crashAt = crashesAt[life]
    const process = simulatedProcess(store, clock, crashAt === undefined ? {} : { crashAt })
    const workflow = asking(process)
    const { owner } = process
    const options = { store: process.store, clock: process.clock, owner, policy, onWarning: () => undefined }
    const kernel = createKernel({ ...options, workflows: [workflow] })
    const outcome = await process.finish(kernel.start(workflow, null, { runId: 'r' }))
    if (outcome === 'crashed') continue
    const { tokens = 0 } = (await kernel.timeline('r')).spent.usage
    const { attempts } = (await kernel.timeline('r')).spent
    const { ok: verified } = await kernel.verify('r')
    const stored: StoredEvent[] = await Array.fromAsync(store.events.read('r'))
    const log = stored.map(({ type, body }) => ({ type, data: JSON.parse(body) as Asked['log'][number]['data'] }))
    return { outcome, log, tokens, attempts, verified, crashes: life, boundaries: process.boundaries() }
  }
  throw new Error('the run does not end')
}

function expectWithinBudget({ outcome, log, tokens, attempts, verified }: Asked, label: string): void {
  const count = (type: string): number => log.filter((event) => event.type === type).length
  expect(outcome, label).toMatchObject({
    status: 'completed',
    output: { result: { error: { code: 'BUDGET_EXCEEDED' } } },
  })
  expect(verified, label).toBe(true)
  // What was granted, be it a request or a retry; what a crash made necessary comes on top.
  const granted = count('ActionRequested') + count('ActionAttemptFailed')
  expect(granted, label).toBeLessThanOrEqual(ATTEMPTS)
  expect(attempts, label).toBeGreaterThanOrEqual(ATTEMPTS)
  expect(attempts, label).toBeLessThanOrEqual(granted + count('ActionAttemptAbandoned'))
  // Every outcome has its ten tokens, once.
  const outcomes = count('ActionSucceeded') + count('ActionFailed') + count('ActionAttemptFailed')
  expect(tokens, label).toBe(10 * outcomes)
  expect(
    log.reduce((sum, { data }) => sum + (data.usage?.tokens ?? 0), 0),
    label,
  ).toBe(tokens)
}

test('a run asks until its budget is spent, when nothing goes wrong', async () => {
  const asked = await ask()

  expectWithinBudget(asked, 'undisturbed')
  expect(asked).toMatchObject({ attempts: ATTEMPTS, outcome: { output: { asked: 4, result: { status: 'denied' } } } })
})

test('no crash gives a budget back, or loses or repeats what was used', { timeout: 60_000 }, async () => {
  const { boundaries } = await ask()

  let crashes = 0
  for (let first = 1; first <= boundaries; first++) {
    for (const second of [undefined, 2, 7]) {
      const asked = await ask(...(second === undefined ? [first] : [first, second]))
      expectWithinBudget(asked, `crashes at ${first} and ${second ?? 'never again'}`)
      crashes += asked.crashes
    }
  }

  expect(crashes).toBeGreaterThan(3 * boundaries)
})
