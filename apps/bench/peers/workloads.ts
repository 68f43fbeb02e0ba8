/** What is measured, in the order in which it is. */
export const workloads = ['W1', 'W2', 'W3', 'W3 2k', 'W3 1k', 'W3 all', 'W4', 'W5', 'W5 direct'] as const

/** What is measured. */
export type Workload = (typeof workloads)[number]

/** How much of each workload there is. */
export interface Amounts {
  readonly sequenceSteps: number
  readonly runs: number
  readonly stepsOfRun: number
  /** Of `W3` and of `W3 all`; `W3 2k` and `W3 1k` are for systems that record fewer, in a minute or at all. */
  readonly resumedSteps: Readonly<Record<'W3' | 'W3 2k' | 'W3 1k', number>>
  readonly fanOutSteps: number
  readonly starts: number
}
