import { checkOptions, isFrom, shown } from '@varve/store'
import { inDefinition, KernelError } from '../errors.ts'
import type { Denial, Policy, Spent } from './policy.ts'
import { isUsageName, USAGE_NAMES } from './usage-meter.ts'

/** What a run may spend. A bound that is left out bounds nothing. */
export interface BudgetOptions {
  /** Actions. */
  readonly requests?: number
  /** Attempts of all its actions together, retries included. */
  readonly attempts?: number
  /**
   * What handlers report with `ctx.use`, by name. It is known only afterwards: what is under way is not stopped, so a run may
   * end above its budget by what its last attempts used.
   */
  readonly usage?: Readonly<Record<string, number>>
  /** Time from the start in which actions may be asked for and tried again, in ms. It ends no run: `deadlineMs` does. */
  readonly wallClockMs?: number
  /** How often the step may ask for actions upon something new. */
  readonly turns?: number
}

const POLICY = 'budget'

/**
 * Denies the actions and the retries for which a run has nothing left, with the code `BUDGET_EXCEEDED`. Counted by the kernel
 * from the log, per run; a run that continues another one, and a fork, go on with what was spent. An attempt that follows
 * a crash counts and is never denied: only it can tell what became of the one before.
 *
 * @throws KernelError `INVALID_DEFINITION`.
 */
export function budget(options: BudgetOptions): Policy {
  checkBudget(options)
  return {
    name: POLICY,
    authorize: ({ spent }) => overAny([...boundsOnAll(options, spent), ...boundsOnRequests(options, spent)]),
    authorizeRetry: ({ spent }) => overAny(boundsOnAll(options, spent)),
  }
}

interface Bound {
  readonly what: string
  readonly limit: number | undefined
  readonly spent: number
}

/** Bounds on whatever is executed. */
function boundsOnAll({ attempts, usage = {}, wallClockMs }: BudgetOptions, spent: Spent): Bound[] {
  const used = new Map(Object.entries(spent.usage))
  return [
    { what: 'attempts', limit: attempts, spent: spent.attempts },
    { what: 'ms', limit: wallClockMs, spent: spent.wallClockMs },
    ...Object.entries(usage).map(([what, limit]) => ({ what, limit, spent: used.get(what) ?? 0 })),
  ]
}

function boundsOnRequests({ requests, turns }: BudgetOptions, spent: Spent): Bound[] {
  return [
    { what: 'requests', limit: requests, spent: spent.requests },
    // The turn that is being decided is counted already.
    { what: 'turns', limit: turns, spent: spent.turns - 1 },
  ]
}

function overAny(bounds: readonly Bound[]): Denial | undefined {
  for (const { what, limit, spent } of bounds) {
    if (limit === undefined || spent < limit) continue
    return { policy: POLICY, reason: `${spent} of ${limit} ${what} are spent`, code: 'BUDGET_EXCEEDED' }
  }
  return undefined
}

const COUNTS = ['requests', 'attempts', 'turns'] as const

function checkBudget(options: BudgetOptions): void {
  inDefinition(() => checkOptions('a budget', options))
  const { usage = {}, wallClockMs, requests: _r, attempts: _a, turns: _t, ...unknown } = options
  inDefinition(() => checkOptions('the usage of a budget', usage))
  for (const name of Object.keys(unknown)) throw invalid(`${name} is no bound`)
  for (const name of COUNTS) {
    const count = options[name]
    if (count !== undefined && !(Number.isSafeInteger(count) && count >= 0)) {
      throw invalid(`${name} must be a whole number from 0, got ${shown(count)}`)
    }
  }
  const amounts = Object.entries(usage).map(([name, amount]) => [`usage.${name}`, amount] as const)
  for (const [name, amount] of [...amounts, ['wallClockMs', wallClockMs] as const]) {
    if (amount === undefined && name === 'wallClockMs') continue
    if (!(isFrom(0, amount) && Number.isFinite(amount))) {
      throw invalid(`${name} must be a number from 0, got ${shown(amount)}`)
    }
  }
  const misnamed = Object.keys(usage).find((name) => !isUsageName(name))
  if (misnamed !== undefined) throw invalid(`usage ${JSON.stringify(misnamed)} is never reported: ${USAGE_NAMES}`)
  const bounds = [...COUNTS.map((name) => options[name]), wallClockMs].filter((bound) => bound !== undefined)
  if (bounds.length + amounts.length === 0) throw invalid('it bounds nothing')
}

function invalid(what: string): KernelError {
  const text = `budget: ${what}; the bounds are requests, attempts, turns, usage and wallClockMs`
  return new KernelError('INVALID_DEFINITION', text)
}
