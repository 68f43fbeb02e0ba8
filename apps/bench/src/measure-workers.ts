import { createKernel } from '@varve/kernel'
import { timeDirect, timeDispatched, type DrivenRuns, type RunAmounts } from './measures/dispatch.ts'
import { timeLatencies, type Starter } from './measures/latency.ts'
import { sequenceOf } from './measures/steps.ts'
import { median, percentile } from './statistics.ts'
import type { Target, TargetName } from './targets/target.ts'
import { totalOf, type CallCounts } from './workers/call-counts.ts'
import { workerProcess } from './workers/worker-process.ts'
import { ownWorkplace, type Workplace } from './workers/workplace.ts'

/** Steps of a run that workers drive. */
const STEPS = 5

/** What was measured of workers on one store. */
export interface MeasuredWorkers {
  readonly store: TargetName
  readonly rounds: number
  readonly runs: number
  /** Of each run. */
  readonly steps: number
  /** Of the database without Varve, one after the other: what a step cannot do without. */
  readonly rawCommitsPerSecond: number
  readonly driven: readonly MeasuredDriving[]
  readonly latencies: readonly MeasuredLatency[]
}

/** What was measured of one way to drive runs. Rates, ratios and calls are medians over the rounds. */
export interface MeasuredDriving {
  readonly way: string
  readonly runsPerSecond: number
  /** In the slowest and in the fastest round. */
  readonly runsPerSecondWithin: readonly [number, number]
  readonly stepsPerSecond: number
  /** Steps to raw commits of the same round. */
  readonly ofRaw: number
  /** Runs to those driven directly in the same round. */
  readonly ofDirect: number
  /** Of the store, by whoever starts and drives a run. */
  readonly callsPerRun: number
  /** The same by name, of the last round. */
  readonly callsByName: CallCounts
}

/** How long a run waits for an idle worker, in ms, over all rounds. */
export interface MeasuredLatency {
  /** Where the run was started: in the worker's process or in another one. */
  readonly from: 'worker' | 'elsewhere'
  /** Whether the store tells of due runs; else the worker has to look. */
  readonly notifies: boolean
  readonly starts: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** How much is measured of workers. */
export interface WorkerAmounts {
  readonly rounds: number
  readonly runs: number
  readonly starts: number
}

interface Round {
  readonly rawMs: number
  readonly ways: ReadonlyMap<string, DrivenRuns>
  readonly latencies: ReadonlyMap<MeasuredLatency['from'], readonly number[]>
}

/** Measures workers in turns: in every round each store has all of its measures right after each other. */
export async function measureWorkers(
  targets: readonly Target[],
  { rounds, runs, starts }: WorkerAmounts,
): Promise<readonly MeasuredWorkers[]> {
  const sites = await Promise.all(targets.map(siteOf))
  try {
    const measured = new Map<Site, Round[]>(sites.map((site) => [site, []]))
    for (const site of sites) await measureRound(site, { runs: Math.ceil(runs / 10), starts: 1 })
    for (let round = 0; round < rounds; round++) {
      for (const site of sites) measured.get(site)?.push(await measureRound(site, { runs, starts }))
    }
    return sites.map((site) => ({
      ...{ store: site.target.name, rounds, runs, steps: STEPS },
      ...summaryOf(measured.get(site) ?? [], runs, site.notifies),
    }))
  } finally {
    for (const site of sites)
      for (const workplace of [site.own, ...site.processes]) await workplace[Symbol.asyncDispose]()
  }
}

/** A store, and who works on it. */
interface Site {
  readonly target: Target
  readonly own: Workplace & Starter
  /** Other processes; none for a store that no other process can open. */
  readonly processes: readonly Workplace[]
  readonly notifies: boolean
}

async function siteOf(target: Target): Promise<Site> {
  const { location } = target
  const own = ownWorkplace(target.store)
  const { notifies } = own.kernel.dispatcher
  const processes = location && (await Promise.all([workerProcess(location), workerProcess(location)]))
  return { target, own, processes: processes ?? [], notifies }
}

async function measureRound(
  { target: { store, commitRows }, own, processes, notifies }: Site,
  { runs, starts }: { readonly runs: number; readonly starts: number },
): Promise<Round> {
  const amounts: RunAmounts = { runs, steps: STEPS }
  const startedAt = performance.now()
  await commitRows(runs * STEPS)
  const rawMs = performance.now() - startedAt
  const ways = new Map([['start', await timeDirect(store, amounts)]])
  // What cannot be driven by another process is driven by this one.
  const crews = processes.length === 0 ? [[own]] : [processes.slice(0, 1), processes]
  for (const crew of crews) {
    const name = processes.length === 0 ? 'a worker here' : `${crew.length} process${crew.length === 1 ? '' : 'es'}`
    ways.set(`${name}, enqueued before`, await timeDispatched(store, crew, { ...amounts, enqueued: 'before' }))
    ways.set(`${name}, enqueued meanwhile`, await timeDispatched(store, crew, { ...amounts, enqueued: 'meanwhile' }))
  }
  // A worker that has to look does so every half second.
  const spread = { starts, spreadMs: notifies ? 20 : 500 }
  const latencies: [MeasuredLatency['from'], readonly number[]][] = [['worker', await timeLatencies(own, own, spread)]]
  const [process] = processes
  if (process !== undefined) {
    const sequence = sequenceOf()
    const kernel = createKernel({ store, workflows: [sequence] })
    latencies.push(['elsewhere', await timeLatencies({ kernel, sequence }, process, spread)])
    await kernel[Symbol.asyncDispose]()
  }
  return { rawMs, ways, latencies: new Map(latencies) }
}

function summaryOf(
  rounds: readonly Round[],
  runs: number,
  notifies: boolean,
): Pick<MeasuredWorkers, 'rawCommitsPerSecond' | 'driven' | 'latencies'> {
  const [last] = rounds.slice(-1)
  return {
    rawCommitsPerSecond: median(rounds.map(({ rawMs }) => ((runs * STEPS) / rawMs) * 1000)),
    driven: [...(last?.ways ?? [])].map(([way, { calls }]) => ({
      ...drivingOf(rounds, way, runs),
      callsByName: calls,
    })),
    latencies: [...(last?.latencies.keys() ?? [])].map((from) => {
      const all = rounds.flatMap(({ latencies }) => latencies.get(from) ?? [])
      return { from, notifies, starts: all.length, p50Ms: percentile(all, 0.5), p99Ms: percentile(all, 0.99) }
    }),
  }
}

function drivingOf(rounds: readonly Round[], way: string, runs: number): Omit<MeasuredDriving, 'callsByName'> {
  const msOf = ({ ways }: Round, name: string): number => ways.get(name)?.ms ?? NaN
  const runsPerSecond = rounds.map((round) => (runs / msOf(round, way)) * 1000)
  const rate = median(runsPerSecond)
  return {
    way,
    runsPerSecond: rate,
    runsPerSecondWithin: [Math.min(...runsPerSecond), Math.max(...runsPerSecond)],
    stepsPerSecond: rate * STEPS,
    ofRaw: median(rounds.map((round) => round.rawMs / msOf(round, way))),
    ofDirect: median(rounds.map((round) => msOf(round, 'start') / msOf(round, way))),
    callsPerRun: median(rounds.map(({ ways }) => totalOf(ways.get(way)?.calls ?? {}) / runs)),
  }
}
