import type { AppendOptions, Claim, Debt, PostRejection, RunCreation } from '@varve/store'
import type { Turn } from './turn.ts'

/** What an append is made of besides the turn's events. */
export interface Appending {
  readonly turn: Turn
  /** Absent while the run is being created. */
  readonly claim: Claim | undefined
  readonly create: RunCreation | undefined
  /** Ids of the posts that the turn carries. */
  readonly take: readonly string[]
  readonly reject: readonly PostRejection[]
  /** All that the run owes from now on; undefined when the row says so already. */
  readonly owes: readonly Debt[] | undefined
}

/** What a turn's append compares and sets; the row is told nothing that it knows already. */
export function appendOptions(appending: Appending): AppendOptions {
  const { turn, claim, create, take, reject, owes } = appending
  const { progressed, ...row } = turn.run
  const recovered = progressed === true && (claim?.recoveries ?? 0) > 0
  return {
    expectedHead: turn.expectedHead,
    fencingToken: claim?.token ?? 0,
    run: {
      ...row,
      ...(owes !== undefined && { owes }),
      ...(recovered && { progressed }),
      ...(claim === undefined && create !== undefined && { create }),
    },
    ...(take.length > 0 && { take }),
    ...(reject.length > 0 && { reject }),
  }
}
