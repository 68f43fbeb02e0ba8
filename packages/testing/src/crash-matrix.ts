import { createKernel, type Workflow } from '@varve/kernel'
import { TestingError, type CrashFailure } from './errors.ts'
import { checkMatrixOptions, checkScenario } from './given.ts'
import {
  formatPoints,
  isLostAnswer,
  parsePoints,
  pointsAlong,
  sampleOf,
  type CrashPoint,
} from './matrix/crash-point.ts'
import { judge } from './matrix/judge.ts'
import { playCase, type AnyScenario, type PlayedCase } from './matrix/play-case.ts'
import type { CrashScenario } from './matrix/scenario.ts'

/** Which cases are played. */
export interface CrashMatrixOptions {
  /**
   * After every single crash a second one in the process that takes over: at each of its boundaries, at so many of them (a whole
   * number from 0) drawn by the seed, or not at all. Default a sample of 200, seed 1.
   */
  readonly pairs?: 'all' | 'none' | { readonly sample: number; readonly seed?: number }
  /** Which points count, of those that there are; for a matrix of fewer cases. At least one has to. Default: all. */
  readonly points?: (point: string) => boolean
  /** Plays this case alone: what a failure says, such as `append:3:after` or `append:3:after then action:1:before`. */
  readonly only?: string
  /** Stops after so many failures, at least 1. Default 5. */
  readonly maxFailures?: number
}

/** What was played. */
export interface CrashReport {
  /** Cases with a crash or a lost answer. */
  readonly cases: number
  /** Points along the undisturbed run, each of which was one case. */
  readonly points: readonly string[]
  /** What was compared of each run, by run id, as the undisturbed scenario has it. */
  readonly runs: ReadonlyMap<string, unknown>
  /** How often something took effect under each key when nothing went wrong. */
  readonly effects: ReadonlyMap<string, number>
}

/**
 * Proves that a scenario comes to the same whatever crashes. Plays it undisturbed, twice; then once for each boundary, which
 * is before and after every action and every change of the store, with a process that dies there, and once for each answer
 * of the store with that answer lost; then for pairs of them. Fresh processes with fresh kernels take over. Each time it must
 * come to the same runs with the same outcomes and states, none of which has failed unless it has to; at-most-once actions never run twice; others repeat only under the
 * same keys; no handler runs before its request is durable; logs verify; nothing is left open, owed or waiting.
 *
 * Time is virtual, so days pass at once. What cannot be the same, such as a time in a state, is left out with `compare`.
 *
 * @throws TestingError `NOT_CRASH_PROOF` with the cases that failed | `INVALID_SCENARIO` | `PROCESS_HANGS`.
 */
export async function crashMatrix<const W extends Readonly<Record<string, Workflow>>, Outside = undefined>(
  scenario: CrashScenario<W, Outside>,
  options: CrashMatrixOptions = {},
): Promise<CrashReport> {
  return crashMatrixOf(scenario as unknown as AnyScenario, options, createKernel)
}

/** As {@link crashMatrix}, with the kernel of another module: how a broken kernel is shown to be caught. */
export async function crashMatrixOf(
  scenario: AnyScenario,
  options: CrashMatrixOptions,
  create: typeof createKernel,
): Promise<CrashReport> {
  checkScenario(scenario)
  checkMatrixOptions(options)
  const { pairs = { sample: 200 }, points: isWanted = () => true, only, maxFailures = 5 } = options
  const undisturbed = await playCase(scenario, [], create)
  const again = judge(await playCase(scenario, [], create), undisturbed, false)
  if (again.length > 0) {
    const failures = [{ crashes: formatPoints([]), faults: again }]
    throw new TestingError('INVALID_SCENARIO', `something is wrong even without a crash${listed(failures)}`, failures)
  }
  const failures: CrashFailure[] = []
  const points = pointsAlong(undisturbed.after).filter(isWanted)
  if (only === undefined && points.length === 0) throw nothingWanted(undisturbed)
  let cases = 0
  /** @returns where the process that came through could have been struck next. */
  const test = async (crashes: readonly CrashPoint[]): Promise<readonly CrashPoint[]> => {
    cases++
    const { faults, after } = await tryCase({ scenario, crashes, undisturbed, create, mustStrike: only !== undefined })
    if (faults.length > 0) failures.push({ crashes: formatPoints(crashes), faults })
    if (failures.length >= maxFailures) throw notCrashProof(failures, cases)
    return pointsAlong(after).filter(isWanted)
  }
  if (only !== undefined) await test(parsePoints(only))
  else {
    const seconds: (readonly CrashPoint[])[] = []
    for (const point of points) for (const second of await test([point])) seconds.push([point, second])
    for (const pair of chosen(seconds, pairs)) await test(pair)
  }
  if (failures.length > 0) throw notCrashProof(failures, cases)
  const effects = new Map([...undisturbed.record.effects].map(([key, { times }]) => [key, times]))
  return { cases, points, runs: undisturbed.runs, effects }
}

function nothingWanted({ after }: PlayedCase): TestingError {
  if (after.length === 0) {
    return new TestingError('INVALID_SCENARIO', 'nothing changes in the store: begin starts no run of its kernel')
  }
  const text = `points wants none, so no case would be played and nothing proven; there are ${pointsAlong(after).join(', ')}`
  return new TestingError('INVALID_SCENARIO', text)
}

function chosen<T>(all: readonly T[], pairs: NonNullable<CrashMatrixOptions['pairs']>): readonly T[] {
  if (pairs === 'none') return []
  return pairs === 'all' ? all : sampleOf(all, pairs.sample, pairs.seed ?? 1)
}

interface Trial {
  readonly scenario: AnyScenario
  readonly crashes: readonly CrashPoint[]
  readonly undisturbed: PlayedCase
  readonly create: typeof createKernel
  /** A case that somebody asked for must not pass because its boundaries are not there. */
  readonly mustStrike: boolean
}

async function tryCase({ scenario, crashes, undisturbed, create, mustStrike }: Trial): Promise<Tried> {
  let played: PlayedCase
  try {
    played = await playCase(scenario, crashes, create)
  } catch (error) {
    return { faults: [error instanceof Error ? error.message : String(error)], after: [] }
  }
  if (mustStrike && !played.struck) {
    const text = `${formatPoints(crashes)} is not come to; the last process passes ${played.after.join(', ')}`
    throw new TestingError('INVALID_SCENARIO', text)
  }
  const crashed = crashes.some((point) => !isLostAnswer(point))
  return { faults: judge(played, undisturbed, crashed), after: played.after }
}

type Tried = Pick<PlayedCase, 'faults' | 'after'>

function notCrashProof(failures: readonly CrashFailure[], cases: number): TestingError {
  const text = `${failures.length} of ${cases} cases came out otherwise; repeat one with \`only\`${listed(failures)}`
  return new TestingError('NOT_CRASH_PROOF', text, failures)
}

function listed(failures: readonly CrashFailure[]): string {
  return failures.map(({ crashes, faults }) => `\n  ${crashes}\n    ${faults.join('\n    ')}`).join('')
}
