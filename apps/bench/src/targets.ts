import { siteNames, slowNames, type PlaceName } from './sites/site.ts'

/** What has to be reached, as a ratio of one round or as a figure. */
export interface Target {
  /** Title of the workload. */
  readonly workload: string
  readonly stores: readonly PlaceName[]
  readonly figure: string
  /** The program that has to reach it. */
  readonly of: string
  /** The program whose figure of the same round is the divisor. */
  readonly to?: string
  /** The program whose figure of the same round is taken off. */
  readonly less?: string
  /** The divisor on the reference machine; on this one it is as much more, or less, as the calibration loop is faster. */
  readonly perMachine?: number
  readonly atLeast?: number
  readonly atMost?: number
}

const databases = ['sqlite-full', 'sqlite-normal', 'postgres'] as const

const many = { runs: 'varve, 100000 runs', steps: 'varve, 5000 steps', timers: 'varve, 10000 timers' }

/**
 * A step costs what every step costs, and so much for each byte, which must not rise with their number. Once it does,
 * from 128 KiB on, probably because V8 keeps large texts on pages of their own: a step, and no slope.
 */
const blobTargets: readonly Target[] = [
  { figure: 'ms/step', of: 'varve, 100 B payloads', to: 'varve, 100 steps', atMost: 1.3 },
  { figure: 'ms/step', of: 'varve, 1 KiB payloads', to: 'varve, 100 B payloads', atMost: 1.3 },
  ...['ms/MiB', 'verify ms/MiB'].flatMap((figure) => [
    { figure, of: 'varve, 100 KiB payloads', to: 'varve, 10 KiB payloads', atMost: 1.3 },
    { figure, of: 'varve, 256 KiB payloads', to: 'varve, 100 KiB payloads', atMost: 2.5 },
    { figure, of: 'varve, 1 MiB payloads', to: 'varve, 256 KiB payloads', atMost: 1.3 },
  ]),
].map((target) => ({ workload: 'Growth', stores: siteNames, ...target }))

const growthTargets: readonly Target[] = [
  ...['claim ms', 'list ms', 'list by tag ms', 'create ms'].map((figure) => ({
    ...{ workload: 'Growth', stores: siteNames, figure, of: many.runs, to: 'varve, 10 runs', atMost: 2 },
  })),
  { workload: 'Growth', stores: siteNames, figure: 'ms/step', of: many.steps, to: 'varve, 100 steps', atMost: 1.3 },
  { workload: 'Growth', stores: ['memory'], figure: 'ms/timer', of: many.timers, to: 'varve, 100 timers', atMost: 2 },
  ...blobTargets,
]

const artifactTargets: readonly Target[] = [
  { figure: 'MiB/s', of: 'varve, in', to: 'plain', atLeast: 0.8 },
  // How long a gigabyte takes is the disk's, which may write less of it at a time than of a few megabytes.
  ...['varve, in', 'varve, out'].flatMap((program) => [
    { figure: 'CPU ms/MiB', of: `${program}, 32 MiB`, to: `${program}, 1 MiB`, atMost: 2 },
    { figure: 'CPU ms/MiB', of: `${program}, 256 MiB`, to: `${program}, 32 MiB`, atMost: 2 },
    { figure: 'CPU ms/MiB', of: program, to: `${program}, 256 MiB`, atMost: 2 },
  ]),
  { figure: 'held MiB', of: 'varve, memory', atMost: 16 },
].map((target) => ({ workload: 'Artifacts', stores: ['artifacts-fs'], ...target }))

/** All targets. A ratio between programs holds on any machine; what is perMachine or a time is worth less elsewhere. */
export const targets: readonly Target[] = [
  { workload: 'W1 steps', stores: databases, figure: 'steps/s', of: 'varve', to: 'plain', atLeast: 0.75 },
  { workload: 'W1 steps', stores: ['memory'], figure: 'steps/s', of: 'varve', perMachine: 25_000, atLeast: 1 },
  // 0.45 ms where the plain program needs 0.28.
  { workload: 'W1 steps', stores: ['postgres'], figure: 'CPU ms/step', of: 'varve', to: 'plain', atMost: 0.45 / 0.28 },
  { workload: 'W2 runs', stores: databases, figure: 'runs/s', of: 'varve', to: 'plain', atLeast: 0.7 },
  { workload: 'W2 runs', stores: databases, figure: 'runs/s', of: 'varve, 1 worker', to: 'plain', atLeast: 0.55 },
  // Where each flush takes a millisecond more.
  { workload: 'W1 steps', stores: slowNames, figure: 'steps/s', of: 'varve', to: 'plain', atLeast: 0.85 },
  { workload: 'W2 runs', stores: slowNames, figure: 'runs/s', of: 'varve', to: 'plain', atLeast: 0.5 },
  { workload: 'W3 resume', stores: siteNames, figure: 'ms', of: 'varve', to: 'plain', atMost: 1.5 },
  {
    workload: 'W3 resume',
    stores: siteNames,
    figure: 'ms',
    of: 'varve, from a snapshot',
    less: 'plain, a tail',
    atMost: 5,
  },
  { workload: 'W3 resume', stores: siteNames, figure: 'held / log', of: 'varve, memory', atMost: 4 },
  { workload: 'W4 fan-out', stores: databases, figure: 'ms', of: 'varve', to: 'plain', atMost: 2 },
  { workload: 'W5 latency', stores: databases, figure: 'p50 ms', of: 'varve', to: 'plain', atMost: 1.5 },
  { workload: 'W5 latency', stores: ['postgres'], figure: 'p99 ms', of: 'varve', atMost: 15 },
  {
    ...{ workload: 'W5 latency', stores: ['postgres'], figure: 'p50 ms' },
    ...{ of: 'varve, another process', to: 'plain, another process', atMost: 1.5 },
  },
  { workload: 'W5 latency', stores: ['postgres'], figure: 'p99 ms', of: 'varve, another process', atMost: 15 },
  { workload: 'Reads', stores: siteNames, figure: 'events/s', of: 'varve, replay', to: 'plain', atLeast: 0.6 },
  {
    workload: 'Reads',
    stores: siteNames,
    figure: 'events/s',
    of: 'varve, verify',
    to: 'plain, sealing again',
    atLeast: 0.5,
  },
  // What there is more of must not make the same work dearer.
  ...growthTargets,
  // As the plan engine's own figures were on the reference machine.
  {
    workload: 'Plans',
    stores: ['sqlite-full', 'sqlite-normal'],
    figure: 'scheduling / commits',
    of: 'varve',
    atMost: 0.25,
  },
  { workload: 'Plans', stores: ['memory'], figure: 'cached run ms', of: 'varve', perMachine: 1_000, atMost: 1 },
  {
    workload: 'Plans',
    stores: ['sqlite-full', 'sqlite-normal'],
    figure: 'cached run ms',
    of: 'varve',
    perMachine: 3_000,
    atMost: 1,
  },
  ...artifactTargets,
  // On the server, snapshots count, too: one in 500 events, or fewer.
  { workload: 'Counts', stores: siteNames, figure: 'appends', of: 'varve, a step', atMost: 1 },
  { workload: 'Counts', stores: siteNames, figure: 'other calls', of: 'varve, a step', atMost: 0 },
  { workload: 'Counts', stores: ['postgres'], figure: 'statements', of: 'varve, a step on the server', atMost: 1.05 },
  { workload: 'Counts', stores: ['postgres'], figure: 'commits', of: 'varve, a step on the server', atMost: 1.05 },
]
