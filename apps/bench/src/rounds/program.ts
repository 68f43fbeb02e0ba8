import type { Site } from '../sites/site.ts'

/** What came out of doing something once, by names that people understand: `steps/s`, `ms`. */
export type Figures = Readonly<Record<string, number>>

/** One way to do the work of a workload on one store. */
export interface Program {
  /** `varve`, `plain`, or with what is different about it behind a comma. */
  readonly name: string
  /** Does the work once. */
  readonly measure: () => Promise<Figures>
  /** True when it collects all garbage, which drops compiled code, too: it is measured when all others have been. */
  readonly collects?: true
}

/** Programs that are ready to be measured, and what they hold until then. */
export interface Prepared {
  readonly programs: readonly Program[]
  readonly close?: () => Promise<void>
}

/** How much is done. */
export interface Amounts {
  /** Sequential steps of one run. */
  readonly steps: number
  /** Runs of five steps each. */
  readonly runs: number
  /** Recorded steps of the run that is resumed. */
  readonly recorded: number
  /** Actions of the fan-out. */
  readonly fan: number
  /** Starts that an idle worker hears of. */
  readonly starts: number
  /** Runs in the index of the larger store. */
  readonly indexed: number
  /** Steps of the longer run. */
  readonly longest: number
  /** Timers of the run that has more of them. */
  readonly timers: number
  /** States of the plan. */
  readonly states: number
  /** MiB of the artifact. */
  readonly artifact: number
}

/** Work that is done by Varve and by plain programs alike. */
export interface Workload {
  readonly title: string
  /**
   * Rounds before the first that counts, by default one. More for work that is over soon: of code that has hardly run the language
   * has compiled nothing yet, or not for good, which costs whoever has more code more.
   */
  readonly warmUps?: number
  readonly prepare: (site: Site, amounts: Amounts) => Promise<Prepared>
}
