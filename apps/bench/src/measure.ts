import { timeAppends } from './measures/appends.ts'
import { countedStore, type Calls } from './measures/counted-store.ts'
import { timeSteps } from './measures/steps.ts'
import type { Target, TargetName } from './targets/target.ts'

/** What was measured of one store. Rates and ratios are medians over the rounds. */
export interface Measured {
  readonly store: TargetName
  readonly rounds: number
  /** Raw commits, appends and steps in each round. */
  readonly steps: number
  /** Of the database without Varve. */
  readonly rawCommitsPerSecond: number
  readonly appendsPerSecond: number
  readonly stepsPerSecond: number
  /** Appends to raw commits of the same round. */
  readonly appendRatio: number
  /** Steps to raw commits of the same round. */
  readonly stepRatio: number
  /** What one run of `steps` actions asked of its store, from its start to its end. */
  readonly callsOfRun: Readonly<Calls>
}

interface Round {
  readonly raw: number
  readonly appends: number
  readonly steps: number
}

/**
 * Measures stores in turns: in every round each store has its raw commits, its appends and its steps right after each
 * other. What the machine does meanwhile hits all three alike, so the ratios are steadier than the rates.
 */
export async function measure(
  targets: readonly Target[],
  { rounds, steps }: { readonly rounds: number; readonly steps: number },
): Promise<readonly Measured[]> {
  const calls = new Map<Target, Calls>()
  // Warms up as well.
  for (const target of targets) calls.set(target, await countCalls(target, steps))
  const results = new Map<Target, Round[]>(targets.map((target) => [target, []]))
  for (let round = 0; round < rounds; round++) {
    for (const target of targets) results.get(target)?.push(await measureRound(target, steps))
  }
  return targets.map((target) => {
    const measured = results.get(target) ?? []
    return {
      ...{ store: target.name, rounds, steps },
      rawCommitsPerSecond: median(measured.map(({ raw }) => raw)),
      appendsPerSecond: median(measured.map(({ appends }) => appends)),
      stepsPerSecond: median(measured.map((round) => round.steps)),
      appendRatio: median(measured.map(({ appends, raw }) => appends / raw)),
      stepRatio: median(measured.map((round) => round.steps / round.raw)),
      callsOfRun: calls.get(target) ?? { appends: 0, writes: 0, reads: 0, snapshots: 0 },
    }
  })
}

async function countCalls(target: Target, steps: number): Promise<Calls> {
  const { store, calls } = countedStore(target.store)
  await timeSteps(store, steps)
  const counted = { ...calls }
  await timeAppends(target.store, steps)
  await target.commitRows(steps)
  return counted
}

/** Rates of one round, per second. */
async function measureRound({ store, commitRows }: Target, count: number): Promise<Round> {
  const startedAt = performance.now()
  await commitRows(count)
  const rawMs = performance.now() - startedAt
  const appendsMs = await timeAppends(store, count)
  const stepsMs = await timeSteps(store, count)
  const perSecond = (ms: number): number => (count / ms) * 1000
  return { raw: perSecond(rawMs), appends: perSecond(appendsMs), steps: perSecond(stepsMs) }
}

/** The middle of some numbers. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2
}
