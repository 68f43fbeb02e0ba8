import { median } from '../statistics.ts'
import { targets, type PeerEntry } from './peer-list.ts'
import type { Workload } from '../../peers/workloads.ts'

/** What one workload of one peer gave. */
export interface Cell {
  /** Steps or runs per second, or ms, in the order of the rounds; null where there is none. */
  readonly values: readonly (number | null)[]
  /** Why the last round without a figure has none. */
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
  /** `missed`: not even the best round reaches the target. `unjudged`: it does less than we do. */
  readonly verdict: 'reached' | 'within the spread' | 'missed' | 'unjudged'
}

/** Compares ours with each of theirs, round by round. */
export function compare(measured: readonly MeasuredPeer[]): readonly Comparison[] {
  return measured.flatMap((theirs) => {
    const ours = measured.find(({ peer }) => peer.name === theirs.peer.against)
    return ours === undefined ? [] : compareWith(ours, theirs)
  })
}

/** The figures of a cell, in order. */
export function figuresOf({ values }: Cell): readonly number[] {
  return values.filter((value) => value !== null)
}

function compareWith(ours: MeasuredPeer, { peer, cells }: MeasuredPeer): readonly Comparison[] {
  return [...cells].flatMap(([workload, theirs]) => {
    const target = targets[workload]
    const own = ours.cells.get(workload)
    if (target === undefined || own === undefined) return []
    const factors = theirs.values.flatMap((value, round) => {
      const ourValue = own.values[round] ?? null
      if (value === null || ourValue === null) return []
      return [target.rate ? ourValue / value : value / ourValue]
    })
    if (factors.length === 0) return []
    const [times, least, most] = [median(factors), Math.min(...factors), Math.max(...factors)]
    const verdict = peer.doesLess?.includes(workload) === true ? 'unjudged' : judge(times, most, target.times)
    return [{ peer: peer.name, workload, times, least, most, target: target.times, verdict }]
  })
}

function judge(times: number, most: number, target: number): Comparison['verdict'] {
  if (times >= target) return 'reached'
  return most >= target ? 'within the spread' : 'missed'
}
