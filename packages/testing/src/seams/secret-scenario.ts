import {
  ActionError,
  createKernel,
  defineWorkflow,
  secret,
  secretKeys,
  secretRef,
  secretSchema,
  type Kernel,
  type Outcome,
  type Secret,
} from '@varve/kernel'
import type { Store } from '@varve/store'
import { z } from 'zod'
import { simulatedProcess, type SimulatedProcess } from '../simulated-process.ts'
import type { VirtualClock } from '../virtual-clock.ts'

/** What must be found nowhere: one value for every way in. */
export const SECRETS = {
  started: 'sk-start-11-battery',
  signaled: 'sk-signal-22-staple',
  answered: 'sk-answer-33-horse',
  returned: 'sk-return-44-correct',
  ofChild: 'sk-child-55-umbrella',
  settled: 'sk-settle-66-quartz',
  configured: 'sk-config-77-lantern',
} as const

/** What is left when the scenario is over. */
export interface Kept {
  readonly outcome: Outcome
  /** What handlers were given, in every attempt of every process. */
  readonly given: readonly unknown[]
  /** What was warned of, in every process. */
  readonly warnings: readonly string[]
  readonly crashes: number
}

const keys = secretKeys({ current: 'k1', keys: { k1: new Uint8Array(32).fill(42) } })
const LEASE_MS = 30_000
const token = secretSchema(z.string())

/** Notes what a handler was given, and answers for it. */
type See = <T>(given: unknown, answer: T) => T

/** Trades one secret for another. */
function trading(see: See) {
  return defineWorkflow(
    {
      ...{ name: 'child', version: '1', input: z.object({ started: token }) },
      actions: {
        trade: { run: (input: { started: string }) => see(input, { traded: secret(SECRETS.ofChild) }) },
      },
    },
    {
      step: ({ input, results: { trade } }, next) =>
        trade?.status === 'succeeded' ? next.complete(trade.output) : next.run('trade', { started: input.started }),
    },
  )
}

/** Takes secrets in on every way and passes them all on: to a child, a successor, and to actions that fail loudly. */
function workflowsOf(see: See) {
  const child = trading(see)
  const parent = defineWorkflow(
    {
      ...{ name: 'parent', version: '1', input: z.object({ started: token, again: z.boolean() }) },
      signals: { go: z.object({ token }) },
      interrupts: { ask: { ask: z.null(), answer: z.object({ token }) } },
      actions: {
        login: { run: (input: { key: string }) => see(input, { session: secret(SECRETS.returned) }) },
        pay: {
          effect: 'at-most-once',
          run: (input: { card: string }): { receipt: Secret<string> } => {
            see(input, null)
            throw new Error(`the line broke while ${input.card} was sent`)
          },
        },
        shout: {
          retry: { maxAttempts: 2, baseMs: 0 },
          run: (input: { all: readonly unknown[] }): null => {
            see(input, null)
            throw new ActionError('transient', `refused: ${JSON.stringify(input)}`)
          },
        },
        whisper: { run: (input: { all: readonly unknown[] }) => see(input, { echo: input.all }) },
      },
    },
    {
      step: ({ input, results: r }, next) => {
        const output = (key: string): unknown => {
          const result = r[key]
          return result !== undefined && 'output' in result ? result.output : null
        }
        if (!r['login'] || !r['child']) {
          return next.all([
            next.run('login', { key: secretRef('configured') }),
            next.child(child, { started: input.started }),
          ])
        }
        if (!r['go']) return next.waitFor('go')
        if (!r['ask']) return next.interrupt('ask', null)
        if (!r['pay']) return next.run('pay', { card: input.started })
        const all = [input.started, ...['login', 'child', 'go', 'ask', 'pay'].map(output)]
        if (!r['shout']) return next.run('shout', { all })
        if (!r['whisper']) return next.run('whisper', { all })
        if (input.again) return next.continueAsNew({ started: input.started, again: false })
        return next.complete('done')
      },
    },
  )
  return { child, parent }
}

/**
 * Plays the scenario to its end: one process after the other, of which those given die at a boundary, as long as they get
 * there.
 */
export async function keepSecrets(store: Store, clock: VirtualClock, crashesAt: readonly number[] = []): Promise<Kept> {
  const given: unknown[] = []
  const warnings: string[] = []
  for (let crashes = 0; crashes <= crashesAt.length; crashes++) {
    const crashAt = crashesAt[crashes]
    const process = simulatedProcess(store, clock, crashAt === undefined ? {} : { crashAt })
    const outcome = await process.finish(live(process, given, warnings))
    if (outcome !== 'crashed') return { outcome, given, warnings, crashes }
  }
  throw new Error('the scenario does not end')
}

async function live(process: SimulatedProcess, given: unknown[], warnings: string[]): Promise<Outcome> {
  const { store, clock, owner } = process
  const { child, parent } = workflowsOf((seen, answer) => {
    given.push(seen)
    return answer
  })
  const secrets = { keys, resolve: (name: string) => SECRETS[name as keyof typeof SECRETS] }
  const onWarning = (warning: Error): void => void warnings.push(`${warning.message} ${warning.stack ?? ''}`)
  const kernel = createKernel({
    ...{ store, clock, owner, leaseMs: LEASE_MS, onWarning, secrets },
    workflows: [child, parent],
  })
  const input = { started: secret(SECRETS.started), again: true }
  let outcome: Outcome = await kernel.start(parent, input, { runId: 'r' })
  await kernel.recover()
  for (let turn = 0; turn < 50 && (outcome.status === 'blocked' || outcome.status === 'continued'); turn++) {
    outcome = await moved(kernel, outcome, process)
  }
  for (const { runId } of (await kernel.list()).items) {
    const verified = await kernel.verify(runId)
    if (!verified.ok) throw new Error(`${runId}: ${verified.message}`)
  }
  await kernel[Symbol.asyncDispose]()
  return outcome
}

async function moved(
  kernel: Kernel,
  outcome: Extract<Outcome, { status: 'blocked' | 'continued' }>,
  process: SimulatedProcess,
): Promise<Outcome> {
  if (outcome.status === 'continued') return kernel.run(outcome.newRunId)
  const { runId, blockedOn } = outcome
  const isOpen = (key: string): boolean => blockedOn.some((item) => item.key === key)
  if (isOpen('go')) {
    return kernel.signal(runId, { name: 'go', id: 'go-1', value: { token: secret(SECRETS.signaled) } })
  }
  if (isOpen('ask')) return kernel.resume(runId, { key: 'ask', value: { token: secret(SECRETS.answered) } })
  if (isOpen('pay')) {
    const verdict = { status: 'succeeded', output: { receipt: secret(SECRETS.settled) } } as const
    return kernel.settle(runId, { key: 'pay', outcome: verdict })
  }
  await new Promise<void>((resolve) => {
    process.clock.schedule(LEASE_MS, resolve)
  })
  await kernel.recover()
  return kernel.run(runId)
}
