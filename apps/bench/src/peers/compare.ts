import { median } from '../statistics.ts'
import { targets, type PeerEntry } from './peer-list.ts'
import type { Workload } from '../../peers/workloads.ts'

/** What one workload of one peer gave: a figure for each round, or why there is none. */
export interface Cell {
  /** Steps or runs per second, or ms; in the order of the rounds. */
  readonly values: readonly number[]
  readonly error?: string
}

/** What a peer's rounds gave. */
export interface MeasuredPeer {
  readonly peer: PeerEntry
  readonly cells: ReadonlyMap<Workload, Cell>
}

/** How we stand next to one peer in one workload. */
export interface Comparison {
  readonly peer: string
  readonly workload: Workload
  /** How many times as fast we are: the median over the rounds, and its spread. */
  readonly times: number
  readonly least: number
  readonly most: number
  readonly target: number
  /** `missed`: not even the best round reaches the target. `unjudged`: it promises less than we do. */
  readonly verdict: 'reached' | 'within the spread' | 'missed' | 'unjudged'
}

/** Compares ours with each of theirs, round by round. */
export function compare(measured: readonly MeasuredPeer[]): readonly Comparison[] {
  return measured.flatMap(({ peer, cells }) => {
    const ours = measured.find((each) => each.peer.name === peer.against)
    if (ours === undefined) return []
    return [...cells].flatMap(([workload, theirs]) => {
      const target = targets[workload]
      const values = ours.cells.get(workload)?.values ?? []
      if (target === undefined || values.length === 0 || theirs.values.length === 0) return []
      const rounds = theirs.values.flatMap((value, round) => {
        const own = values[round]
        return own === undefined ? [] : [target.rate ? own / value : value / own]
      })
      const [times, least, most] = [median(rounds), Math.min(...rounds), Math.max(...rounds)]
      const verdict = peer.promisesLess?.includes(workload)
        ? 'unjudged'
        : times >= target.times
          ? 'reached'
          : most >= target.times
            ? 'within the spread'
            : 'missed'
      return [{ peer: peer.name, workload, times, least, most, target: target.times, verdict } as const]
    })
  })
}
