import { median } from './statistics.ts'
import { timeAppends } from './measures/appends.ts'
import { countedStore, type Calls } from './measures/counted-store.ts'
import { timeOpening, timeReads, writeLongRun, type Opening, type ReadTimes } from './measures/reads.ts'
import { timePlans, type PlanTimes } from './measures/plans.ts'
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
  readonly reads: MeasuredReads
  readonly plan: MeasuredPlan
}

/** What was measured of a large plan; times are medians over the rounds. */
export interface MeasuredPlan extends PlanTimes {
  /** Scheduling to the commits of the same run. */
  readonly schedulingRatio: number
}

/** What was measured of reading one long run. */
export interface MeasuredReads {
  /** Of the run, in the first round; every opening adds three. */
  readonly events: number
  /** Of the bare loop that reads events, checks their chain and parses them. */
  readonly bareEventsPerSecond: number
  /** Of `replay`. */
  readonly replayEventsPerSecond: number
  /** Replay to the bare loop of the same round. */
  readonly replayRatio: number
  /** Of the bare loop that also seals each event again. */
  readonly bareSealsPerSecond: number
  /** Of `verify`. */
  readonly verifyEventsPerSecond: number
  /** Verify to the bare loop that seals, of the same round. */
  readonly verifyRatio: number
  /** From a signal to a kernel that has just been made until the run is blocked again. */
  readonly openingMs: number
  /** The most events that such a kernel read. */
  readonly openingEvents: number
}

interface Round extends ReadTimes, Opening {
  readonly plan: PlanTimes
  readonly raw: number
  readonly appends: number
  readonly steps: number
}

/** How much is measured. */
export interface Amounts {
  readonly rounds: number
  readonly steps: number
  /** Of the run that is read. */
  readonly events: number
  /** Of the plan that is run. */
  readonly states: number
}

/**
 * Measures stores in turns: in every round each store has its raw commits, its appends, its steps and its reads right
 * after each other. What the machine does meanwhile hits all alike, so the ratios are steadier than the rates.
 */
export async function measure(
  targets: readonly Target[],
  { rounds, steps, events, states }: Amounts,
): Promise<readonly Measured[]> {
  const calls = new Map<Target, Calls>()
  const longRuns = new Map<Target, string>()
  // Warms up as well.
  for (const target of targets) {
    calls.set(target, await countCalls(target, steps))
    const longRun = await writeLongRun(target.store, events)
    longRuns.set(target, longRun)
    await timeReads(target.store, longRun)
  }
  const results = new Map<Target, Round[]>(targets.map((target) => [target, []]))
  for (let round = 0; round < rounds; round++) {
    for (const target of targets)
      results.get(target)?.push(await measureRound(target, { steps, states, longRun: longRuns.get(target) ?? '' }))
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
      callsOfRun: calls.get(target) ?? { appends: 0, writes: 0, reads: 0, snapshots: 0, eventsRead: 0 },
      reads: readsOf(measured),
      plan: planOf(measured),
    }
  })
}

function readsOf(rounds: readonly Round[]): MeasuredReads {
  const perSecond = (msOf: (round: Round) => number): number =>
    median(rounds.map((round) => (round.events / msOf(round)) * 1000))
  return {
    events: Math.min(...rounds.map(({ events }) => events)),
    bareEventsPerSecond: perSecond(({ bareMs }) => bareMs),
    replayEventsPerSecond: perSecond(({ replayMs }) => replayMs),
    replayRatio: median(rounds.map(({ bareMs, replayMs }) => bareMs / replayMs)),
    bareSealsPerSecond: perSecond(({ bareSealMs }) => bareSealMs),
    verifyEventsPerSecond: perSecond(({ verifyMs }) => verifyMs),
    verifyRatio: median(rounds.map(({ bareSealMs, verifyMs }) => bareSealMs / verifyMs)),
    openingMs: median(rounds.map(({ openingMs }) => openingMs)),
    openingEvents: Math.max(...rounds.map(({ openingEvents }) => openingEvents)),
  }
}

function planOf(rounds: readonly Round[]): MeasuredPlan {
  const plans = rounds.map(({ plan }) => plan)
  return {
    states: Math.max(...plans.map(({ states }) => states)),
    firstMs: median(plans.map(({ firstMs }) => firstMs)),
    cachedMs: median(plans.map(({ cachedMs }) => cachedMs)),
    schedulingMs: median(plans.map(({ schedulingMs }) => schedulingMs)),
    commitsMs: median(plans.map(({ commitsMs }) => commitsMs)),
    schedulingRatio: median(plans.map(({ schedulingMs, commitsMs }) => schedulingMs / commitsMs)),
  }
}

async function countCalls(target: Target, steps: number): Promise<Calls> {
  const { store, calls } = countedStore(target.store)
  await timeSteps(store, steps)
  const counted = { ...calls }
  await timeAppends(target.store, steps)
  await target.commitRows(steps)
  return counted
}

/** One round: rates of writing, per second, and times of reading. */
async function measureRound(
  { store, commitRows }: Target,
  { steps: count, states, longRun }: { readonly steps: number; readonly states: number; readonly longRun: string },
): Promise<Round> {
  const startedAt = performance.now()
  await commitRows(count)
  const rawMs = performance.now() - startedAt
  const appendsMs = await timeAppends(store, count)
  const stepsMs = await timeSteps(store, count)
  const perSecond = (ms: number): number => (count / ms) * 1000
  const rates = { raw: perSecond(rawMs), appends: perSecond(appendsMs), steps: perSecond(stepsMs) }
  const reads = { ...(await timeReads(store, longRun)), ...(await timeOpening(store, longRun)) }
  return { ...rates, ...reads, plan: await timePlans(store, states) }
}
