import type { Amounts, Workload } from './workloads.ts'

/** Where a peer keeps its runs. Both are its own, new, and removed after it. */
export interface Location {
  /** A database of a Postgres server that flushes every commit. */
  readonly url: string
  /** A folder on a disk. */
  readonly folder: string
}

/** A system for durable execution, set up and idle. */
export interface Peer extends AsyncDisposable {
  /** One run of so many steps, one after the other. @returns from its start until its end is durable, in ms. */
  readonly sequence: (steps: number) => Promise<number>
  /** Runs that are enqueued, then driven. @returns from the moment in which all are there until the last end, in ms. */
  readonly manyRuns: (amount: { readonly runs: number; readonly steps: number }) => Promise<number>
  /**
   * Makes a run with so many recorded steps, forgets all that is in memory, and resumes it.
   *
   * @returns from the resumption until code behind the last recorded step is executed, in ms.
   */
  readonly resume: (steps: number) => Promise<number>
  /** The same without what a system keeps so as not to go through all steps again; absent where it keeps nothing of the kind. */
  readonly resumeFromStart?: (steps: number) => Promise<number>
  /** One run with so many steps at once, then one that has all their results. @returns from its start to its end, in ms. */
  readonly fanOut: (steps: number) => Promise<number>
  /** Runs that are started for an idle worker, one after the other. @returns from each start until its first step is executed, in ms. */
  readonly latencies?: (starts: number) => Promise<readonly number[]>
  /** The same where whoever starts a run also drives it, at once; absent where only workers drive. */
  readonly directLatencies?: (starts: number) => Promise<readonly number[]>
}

/** What the file of a peer exports. */
export interface PeerModule {
  readonly open: (location: Location, variant: string) => Promise<Peer>
}

/** What the process of a peer is told. */
export interface PeerTask {
  /** The file of the peer, beside this one. */
  readonly file: string
  readonly variant: string
  readonly location: Location
  readonly workloads: readonly Workload[]
  readonly amounts: Amounts
}

/** What the process of a peer tells. `value` is steps or runs per second, or ms. */
export type FromPeer =
  { readonly workload: Workload; readonly value: number } | { readonly workload: Workload; readonly error: string }

/** What each step returns: about 200 bytes. */
export function payloadOf(step: number): { readonly step: number; readonly text: string } {
  return { step, text: 'x'.repeat(180) }
}

/** What each run is given: about 200 bytes. */
export const runText = 'y'.repeat(180)

/** Something that happens so many times. */
export interface Countdown {
  readonly hit: () => void
  /** Resolves with the instant of the last time. */
  readonly zero: Promise<number>
}

/** Counts what is still to come. */
export function countdown(count: number): Countdown {
  const { promise, resolve } = Promise.withResolvers<number>()
  let left = count
  return {
    hit: () => {
      if (--left === 0) resolve(performance.now())
    },
    zero: promise,
  }
}

/** So many at once until all are done. */
export async function manyAtOnce(
  count: number,
  atOnce: number,
  act: (n: number) => PromiseLike<unknown>,
): Promise<void> {
  let next = 0
  const actInTurn = async (): Promise<void> => {
    while (next < count) await act(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, actInTurn))
}

/** The rest before a start, where the system is idle at once. */
export const REST = { restMs: 20, spreadMs: 30 }

/** Rests for `restMs` and up to `spreadMs` more, so that what looks in intervals is met at every moment of one. */
export async function rest(n: number, { restMs, spreadMs }: { readonly restMs: number; readonly spreadMs: number }) {
  await new Promise((resolve) => setTimeout(resolve, restMs + spreadMs * ((n * 0.618_033_988_75) % 1)))
}
