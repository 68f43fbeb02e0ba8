import type { AppendOptions, Claim, Debt, PostRejection, RunCreation, RunUpdate } from '@varve/store'
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
  /** True when the run rests after this, and is given back. */
  readonly rests: boolean
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** What a turn's append compares and sets; the row is told nothing that it knows already. */
export function appendOptions(appending: Appending): AppendOptions {
  const { turn, claim, create, take, reject, owes, rests } = appending
  const { progressed, status, blockedOn, wakeAt } = turn.run
  // Every turn comes by here, and most have none of what is set below.
  const run: Writable<RunUpdate> = { status, blockedOn, wakeAt }
  if (owes !== undefined) run.owes = owes
  if (progressed === true && (claim?.recoveries ?? 0) > 0) run.progressed = progressed
  if (claim === undefined && create !== undefined) run.create = create
  const options: Writable<AppendOptions> = {
    expectedHead: turn.expectedHead,
    fencingToken: claim?.token ?? 0,
    run,
  }
  if (take.length > 0) options.take = take
  if (reject.length > 0) options.reject = reject
  if (rests) options.release = true
  return options
}
