import type { Profiler } from 'node:inspector'
import { pathOf } from './frame-path.ts'
import { isAside, timesOf } from './sample-times.ts'

/** A function within those that called it, and the time until it returned. */
export interface StackFrame {
  readonly package: string
  readonly name: string
  readonly allUs: number
  /** What it called, the longest first. */
  readonly calls: readonly StackFrame[]
}

/** Who called what for how long; without the time in which nothing was done. */
export function callTree(profile: Profiler.Profile): StackFrame {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const times = timesOf(profile)
  const frameOf = ({ id, callFrame, children = [] }: Profiler.ProfileNode): StackFrame => {
    const calls = children
      .flatMap((child) => nodes.get(child) ?? [])
      .map(frameOf)
      .filter(({ allUs }) => allUs > 0)
      .toSorted((a, b) => b.allUs - a.allUs)
    const selfUs = isAside(callFrame) ? 0 : (times.get(id) ?? 0)
    return {
      package: pathOf(callFrame)?.[0] ?? 'native',
      name: callFrame.functionName,
      allUs: calls.reduce((sum, { allUs }) => sum + allUs, selfUs),
      calls,
    }
  }
  const [root] = profile.nodes
  return root === undefined ? { package: '', name: '', allUs: 0, calls: [] } : frameOf(root)
}
